#!/usr/bin/env python3
"""Tests the quick start's programs: the one that turns facets into a retrieval set, and BM25."""
import importlib.util
import io
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

DEMO = pathlib.Path(__file__).resolve().parents[1] / "deploy/demo"


def load(name):
    spec = importlib.util.spec_from_file_location(name, DEMO / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Debtags(unittest.TestCase):
    def test_reads_tags_over_several_lines_and_skips_packages_without(self):
        text = ("Package: a\nSource: src (1.0)\nDescription: first\n long text\nTag: use::editing,\n works-with::text, role::program\n\n"
                "Package: b\nDescription: no tags\n\n")
        self.assertEqual(list(load("debtags").packages(io.StringIO(text))),
                         [("a", "src", "first", {"use::editing", "works-with::text", "role::program"})])

    def test_a_facet_becomes_words(self):
        self.assertEqual(load("debtags").words("works-with-format::plain-text"), "works with format plain text")

    def test_too_few_packages_is_a_clear_error(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, str(DEMO / "debtags.py"), folder], input="Package: a\nDescription: x\nTag: use::y\n\n",
                                  capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("1 packages with facet tags, at least 10000", done.stderr)

    def test_training_sees_no_held_out_package_and_no_held_out_pair(self):
        module = load("debtags")
        stanzas = "".join(f"Package: p{n}\nDescription: d{n}\nTag: use::u{n % 7}, works-with::w{n % 5}, field::f{n % 3}\n\n"
                          for n in range(12000))
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(DEMO / "debtags.py"), folder], input=stanzas, text=True, check=True,
                           capture_output=True)
            read = lambda name: [json.loads(line) for line in (pathlib.Path(folder) / name).read_text().splitlines()]
            train = {d["_id"] for d in read("train/corpus.jsonl")}
            test = {d["_id"] for d in read("test/corpus.jsonl")}
            self.assertFalse(train & test)
            self.assertTrue(all(not module.held_out("source:" + name) for name in train))
            self.assertTrue(all("+" not in q["_id"] or not module.held_out("pair:" + q["_id"].replace("+", " "))
                                for q in read("train/queries.jsonl")))


class Bm25(unittest.TestCase):
    def test_scores_a_ranking_computed_by_hand(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "qrels").mkdir()
            documents = {"d1": "red apple", "d2": "red car", "d3": "blue sky"}
            (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": k, "title": "", "text": v}) + "\n" for k, v in documents.items()))
            (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "red"}) + "\n")
            # d1 and d2 tie. trec_eval puts d2 first, so the relevant d1 is second.
            (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td1\t1\n")
            done = subprocess.run([sys.executable, str(DEMO / "bm25.py"), name, "test"], capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(done.stdout), {"ndcg@10": 1 / math.log2(3), "mrr": 0.5, "recall@100": 1.0, "queries": 1})

    def test_leaves_out_the_document_with_the_querys_id_where_asked_to(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "qrels").mkdir()
            texts = {"a": "red fish", "b": "red fish swim", "c": "blue sky"}
            lines = "".join(json.dumps({"_id": k, "title": "", "text": v}) + "\n" for k, v in texts.items())
            (folder / "corpus.jsonl").write_text(lines)
            (folder / "queries.jsonl").write_text(json.dumps({"_id": "a", "text": "red fish"}) + "\n")
            (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\na\tb\t1\n")
            command = [sys.executable, str(DEMO / "bm25.py"), name, "test"]
            mrr = [json.loads(subprocess.run(command + flags, capture_output=True, text=True, check=True).stdout)["mrr"]
                   for flags in ([], ["--ignore-identical-ids"])]
        self.assertEqual(mrr, [0.5, 1.0])


if __name__ == "__main__":
    unittest.main()
