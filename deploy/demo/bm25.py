#!/usr/bin/env python3
"""BM25 over a BEIR folder, with Lucene's defaults (k1 1.2, b 0.75): the baseline to beat, with only the standard library.

usage: bm25.py FOLDER SPLIT [--ignore-identical-ids]      prints {"ndcg@10": …, "mrr": …, "recall@100": …, "queries": …}
Formula: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.2, with
Lucene's idf log(1 + (N - n + 0.5) / (n + 0.5)). Words: runs of letters and digits, in lower case; no stemming.
Ties are broken as trec_eval does, by document id in descending order. --ignore-identical-ids leaves the document with the
query's id out of its ranking, as report.ignore_identical_ids of a job does.
"""
import collections
import json
import math
import pathlib
import re
import sys

K1, B = 1.2, 0.75
WORD = re.compile(r"\w+")


def terms(text):
    return WORD.findall(text.lower())


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main():
    ignore = sys.argv[3:] == ["--ignore-identical-ids"]
    if len(sys.argv) != 3 and not ignore:
        sys.exit(__doc__)
    folder, split = pathlib.Path(sys.argv[1]), sys.argv[2]
    # Sorted by id, descending: a stable sort by score then breaks ties as trec_eval does.
    documents = sorted(((d["_id"], terms(d.get("title", "") + " " + d["text"])) for d in read_lines(folder / "corpus.jsonl")),
                       reverse=True)
    mean_length = sum(len(words) for _, words in documents) / len(documents)
    postings = collections.defaultdict(list)
    for number, (_, words) in enumerate(documents):
        norm = K1 * (1 - B + B * len(words) / mean_length)
        for term, count in collections.Counter(words).items():
            postings[term].append((number, count * (K1 + 1) / (count + norm)))
    relevant = collections.defaultdict(dict)
    with open(folder / "qrels" / f"{split}.tsv", encoding="utf-8") as lines:
        for line in list(lines)[1:]:
            query, document, grade = line.rstrip("\n").split("\t")
            if float(grade) > 0:
                relevant[query][document] = float(grade)
    totals = collections.Counter()
    for query in read_lines(folder / "queries.jsonl"):
        grades = relevant.get(query["_id"])
        if not grades:
            continue
        scores = collections.defaultdict(float)
        for term in terms(query["text"]):
            entries = postings.get(term, [])
            idf = math.log(1 + (len(documents) - len(entries) + 0.5) / (len(entries) + 0.5))
            for number, weight in entries:
                scores[number] += idf * weight
        ranking = [documents[n][0] for n in sorted(scores, key=lambda n: (-scores[n], n))]
        ranking = [document for document in ranking if not (ignore and document == query["_id"])][:1000]
        gains = [grades.get(document, 0.0) for document in ranking]
        ideal = sorted(grades.values(), reverse=True)[:10]
        dcg = lambda values: sum(g / math.log2(rank + 2) for rank, g in enumerate(values[:10]))
        totals["ndcg@10"] += dcg(gains) / dcg(ideal)
        totals["mrr"] += next((1 / (rank + 1) for rank, gain in enumerate(gains) if gain > 0), 0.0)
        totals["recall@100"] += sum(gain > 0 for gain in gains[:100]) / len(grades)
        totals["queries"] += 1
    count = totals.pop("queries")
    print(json.dumps({name: value / count for name, value in totals.items()} | {"queries": count}))


if __name__ == "__main__":
    main()
