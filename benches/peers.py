"""The driver behind benches/peers: runs each program on each case in a process of its own and tells the results.

Also holds the Python peers' side (`peers.py worker ...`). Times are medians over repetitions inside one process, after
a warm-up that lets numba compile; peak memory is the process's largest resident set (`VmHWM`).
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

DATA = pathlib.Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
CASES = ["acl", "newsgroups", "growth", "recall"]
WARM_UP_ROWS = 5_000  # umap-learn takes another path below 4,096 rows


# --- the peers, each in its own process -------------------------------------------------------------------------------


def worker(program, rows, min_cluster_size, repetitions, labels, extra):
    rows = np.load(rows).astype(np.float32)
    work = {
        "umap-learn+hdbscan": lambda rows: all_in(rows, min_cluster_size, None),
        "umap-learn seeded": lambda rows: all_in(rows, min_cluster_size, 42),
        "evoc": lambda rows: evoc_labels(rows, min_cluster_size),
        "hdbscan": lambda rows: ({}, hdbscan_labels(rows, min_cluster_size), None),
        "hdbscan exact": lambda rows: hdbscan_exact(rows, min_cluster_size),
        "hdbscan exact, shuffled": lambda rows: hdbscan_shuffled(rows, min_cluster_size),
        "fast_hdbscan": lambda rows: fast_hdbscan_labels(rows, min_cluster_size),
    }[program]
    work(rows[:WARM_UP_ROWS])
    answer = {"seconds": []}
    for _ in range(repetitions):
        start = time.perf_counter()
        stages, found, array = work(rows)
        answer["seconds"].append(time.perf_counter() - start)
        for name, figure in stages.items():
            answer.setdefault(name, []).append(figure)
    np.save(labels, np.asarray(found, dtype=np.int32))
    if array is not None:
        np.save(extra, array)
    status = pathlib.Path("/proc/self/status").read_text()
    answer["peak_kib"] = int(status.split("VmHWM:")[1].split()[0])
    print(json.dumps(answer))


def all_in(rows, min_cluster_size, seed):
    import umap

    start = time.perf_counter()
    model = umap.UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=seed)
    layout = model.fit_transform(rows)
    seconds = time.perf_counter() - start
    return {"layout_seconds": seconds}, hdbscan_labels(layout, min_cluster_size), layout


def hdbscan_labels(layout, min_cluster_size):
    import hdbscan

    return hdbscan.HDBSCAN(min_cluster_size=min_cluster_size, core_dist_n_jobs=2).fit_predict(layout)


def hdbscan_exact(layout, min_cluster_size):
    """Its default leaves the spanning tree approximate; this is the tree that the paper defines."""
    import hdbscan

    model = hdbscan.HDBSCAN(
        min_cluster_size=min_cluster_size, core_dist_n_jobs=2, approx_min_span_tree=False, gen_min_span_tree=True
    ).fit(layout)
    linkage = model.single_linkage_tree_.to_numpy()
    return {"weight": float(linkage[:, 2].sum())}, model.labels_, linkage


def hdbscan_shuffled(layout, min_cluster_size):
    """The same rows in another order: what the ties of mutual reachability alone change."""
    order = np.random.default_rng(1).permutation(len(layout))
    figures, shuffled, _ = hdbscan_exact(layout[order], min_cluster_size)
    labels = np.empty_like(shuffled)
    labels[order] = shuffled
    return figures, labels, None


def components(linkage, distance):
    """The component of each row once everything nearer than `distance` has merged."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(linkage) + 1
    merges = np.flatnonzero(linkage[:, 2] <= distance)
    ends = linkage[merges, :2].astype(np.int64)
    rows = np.repeat(n + merges, 2), ends.ravel()
    graph = coo_array((np.ones(len(rows[0]), dtype=np.int8), rows), shape=(2 * n - 1, 2 * n - 1))
    return connected_components(graph, directed=False)[1][:n]


def fast_hdbscan_labels(layout, min_cluster_size):
    import fast_hdbscan

    return {}, fast_hdbscan.HDBSCAN(min_cluster_size=min_cluster_size).fit_predict(layout), None


def evoc_labels(rows, min_cluster_size):
    import evoc

    return {}, evoc.EVoC(base_min_cluster_size=min_cluster_size).fit_predict(rows), None


# --- the driver -------------------------------------------------------------------------------------------------------


