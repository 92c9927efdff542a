"""The time of scikit-learn's CountVectorizer on the abstracts of keywords.rs, on one core.

    pip install scikit-learn
    OMP_NUM_THREADS=1 python countvectorizer.py ../../shared/data/acl-abstracts.jsonl.gz
"""
import gzip
import json
import sys
import time

from sklearn.feature_extraction.text import CountVectorizer

texts = [json.loads(line)["text"] for line in gzip.open(sys.argv[1], "rt")]
for n in (1, 2):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        CountVectorizer(ngram_range=(1, n), stop_words="english").fit_transform(texts)
        times.append(time.perf_counter() - start)
    print(f"CountVectorizer, up to {n}: {min(times):.2f} s")
