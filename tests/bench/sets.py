"""Batches of real texts for the benchmarks: the same for every program that is compared.

A batch is {"queries": [text], "passages": [text], "positives": [[column]]}: each passage once, each query with the columns
of its positives.
"""
import json
import pathlib
import random

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
SEED = 17


def _records(file):
    with open(file, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _text(record):
    return f"{record['title']} {record['text']}".strip() if record.get("title") else record["text"]


def judged(folder, split="train"):
    """[(query, [positive])] of a BEIR folder, in the order of its judgments."""
    queries = {record["_id"]: record["text"] for record in _records(folder / "queries.jsonl")}
    corpus = {record["_id"]: _text(record) for record in _records(folder / "corpus.jsonl")}
    found = {}
    with open(folder / "qrels" / f"{split}.tsv", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            query, document, grade = line.split("\t")
            if float(grade) > 0:
                found.setdefault(query, []).append(corpus[document])
    return [(queries[query], positives) for query, positives in found.items()]


def corpus_texts(name, count):
    return [_text(record) for record in _records(SHARED / name / "corpus.jsonl")[:count]]


def _batch(rows):
    columns, queries, positives = {}, [], []
    for query, texts in rows:
        queries.append(query)
        positives.append([columns.setdefault(text, len(columns)) for text in dict.fromkeys(texts)])
    return {"queries": queries, "passages": list(columns), "positives": positives}


def _shuffled(rows, seed=SEED):
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    return rows


def one_positive(name, size, count):
    """Each query with one of its positives: the sentence-transformers data format (anchor, positive)."""
    draw = random.Random(SEED)
    rows = [(query, [draw.choice(positives)]) for query, positives in _shuffled(judged(SHARED / name))]
    return [_batch(rows[i * size:(i + 1) * size]) for i in range(count)]


def mixed(size, count, most=4):
    """Short questions of banking77-intent and long ones' abstracts of pubmedqa, half and half, with up to `most` positives."""
    draw = random.Random(SEED)
    halves = [_shuffled(judged(SHARED / name)) for name in ("banking77-intent", "pubmedqa")]
    batches = []
    for i in range(count):
        rows = [row for half in halves for row in half[i * size // 2:(i + 1) * size // 2]]
        batches.append(_batch([(query, draw.sample(texts, min(most, len(texts)))) for query, texts in rows]))
    return batches


SETS = {  # name → (batches, most tokens per text)
    "scifact": (lambda size, count: one_positive("scifact", size or 32, count), 256),
    "banking77-intent": (lambda size, count: one_positive("banking77-intent", size or 64, count), 64),
    "mixed": (lambda size, count: mixed(size or 16, count), 256),
}


def pairs(batch):
    """One row per (query, positive) pair."""
    return [(query, batch["passages"][column])
            for query, columns in zip(batch["queries"], batch["positives"]) for column in columns]
