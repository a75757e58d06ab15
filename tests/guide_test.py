#!/usr/bin/env python3
"""Runs the commands of docs/guides/comparing.md on synthetic runs, and compares what they print with the page.

usage: guide_test.py [--write]     (MUSTER_BIN: the folder of the programs)
--write puts the current output into the page: at each place marked with a comment, or in place of the previous output.
"""
import csv
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/guides/comparing.md"
MUSTER = pathlib.Path(os.environ["MUSTER_BIN"]) / "muster"
# A command, and the output that follows it.
EXAMPLE = re.compile(r"(    (muster [^\n]+)\n\n)(?:<!-- output -->\n|```text\n(.*?)```\n)", re.DOTALL)


def write_files(folder, queries=200):
    """Judgments, and runs of which `trained` is much better than `bm25`, and `tuned` hardly better than `trained`."""
    draw = random.Random(7)
    relevant = {f"q{q}": [f"d{q}-{i}" for i in range(draw.choice((1, 1, 2, 3)))] for q in range(queries)}
    with open(folder / "test.tsv", "w", encoding="utf-8") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        out.writelines(f"{query}\t{document}\t1\n" for query, documents in relevant.items() for document in documents)
    scores = {}
    for query, documents in relevant.items():
        hard = draw.gauss(0, 1)
        for document in documents + [f"other{i}" for i in range(60)]:
            signal = 1.5 - hard if document in documents else 0
            base = draw.gauss(0, 1)
            learned = 0.6 * base + draw.gauss(0, 0.7)
            scores[query, document] = {"bm25": base + signal, "trained": learned + 1.4 * signal,
                                       "tuned": learned + 1.4 * signal + draw.gauss(0.01 * signal, 0.12)}
    for name in ("bm25", "trained", "tuned"):
        with open(folder / f"{name}.run", "w", encoding="utf-8") as out:
            for query in relevant:
                found = sorted(((values[name], document) for (other, document), values in scores.items() if other == query),
                               reverse=True)
                out.writelines(f"{query} Q0 {document} {rank} {score:.6f} {name}\n"
                               for rank, (score, document) in enumerate(found, 1))
    (folder / "broken.run").write_text("q0 Q0 d0-0 1 12.5 engine\nq0 Q0 other7 2 nan engine\n", encoding="utf-8")


def output_of(command, folder):
    done = subprocess.run([MUSTER, *command.split()[1:]], cwd=folder, capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, check=False)
    return done.stdout + done.stderr, done.returncode


class Guide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="muster-guide-")))
        write_files(cls.folder)

    def test_every_command_of_the_page_runs(self):
        commands = re.findall(r"^    (muster [^\n]+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        self.assertGreater(len(commands), 5)
        for command in commands:
            text, code = output_of(command, self.folder)
            self.assertEqual(2 if "broken" in command else 0, code, f"{command}\n{text}")

    def test_the_page_shows_what_the_commands_print(self):
        examples = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
        self.assertEqual(4, len(examples))
        for _, command, shown in examples:
            self.assertEqual(output_of(command, self.folder)[0], shown, command)

    def test_the_per_query_file_has_the_means_of_the_table(self):
        output_of("muster compare bm25.run trained.run --qrels test.tsv --per-query values.csv", self.folder)
        with open(self.folder / "values.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(200, len(rows))
        text, _ = output_of("muster compare bm25.run trained.run --qrels test.tsv", self.folder)
        for column, run in (("a", "A"), ("b", "B")):
            mean = sum(float(row[column]) for row in rows) / len(rows)
            self.assertRegex(text, rf"ndcg@10  {run} +{mean:.4f} ")

    def test_what_cannot_be_read_names_its_line_and_a_remedy(self):
        (self.folder / "twice.run").write_text("q0 Q0 d0-0 1 2 x\nq0 Q0 d0-0 2 1 x\nq1 Q0 d1-0 1 2 x\n", encoding="utf-8")
        (self.folder / "other.run").write_text("1 Q0 d0-0 1 2 x\n", encoding="utf-8")
        (self.folder / "empty.run").write_text("", encoding="utf-8")
        for run, expected in (("twice", "twice.run:2: document \"d0-0\" of query \"q0\" is in line 1 already. Remove one"),
                              ("other", "other.run: none of its queries is judged in test.tsv"),
                              ("empty", "empty.run: is empty"), ("nowhere", "nowhere.run: cannot be opened")):
            text, code = output_of(f"muster score {run}.run --qrels test.tsv", self.folder)
            self.assertEqual(2, code, text)
            self.assertTrue(text.startswith("score: " + expected), text)
            self.assertEqual(1, text.count("\n"), text)
        text, code = output_of("muster score twice.run --qrels test.tsv --duplicates best", self.folder)
        self.assertEqual(0, code, text)
        self.assertIn("note: twice.run: 198 queries (the first: \"q2\") are missing and count 0.\n", text)
        text, code = output_of("muster score trained.run --qrels test.tsv --metric p@5", self.folder)
        self.assertEqual((2, True), (code, text.startswith('score: --metric: unknown metric "p@5". Allowed: ')), text)


def write_page():
    with tempfile.TemporaryDirectory(prefix="muster-guide-") as name:
        write_files(pathlib.Path(name))
        text = EXAMPLE.sub(lambda found: f"{found[1]}```text\n{output_of(found[2], name)[0]}```\n", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_page() if "--write" in sys.argv else unittest.main(verbosity=2)
