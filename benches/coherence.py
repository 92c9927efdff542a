"""How coherent and how different are the daemon's final keywords, beside batch BERTopic's at the same number of topics?

    pip install bertopic                                  # 0.17.4
    topicd run --exit-at-end …                            # over the newsgroups; then
    topicd topics --json > daemon.json
    python coherence.py ../../shared/data newsgroups-emerging daemon.json [SEEDS]

Coherence is the mean NPMI of the pairs of a topic's ten best words, once by documents and once by windows of ten words
(gensim's c_npmi, as the BERTopic paper measures); a pair that never occurs together counts -1. Diversity is the share of
different words among all topics' ten best. BERTopic is fitted to the same embeddings, with its defaults and
`nr_topics`, once with its own vectorizer and once with English stop words.
"""
import collections
import gzip
import itertools
import json
import math
import re
import sys

import numpy as np

WORD = re.compile(r"(?u)\b\w\w+\b")
WINDOW = 10


def npmi(topics, documents, window):
    wanted = {word for words in topics for word in words}
    single, pair, total = collections.Counter(), collections.Counter(), 0
    pairs = {p for words in topics for p in itertools.combinations(sorted(words), 2)}
    partners = collections.defaultdict(set)
    for a, b in pairs:
        partners[a].add(b)
    for tokens in documents:
        if window is None:
            windows = [frozenset(t for t in tokens if t in wanted)]
            total += 1
        else:
            marks = [t if t in wanted else None for t in tokens]
            count = max(1, len(marks) - window + 1)
            total += count
            windows = (frozenset(m for m in marks[i:i + window] if m) for i in range(count))
        for found in windows:
            for a in found:
                single[a] += 1
                for b in partners[a] & found:
                    pair[a, b] += 1
    def of(words):
        scores = []
        for a, b in itertools.combinations(sorted(words), 2):
            both = pair[a, b] / total
            if both == 0:
                scores.append(-1.0)
            elif both == 1:
                scores.append(1.0)
            else:
                pmi = math.log(both / (single[a] / total * single[b] / total))
                scores.append(pmi / -math.log(both))
        return sum(scores) / len(scores)
    return sum(of(words) for words in topics if len(words) > 1) / len(topics)


def report(name, topics, documents):
    topics = [words[:10] for words in topics]
    diversity = len({w for words in topics for w in words}) / sum(len(words) for words in topics)
    by_document, by_window = npmi(topics, documents, None), npmi(topics, documents, WINDOW)
    print(f"{name:<44} {len(topics):>3} topics  NPMI {by_document:.4f} (documents) {by_window:.4f} (windows)"
          f"  diversity {diversity:.3f}", flush=True)


def main():
    folder, name, daemon = sys.argv[1:4]
    seeds = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    texts = [json.loads(line)["text"] for line in gzip.open(f"{folder}/{name}.jsonl.gz", "rt")]
    documents = [WORD.findall(text.lower()) for text in texts]
    for path in daemon.split(","):
        topics = json.load(open(path))["topics"]
        for aspect in ["main", *sorted({a for t in topics for a in t.get("aspects", {})})]:
            lists = [t["keywords"] if aspect == "main" else t["aspects"][aspect] for t in topics]
            report(f"topicd {path} {aspect}", [[w["term"] for w in words] for words in lists], documents)
    if not seeds:
        return
    from bertopic import BERTopic
    from sklearn.feature_extraction.text import CountVectorizer
    from umap import UMAP
    embeddings = np.load(f"{folder}/{name}.minilm.f16.npy").astype(np.float32)
    for seed in range(seeds):
        reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=seed)
        model = BERTopic(umap_model=reducer, nr_topics=len(topics) + 1)
        model.fit_transform(texts, embeddings)
        def lists():
            return [[w for w, _ in words if w] for id, words in model.get_topics().items() if id >= 0]
        report(f"BERTopic, seed {seed}", lists(), documents)
        model.update_topics(texts, vectorizer_model=CountVectorizer(stop_words="english"))
        report(f"BERTopic, seed {seed}, English stop words", lists(), documents)


main()
