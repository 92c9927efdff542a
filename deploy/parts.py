"""Writes what a release is made of: a CycloneDX list of its parts (SBOM), and the licences of all of them.

    python3 parts.py TREE SBOM

Reads `cargo metadata` and Cargo.lock for the crates that are linked, and TREE/lib/topicd/onnxruntime for the libraries
beside them. Writes SBOM, and TREE/share/doc/topicd/copyright with the text of every licence, each text once.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

DEPLOY = pathlib.Path(__file__).resolve().parent
LICENCE = re.compile(r"(?i)(un)?(licen[cs]es?|copying|copyright|notice)([-._].*)?(?<!\.rs)(?<!\.py)(?<!\.sh)")
MIT = """MIT License

Copyright (c) {holders}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def metadata():
    host = next(
        line.split()[1]
        for line in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
        if line.startswith("host:")
    )
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={host}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def linked(known):
    """The packages that are linked into the binary, by id, and whom each of them needs.

    Tests, build scripts, macros, and what only they need, are not.
    """
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    packages = {package["id"]: package for package in known["packages"]}
    needs, waiting = {}, [known["resolve"]["root"]]
    while waiting:
        one = waiting.pop()
        if one in needs:
            continue
        normal = [need["pkg"] for need in nodes[one]["deps"] if any(kind["kind"] is None for kind in need["dep_kinds"])]
        needs[one] = sorted(need for need in normal if not is_macro(packages[need]))
        waiting += needs[one]
    return packages, needs


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def checksums():
    with open(DEPLOY.parent / "Cargo.lock", "rb") as lock:
        packages = tomllib.load(lock)["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def crate(package, checksum):
    component = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        "licenses": [{"expression": expression(package)}],
    }
    if package.get("description"):
        component["description"] = " ".join(package["description"].split())
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def expression(package):
    licence = package.get("license")
    if not licence:
        sys.exit(f"crate {package['name']} has no licence's name; look at it, and name it here")
    return licence.replace("/", " OR ")  # as crates wrote it before SPDX


def libraries(folder):
    """The shared libraries that come along, with their hashes; their names hold their versions."""
    for path in sorted(folder.glob("*.so*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield {
            "type": "library",
            "bom-ref": f"file:{path.name}",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"expression": "MIT" if "onnxruntime" in path.name else "Apache-2.0"}],
        }


def sbom(known, packages, needs, beside):
    root = known["resolve"]["root"]
    sums = checksums()
    crates = [crate(packages[one], sums.get((packages[one]["name"], packages[one]["version"]))) for one in needs]
    own = next(one for one in crates if one["bom-ref"] == purl(packages[root]))
    own["type"] = "application"
    others = sorted((one for one in crates if one is not own), key=lambda one: one["bom-ref"])
    depends = [
        {"ref": purl(packages[one]), "dependsOn": sorted({purl(packages[need]) for need in needs[one]})} for one in needs
    ]
    next(one for one in depends if one["ref"] == own["bom-ref"])["dependsOn"] += [one["bom-ref"] for one in beside]
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    text = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": own},
        "components": others + beside,
        "dependencies": sorted(depends, key=lambda one: one["ref"]),
    }
    # The same parts have the same number.
    text["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(text))}"
    return text


def texts_of(package):
    """The texts of a crate's licences; those of C sources in it stand in folders of their own."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = sorted(path for path in folder.rglob("*") if path.is_file() and LICENCE.fullmatch(path.name))
    if found:
        return [path.read_text(encoding="utf-8", errors="replace") for path in found]
    if "Apache-2.0" in expression(package):
        return [(DEPLOY.parent / "LICENSE").read_text(encoding="utf-8")]
    if "MIT" in expression(package):
        return [MIT.format(holders=", ".join(package["authors"]) or f"the authors of {package['name']}")]
    sys.exit(f"crate {package['name']} comes without the text of its licence, {expression(package)}; add it here")


def licences(packages, needs, runtime):
    """Each text of a licence, after the names of the parts that are under it."""
    texts = {}

    def add(name, text):
        names, _ = texts.setdefault(" ".join(text.split()), ([], text.strip()))
        if name not in names:
            names.append(name)

    for one in sorted(needs, key=lambda one: purl(packages[one])):
        for text in texts_of(packages[one]):
            add(f"{packages[one]['name']} {packages[one]['version']}: {expression(packages[one])}", text)
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        add("ONNX Runtime: MIT", (runtime / name).read_text(encoding="utf-8", errors="replace"))
    add("OpenVINO and oneTBB, beside ONNX Runtime: Apache-2.0", (DEPLOY.parent / "LICENSE").read_text(encoding="utf-8"))
    line = "=" * 100
    blocks = [f"{line}\n" + "\n".join(names) + f"\n{line}\n\n{text}\n" for names, text in texts.values()]
    return "topicd and its parts, and the text of the licence that each of them is under.\n\n" + "\n".join(blocks)


def main(tree, bom):
    tree = pathlib.Path(tree)
    runtime = tree / "lib/topicd/onnxruntime"
    known = metadata()
    packages, needs = linked(known)
    (tree / "share/doc/topicd/copyright").write_text(licences(packages, needs, runtime), encoding="utf-8")
    parts = sbom(known, packages, needs, list(libraries(runtime)))
    pathlib.Path(bom).write_text(json.dumps(parts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(parts['components'])} parts, with {len(needs)} crates")


if __name__ == "__main__":
    main(*sys.argv[1:])
