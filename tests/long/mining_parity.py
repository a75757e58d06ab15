#!/usr/bin/env python3
"""muster mine against sentence-transformers' mine_hard_negatives, where the rules are the same: all texts distinct, ranks without
a margin or from the first one with a margin. Some queries have several positives.

usage: mining_parity.py        (MUSTER_BIN: the folder of the programs)
needs: requirements.txt of this folder and torch, the MiniLM folder, and ../shared/data/scifact
"""
import importlib.machinery
import json
import os
import pathlib
import sys
import types
import unittest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cluster import MINILM, SHARED, Cluster  # noqa: E402

QUERIES, DOCUMENTS, LENGTH = 80, 1000, 128
NEAR = 1e-5  # scores that the two may order differently


class Table:
    """What mine_hard_negatives uses of a datasets.Dataset, which would need 20 more packages."""

    def __init__(self, columns):
        self.columns = columns

    @classmethod
    def from_dict(cls, columns):
        return cls(columns)

    @property
    def column_names(self):
        return list(self.columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name):
        return self.columns[name]

    def to_pandas(self):
        return self

    def groupby(self, name):
        return Groups(self, name)


class Groups:
    """table.groupby(name).count().to_dict()"""

    def __init__(self, table, name):
        self.table, self.name = table, name

    def count(self):
        return self

    def to_dict(self):
        counts = {}
        for value in self.table[self.name]:
            counts[value] = counts.get(value, 0) + 1
        return {name: counts for name in self.table.column_names if name != self.name}


def offer_table_as_datasets():
    module = types.ModuleType("datasets")
    module.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
    module.Dataset = Table
    sys.modules["datasets"] = module


def records(name):
    with open(SHARED / "data/scifact" / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_set(folder):
    """({query id: text}, {document id: text}, {query id: [document id]}), and the same as a BEIR folder."""
    corpus = {record["_id"]: record for record in records("corpus.jsonl")}
    queries = {record["_id"]: record for record in records("queries.jsonl")}
    judged = {}
    for line in (SHARED / "data/scifact/qrels/train.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, _ = line.split("\t")
        judged.setdefault(query, []).append(document)
    positives, texts = {}, set()
    for query in sorted(judged, key=lambda query: (-len(judged[query]), query)):  # those with several first
        if queries[query]["text"] not in texts and len(positives) < QUERIES:
            positives[query] = judged[query]
            texts.add(queries[query]["text"])
    kept, seen = {}, set()
    for document in [*(document for documents in positives.values() for document in documents), *corpus]:
        text = f"{corpus[document]['title']} {corpus[document]['text']}"
        if text not in seen and len(kept) < DOCUMENTS:
            kept[document] = text
            seen.add(text)
    assert all(document in kept for documents in positives.values() for document in documents)
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(corpus[d]) + "\n" for d in kept), encoding="utf-8")
    (folder / "queries.jsonl").write_text("".join(json.dumps(queries[q]) + "\n" for q in positives), encoding="utf-8")
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{document}\t1\n" for query, documents in positives.items() for document in documents), encoding="utf-8")
    return {query: queries[query]["text"] for query in positives}, kept, positives


class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        offer_table_as_datasets()
        import torch
        from sentence_transformers import SentenceTransformer, util
        from sentence_transformers.util import hard_negatives
        hard_negatives.is_datasets_available = lambda: True  # it looks for an installed package, which Table replaces
        torch.set_num_threads(2)
        cls.util = util
        cls.peer = SentenceTransformer(str(MINILM), device="cpu", local_files_only=True)
        cls.peer.max_seq_length = LENGTH
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.queries, cls.documents, cls.positives = write_set(cls.cluster.folder / "set")
        cls.cluster.ok("models", "push", "minilm", MINILM)
        cls.cluster.ok("data", "import", "set", cls.cluster.folder / "set")
        encoded = cls.peer.encode([*cls.queries.values(), *cls.documents.values()], normalize_embeddings=True)
        rows = encoded @ encoded[:len(cls.queries)].T
        cls.scores = {(query, document): float(rows[len(cls.queries) + d, q]) for q, query in enumerate(cls.queries)
                      for d, document in enumerate(cls.documents)}

    def theirs(self, **rules):
        pairs = [(self.queries[query], self.documents[document]) for query in self.queries for document in self.positives[query]]
        self.assertGreater(len(pairs), len(self.queries))
        pairs = Table({"query": [query for query, _ in pairs], "positive": [positive for _, positive in pairs]})
        mined = self.util.mine_hard_negatives(pairs, self.peer, corpus=list(self.documents.values()), output_format="triplet",
                                              verbose=False, **rules)
        ids = {text: document for document, text in self.documents.items()}
        of_query = {text: query for query, text in self.queries.items()}
        found = {query: [] for query in self.queries}
        for query, negative in zip(mined["query"], mined["negative"]):  # once for each positive
            negatives = found[of_query[query]]
            if ids[negative] not in negatives:
                negatives.append(ids[negative])
        return found

    def ours(self, out, *flags):
        self.cluster.ok("mine", "set", "--model", "minilm", "--out", out, "--set", f"model.max_length={{query: {LENGTH}, passage: {LENGTH}}}",
                        "--set", "resources.device=cpu", "--set", "resources.slots.min=2", *flags, timeout=1800)
        shown = self.cluster.ok("data", "show", out, "--split", "train", "--queries", 100, "--output", "json").json()
        return {query["id"]: [p["id"] for p in query["judged"] if p.get("source") == "mined"] for query in shown["sample"]["queries"]}

    def check(self, name, flags, **rules):
        theirs, ours = self.theirs(**rules), self.ours(name, *flags)
        self.assertEqual(set(theirs), set(ours))
        same = sum(theirs[query] == ours[query] for query in theirs)
        print(f"{name}: {sum(map(len, ours.values()))} negatives, equal for {same} of {len(theirs)} queries")
        self.assertGreater(sum(map(len, ours.values())), 2 * len(theirs))
        for query, expected in theirs.items():
            self.assertEqual(len(expected), len(ours[query]), f"{name}, query {query}")
            for one, other in zip(expected, ours[query]):
                self.assertAlmostEqual(self.scores[query, one], self.scores[query, other], delta=NEAR, msg=f"{name}, query {query}")
        self.assertGreaterEqual(same, 0.95 * len(theirs))

    def test_the_highest_ranks(self):
        self.check("highest", ["--ranks", "1-200", "--per-query", 5, "--relative-margin", 0],
                   range_min=0, range_max=200, num_negatives=5)

    def test_ranks_after_the_first_ten(self):
        self.check("skipped", ["--ranks", "11-200", "--per-query", 5, "--relative-margin", 0],
                   range_min=10, range_max=200, num_negatives=5)

    def test_a_relative_margin(self):
        self.check("relative", ["--ranks", "1-200", "--per-query", 8, "--relative-margin", 0.95],
                   range_min=0, range_max=200, num_negatives=8, relative_margin=0.05)

    def test_an_absolute_margin(self):
        self.check("absolute", ["--ranks", "1-200", "--per-query", 8, "--relative-margin", 0, "--absolute-margin", 0.1],
                   range_min=0, range_max=200, num_negatives=8, absolute_margin=0.1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