class Run:
    """One process's answer."""

    def __init__(self, command):
        command = [str(part) for part in command]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        self.answer = json.loads(output.strip().splitlines()[-1])
        self.peak_mib = self.answer["peak_kib"] / 1024

    def median(self, what="seconds"):
        return float(np.median(self.answer[what]))


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, pathlib.Path(folder)
        self.rows = []

    def path(self, name):
        return self.folder / name

    def topicd(self, *command):
        return Run([self.options.topicd, *command])

    def peer(self, program, rows, min_cluster_size, repetitions=None):
        name = program.replace(",", "").replace(" ", "-")
        repetitions = repetitions or self.options.repetitions
        labels, extra = self.path(f"{name}.labels.npy"), self.path(f"{name}.extra.npy")
        command = [sys.executable, __file__, "worker", program, rows, min_cluster_size, repetitions, labels, extra]
        return Run(command), labels, extra

    def tell(self, case, program, median_s, peak_mib, **quality):
        row = {"case": case, "program": program, "median_s": round(median_s, 4), "peak_mib": round(peak_mib)}
        row.update({name: round(float(value), 4) for name, value in quality.items()})
        self.rows.append(row)
        if self.options.json:
            print(json.dumps(row), flush=True)
        else:
            figures = "  ".join(f"{name} {row[name]:.6g}" for name in quality)
            print(f"{case:22} {program:24} {row['median_s']:9.3f} s {row['peak_mib']:7d} MiB  {figures}", flush=True)

    # -- cases

    def acl(self):
        rows = self.embeddings("acl-abstracts", 8_000 if self.options.quick else None)
        if rows is None:
            return
        size = 50
        labels, layout = self.path("topicd.labels.npy"), self.path("topicd.layout.npy")
        ours = self.topicd("all-in", rows, size, self.options.repetitions, labels, layout)
        self.tell("acl all in", "topicd", ours.median(), ours.peak_mib, **shape(labels))
        theirs, their_labels, their_layout = self.peer("umap-learn+hdbscan", rows, size)
        self.tell("acl all in", "umap-learn+hdbscan", theirs.median(), theirs.peak_mib, **shape(their_labels))
        evoc, evoc_found, _ = self.peer("evoc", rows, size)
        self.tell("acl all in", "evoc", evoc.median(), evoc.peak_mib, **shape(evoc_found))
        # topicd has no unseeded mode: a seed costs nothing.
        self.tell("acl layout, seeded", "topicd", ours.median("layout_seconds"), ours.peak_mib)
        self.tell("acl layout, unseeded", "umap-learn", theirs.median("layout_seconds"), theirs.peak_mib)
        seeded, _, _ = self.peer("umap-learn seeded", rows, size, self.options.seeded_repetitions)
        self.tell("acl layout, seeded", "umap-learn", seeded.median("layout_seconds"), seeded.peak_mib)
        for name, of_whom in (("topicd", layout), ("umap-learn", their_layout)):
            self.hdbscan_alone(f"hdbscan, {name}'s", of_whom, size)

    def hdbscan_alone(self, case, layout, size):
        """All on one layout. ARI is to the exact tree's labels; the last row tells what ties alone cost there."""
        from sklearn.metrics import adjusted_rand_score

        found, linkage = self.path("hdbscan-alone.labels.npy"), self.path("hdbscan-alone.linkage.npy")
        runs = [("topicd", self.topicd("hdbscan", layout, size, self.options.repetitions, found, linkage), found)]
        for program in ("hdbscan", "fast_hdbscan", "hdbscan exact", "hdbscan exact, shuffled"):
            run, labels, _ = self.peer(program, layout, size)
            runs.append((program, run, labels))
        reference = np.load(self.path("hdbscan-exact.labels.npy"))
        for program, run, labels in runs:
            figures = {**shape(labels), "ari": adjusted_rand_score(reference, np.load(labels))}
            if "weight" in run.answer:
                figures["tree_weight"] = run.median("weight")
            self.tell(case, program, run.median(), run.peak_mib, **figures)
        self.only_ties_differ(case, size, linkage, found, self.path("hdbscan-exact.extra.npy"))

    def only_ties_differ(self, case, size, linkage, labels, reference_linkage):
        """Is what differs from hdbscan's labels but the order in which it merges at equal distances?

        The hierarchy that a spanning tree stands for is unique as far as its distances differ: whatever tree, cutting it
        at any distance leaves the same components. So the hierarchies are compared at 200 cuts (the lowest ARI), and
        hdbscan's own code makes labels from topicd's tree, whose ties are then broken alike.
        """
        from hdbscan.hdbscan_ import _tree_to_labels
        from sklearn.metrics import adjusted_rand_score

        ours, theirs = np.load(linkage), np.load(reference_linkage)
        distances = np.unique(np.float32(theirs[:, 2]))
        # Between two distances that differ by more than rounding in float32.
        gaps = np.flatnonzero(np.diff(distances) > 1e-5 * distances[1:])
        cuts = (distances[gaps] / 2 + distances[gaps + 1] / 2)[:: max(1, len(gaps) // 200)]
        same = min(adjusted_rand_score(components(ours, cut), components(theirs, cut)) for cut in cuts)
        relabelled = _tree_to_labels(None, ours, size)[0]
        figures = {
            "lowest_ari_of_cuts": same,
            "cuts": len(cuts),
            "ari_on_one_tree": adjusted_rand_score(relabelled, np.load(labels)),
            "rows_that_differ_on_one_tree": np.sum((relabelled < 0) != (np.load(labels) < 0)),
        }
        self.tell(case, "topicd's tree in hdbscan", 0, 0, **figures)

    def newsgroups(self):
        """Layouts of five seeds, judged by trustworthiness and by what Python's hdbscan cuts from them."""
        count = 3_000 if self.options.quick else None
        rows = self.embeddings("newsgroups-emerging", count)
        if rows is None:
            return
        with gzip.open(DATA / "newsgroups-emerging.jsonl.gz", "rt") as lines:
            truth = np.unique([json.loads(line)["label"] for line in lines][:count], return_inverse=True)[1]
        space = np.load(rows).astype(np.float32)
        for program in ("topicd", "umap-learn"):
            judged, runs = [], []
            for seed in range(1, self.options.seeds + 1):
                if program == "topicd":
                    layout = self.path("seed.layout.npy")
                    runs.append(self.topicd("layout", rows, seed, layout))
                else:  # unseeded: a seed would make it serial; each run differs
                    run, _, layout = self.peer("umap-learn+hdbscan", rows, 50, 1)
                    run.answer["seconds"] = run.answer["layout_seconds"]
                    runs.append(run)
                judged.append(judge(space, np.load(layout), truth))
            seconds = np.median([run.median() for run in runs])
            peak = max(run.peak_mib for run in runs)
            mean = {name: np.mean([figures[name] for figures in judged]) for name in judged[0]}
            self.tell("newsgroups layout", program, seconds, peak, **mean)

    def recall(self):
        """The share of the 15 nearest that each method finds, asked of 2,000 rows, and how long each takes."""
        corpora = [("newsgroups-emerging", None), ("acl-abstracts", None)]
        cases = [(corpus, self.embeddings(corpus, count)) for corpus, count in corpora]
        if cases[1][1] is not None:
            drawn = self.path("drawn.npy")
            np.save(drawn, draw(np.load(cases[1][1]).astype(np.float32), 16_000 if self.options.quick else 160_000))
            cases.append(("160,000 drawn", drawn))
        for name, rows in cases:
            if rows is not None:
                run = self.topicd("recall", rows, 2_000)
                figures = [f"{method}_{what}" for method in ("exact", "approximate") for what in ("s", "recall")]
                self.tell(f"knn {name}", "topicd", run.median(), run.peak_mib, **{f: run.median(f) for f in figures})

    def growth(self):
        """Random draws from ACL with noise; near n log n is a straight line here, n² doubles each time."""
        source = self.embeddings("acl-abstracts", None)
        if source is None:
            return
        source = np.load(source).astype(np.float32)
        sizes = [2_000, 4_000, 8_000] if self.options.quick else [10_000, 20_000, 40_000, 80_000, 160_000]
        curve = []
        for n in sizes:
            rows, labels, layout = (self.path(f"growth.{part}.npy") for part in ("rows", "labels", "layout"))
            np.save(rows, draw(source, n))
            run = self.topicd("all-in", rows, 50, 1 if n > 40_000 else self.options.repetitions, labels, layout)
            per_row = run.median() / (n * np.log2(n)) * 1e6
            curve.append((n, run.median()))
            alone = run.median() - run.median("layout_seconds")
            figures = {"us_per_row_log2": per_row, "hdbscan_s": alone, **shape(labels)}
            self.tell(f"growth {n}", "topicd", run.median(), run.peak_mib, **figures)
        if self.options.picture:
            pathlib.Path(self.options.picture).write_text(growth_picture(curve))

    def embeddings(self, corpus, count):
        """The path of a corpus's rows, or of the first `count`; None where they are absent."""
        path = DATA / f"{corpus}.minilm.f16.npy"
        if not path.exists():
            print(f"{path} is absent: skipped", file=sys.stderr)
            return None
        if count is None:
            return path
        first = self.path(f"{corpus}.first.npy")
        np.save(first, np.load(path)[:count])
        return first


def draw(source, n):
    """`n` random rows of `source` with a little noise, of length 1."""
    rng = np.random.default_rng(7)
    drawn = source[rng.integers(0, len(source), n)]
    drawn += rng.normal(0, 0.3 / np.sqrt(drawn.shape[1]), drawn.shape).astype(np.float32)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


def growth_picture(curve):
    """An SVG of seconds against rows, both logarithmic, beside n log n and n² drawn through the first point."""
    width, height, left, bottom = 560, 380, 60, 40
    (n0, s0), (n1, _) = curve[0], curve[-1]
    laws = {
        "n log n": ("#999", lambda n: s0 * n * np.log2(n) / (n0 * np.log2(n0))),
        "n²": ("#ccc", lambda n: s0 * (n / n0) ** 2),
    }
    low, high = min(s for _, s in curve) / 1.5, laws["n²"][1](n1)

    def at(n, seconds):
        x = left + (width - left - 90) * np.log(n / n0) / np.log(n1 / n0)
        return x, height - bottom - (height - bottom - 20) * np.log(seconds / low) / np.log(high / low)

    def line(points, style):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline points="{path}" fill="none" {style}/>'

    def text(x, y, words, anchor="start"):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{words}</text>'

    parts = []
    for name, (colour, law) in laws.items():
        points = [at(n, law(n)) for n, _ in curve]
        parts += [line(points, f'stroke="{colour}" stroke-dasharray="5 4"'), text(points[-1][0] + 8, points[-1][1] + 4, name)]
    points = [at(*point) for point in curve]
    parts += [line(points, 'stroke="#1f5fa8" stroke-width="2"'), text(points[-1][0] + 8, points[-1][1] + 4, "topicd")]
    for (x, y), (n, seconds) in zip(points, curve):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>')
        parts += [text(x, y - 10, f"{seconds:.2f} s", "middle"), text(x, height - bottom + 18, f"{n:,}", "middle")]
    parts.append(text(left, 14, "seconds from embeddings to labels, by rows (384 dimensions), logarithmic"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def shape(labels):
    labels = np.load(labels)
    return {"clusters": labels.max() + 1, "outliers": np.mean(labels < 0)}


def judge(space, layout, truth):
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    figures = {"trustworthiness": trustworthiness(space, layout)}
    for size in (15, 50):
        labels = hdbscan_labels(layout, size)
        figures[f"clusters_{size}"] = labels.max() + 1
        figures[f"ami_{size}"] = adjusted_mutual_info_score(truth, labels)
        figures[f"ari_{size}"] = adjusted_rand_score(truth, labels)
    return figures


def trustworthiness(space, layout, k=15, sample=3_000):
    """Venna & Kaski 2001, by cosine in `space` and Euclidean distance in `layout`, over a fixed sample of the rows."""
    from sklearn.neighbors import NearestNeighbors

    n = len(space)
    space = space / np.linalg.norm(space, axis=1, keepdims=True)
    asked = np.random.default_rng(0).choice(n, min(n, sample), replace=False)
    near = NearestNeighbors(n_neighbors=k + 1).fit(layout).kneighbors(layout[asked], return_distance=False)
    penalty = 0
    for row, neighbours in zip(asked, near):
        neighbours = neighbours[neighbours != row][:k]
        closeness = space @ space[row]
        closeness[row] = -np.inf
        ranks = 1 + (closeness[None, :] > closeness[neighbours][:, None]).sum(axis=1)
        penalty += np.maximum(ranks - k, 0).sum()
    return 1 - penalty * 2 / (len(asked) * k * (2 * n - 3 * k - 1))


def main():
    parser = argparse.ArgumentParser(prog="benches/peers", description="topicd side by side with its Python peers")
    parser.add_argument("--topicd", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--quick", action="store_true", help="small draws, one repetition: does everything run?")
    parser.add_argument("--case", action="append", choices=CASES, help="only this (again)")
    parser.add_argument("--repetitions", type=int, default=5, help="medians of so many")
    parser.add_argument("--seeded-repetitions", type=int, default=None, help="the same for umap-learn with a seed")
    parser.add_argument("--picture", help="draw the growth curve into this SVG file")
    parser.add_argument("--seeds", type=int, default=5, help="layouts of newsgroups")
    options = parser.parse_args()
    if options.quick:
        options.repetitions = options.seeds = 1
    options.seeded_repetitions = options.seeded_repetitions or options.repetitions
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        for case in options.case or CASES:
            getattr(bench, case)()


if sys.argv[1:2] == ["worker"]:
    worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6], sys.argv[7])
else:
    main()
