#!/usr/bin/env python3
"""muster score against pytrec_eval: every metric of every query, on 1,000 random runs with equal scores, documents without a
judgment, documents that occur twice, grades, and queries that are missing or have no relevant document.

usage: metrics_parity.py MUSTER [RUNS]
"""
import csv
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import pytrec_eval

MUSTER = pathlib.Path(sys.argv.pop(1)).resolve()
RUNS = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 1000
SETS = max(1, RUNS // 25)  # judgments, each with 25 runs
SEED = 20260601
CUTOFFS = (1, 3, 5, 10, 20, 100)
OURS = ["ndcg", "mrr", "map", "recall"] + [f"{name}@{k}" for name in ("ndcg", "mrr", "map", "recall", "precision") for k in CUTOFFS]


def random_set(draw):
    """{query: {document: grade}}: some queries have no relevant document."""
    grades = draw.choice(((0, 1), (0, 1, 2, 3), (0, 1, 2, 4), (0, 0, 0, 5)))
    return {f"q{q}": {f"d{document}": draw.choice(grades) for document in draw.sample(range(60), draw.randint(1, 25))}
            for q in range(draw.randint(4, 9))}


def random_score(draw, kind):
    if kind == "few":  # many equal scores
        return str(draw.randint(0, 4))
    if kind == "close":  # equal as float32
        return repr(1 + draw.randint(0, 3) * 1e-10)
    return repr(draw.gauss(0, 10))


def random_run(draw, qrels):
    """[(query, document, rank, score as text)]; a document may occur twice. At least two judged queries."""
    lines, kind, repeat = [], draw.choice(("few", "close", "any")), draw.random() < 0.3
    judged = sorted(qrels)
    for query in draw.sample(judged, draw.randint(2, len(judged))) + ["not-judged"]:
        documents = draw.sample([f"d{i}" for i in range(80)], draw.randint(1, 60))
        if repeat:
            documents += draw.sample(documents, len(documents) // 4)
        lines += [(query, document, draw.randint(0, 9), random_score(draw, kind)) for document in documents]
    return lines


def expected(run, qrels, names):
    """pytrec_eval's values of a run {query: {document: score}}; mrr@k by a run that is cut."""
    measures = {"ndcg", "recip_rank", "map", "set_recall", *(f"{name}.{','.join(map(str, CUTOFFS))}" for name in (
        "ndcg_cut", "map_cut", "recall", "P"))}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    single = {"ndcg": "ndcg", "mrr": "recip_rank", "map": "map", "recall": "set_recall"}
    cut = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
    found = {}
    for query, measured in values.items():
        for name in names:
            kind, _, cutoff = name.partition("@")
            if not cutoff:
                found[query, name] = measured[single[kind]]
            elif kind == "mrr":
                within = measured["recip_rank"] > 0 and round(1 / measured["recip_rank"]) <= int(cutoff)
                found[query, name] = measured["recip_rank"] if within else 0.0
            else:
                found[query, name] = measured[f"{cut[kind]}_{cutoff}"]
    return found


def best_scores(lines):
    run = {}
    for query, document, _, score in lines:
        scores = run.setdefault(query, {})
        scores[document] = max(float(score), scores.get(document, -math.inf))
    return run


def ordered_by_muster(lines):
    """The same run with scores that no two documents share, in the order of Muster's rule."""
    entries = {}
    for line, (query, document, rank, score) in enumerate(lines):
        known = entries.setdefault(query, {})
        if document not in known or float(score) > -known[document][0]:
            known[document] = (-float(score), rank, line)
    return {query: {document: float(-place) for place, document in enumerate(sorted(documents, key=documents.get))}
            for query, documents in entries.items()}


class Parity(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="muster-parity-")))

    def measured(self, rule, runs, qrels):
        """[{(query, metric): value}] of runs, by one call of muster score."""
        (self.folder / "qrels").write_text("".join(f"{query} 0 {document} {grade}\n" for query, documents in qrels.items()
                                                   for document, grade in documents.items()), encoding="utf-8")
        for number, lines in enumerate(runs):
            (self.folder / f"{number}.run").write_text("".join(f"{q} Q0 {d} {r} {s} x\n" for q, d, r, s in lines), encoding="utf-8")
        metrics = [word for name in OURS for word in ("--metric", name)]
        subprocess.run([MUSTER, "score", *(f"{number}.run" for number in range(len(runs))), "--qrels", "qrels", "--rule", rule,
                        "--duplicates", "best", "--per-query", "values.csv", *metrics], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = [{} for _ in runs]
        with open(self.folder / "values.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[int(row["run"].removesuffix(".run"))][row["query"], row["metric"]] = float(row["value"])
        return found

    def compare(self, rule, prepare):
        draw, largest, values, ties = random.Random(SEED), 0.0, 0, 0
        for _ in range(SETS):
            qrels = random_set(draw)
            while sum(any(g > 0 for g in documents.values()) for documents in qrels.values()) < 2:
                qrels = random_set(draw)
            runs = [random_run(draw, qrels) for _ in range(25)]
            for lines, found in zip(runs, self.measured(rule, runs, qrels)):
                wanted = prepare(lines, qrels)
                self.assertEqual(set(wanted), set(found), f"seed {SEED}")
                scores = [(query, score) for query, _, _, score in lines]
                ties += len(scores) - len(set(scores))
                for key, value in wanted.items():
                    largest = max(largest, abs(found[key] - value))
                    values += 1
                    self.assertAlmostEqual(found[key], value, delta=1e-9, msg=f"{key}, seed {SEED}")
        print(f"{rule}: {25 * SETS} runs, {values} values, {ties} equal scores: largest difference {largest:.2g} (seed {SEED})")
        self.assertGreater(ties, SETS)

    def test_by_the_rule_of_trec_eval_all_values_are_equal(self):
        self.compare("trec_eval", lambda lines, qrels: expected(best_scores(lines), qrels, OURS))

    def test_by_musters_rule_values_differ_only_by_ties_and_queries(self):
        def prepare(lines, qrels):
            relevant = {query for query, documents in qrels.items() if any(grade > 0 for grade in documents.values())}
            values = expected(ordered_by_muster(lines), qrels, OURS)
            return {(query, name): values.get((query, name), 0.0) for query in relevant for name in OURS}
        self.compare("muster", prepare)

    def test_both_refuse_a_document_that_occurs_twice(self):
        run = self.folder / "twice.run"
        run.write_text("q Q0 d 1 2.0 x\nq Q0 d 2 1.0 x\n", encoding="utf-8")
        (self.folder / "qrels").write_text("q 0 d 1\np 0 d 1\n", encoding="utf-8")
        done = subprocess.run([MUSTER, "score", run, "--qrels", self.folder / "qrels"], capture_output=True, text=True, check=False)
        self.assertIn(":2: document \"d\" of query \"q\" is in line 1 already", done.stderr)
        with open(run, encoding="utf-8") as file, self.assertRaises(AssertionError):
            pytrec_eval.parse_run(file)


if __name__ == "__main__":
    unittest.main(verbosity=2)
