"""Settings that change published figures: BEIR's rule for equal ids, training without negatives, the length of an export."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import SHARED, TopicsCase, topics_job  # noqa: E402


def write_beir(folder, texts, qrels):
    """Queries are documents: the same ids and texts."""
    (folder / "qrels").mkdir(parents=True)
    lines = "".join(json.dumps({"_id": name, "title": "", "text": text}) + "\n" for name, text in texts.items())
    (folder / "corpus.jsonl").write_text(lines)
    (folder / "queries.jsonl").write_text(lines)
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" +
                                           "".join(f"{query}\t{document}\t1\n" for query, document in qrels))
    return folder


class Numbers(TopicsCase):
    def measure(self, dataset, ignore):
        """Evaluates random weights, by a job that only evaluates."""
        name = f"measure-{dataset}-{str(ignore).lower()}"
        report = {"dataset": dataset, "split": "test", "ignore_identical_ids": ignore}
        job = {"name": name, "model": topics_job()["model"], "duration": {"steps": 0}, "report": report,
               "resources": topics_job()["resources"]}
        done = self.cluster.wait_for_phase(self.cluster.submit(job), "JOB_PHASE_SUCCEEDED")
        shown = self.cluster.ok("get", done["id"]).out
        self.assertEqual("ignore_identical_ids" in shown, ignore, shown)
        evaluation = done["evaluations"][0]
        print(name, evaluation["metrics"], evaluation["queries"])
        return evaluation["metrics"]

    def check_opposites(self, dataset):
        kept, dropped = self.measure(dataset, False), self.measure(dataset, True)
        # A query's own text ranks first, so the best that any model reaches is second place.
        self.assertLessEqual(kept["ndcg@10"], 0.631)
        self.assertGreater(dropped["ndcg@10"], kept["ndcg@10"])
        self.assertGreater(dropped["mrr"], kept["mrr"])

    def test_equal_ids_are_left_out_of_a_ranking_where_asked_to(self):
        pairs = [("apple iron horse hammer", "apple iron horse saw"), ("rhine granite pear", "rhine granite plum"),
                 ("zinc sheep chisel elbe", "zinc sheep chisel volga")]
        texts = {f"{side}{n}": pair[n_side] for n, pair in enumerate(pairs) for n_side, side in enumerate("ab")}
        qrels = [(f"{side}{n}", f"{other}{n}") for n in range(len(pairs)) for side, other in ("ab", "ba")]
        self.cluster.ok("data", "import", "own-opposites", write_beir(self.cluster.folder / "opposites", texts, qrels))
        self.check_opposites("own-opposites")

    def test_the_field_cases_of_equal_ids(self):
        case = SHARED / "cases/28-query-is-a-document"
        if not case.is_dir():
            print(f"NOT TRIED: {case} does not exist; the previous test has its own input")
            return
        for name in ("opposites", "row-numbers"):
            self.cluster.ok("data", "import", name, case / name)
        self.check_opposites("opposites")
        # In this set the relevant document has the query's id. It is left out of the ranking, but still counts as relevant.
        self.assertGreater(self.measure("row-numbers", False)["ndcg@10"], 0)
        self.assertEqual(set(self.measure("row-numbers", True).values()), {0})

    def test_training_in_which_no_query_has_a_negative_is_refused_at_submission(self):
        rows = "".join(json.dumps({"query": f"apple {n}", "pos": ["iron zinc"], "neg": []}) + "\n" for n in range(8))
        own = self.cluster.folder / "same.jsonl"
        own.write_text(rows)
        files = [own]
        case = SHARED / "cases/33-no-negative-anywhere/train.jsonl"
        files += [case] if case.is_file() else print(f"NOT TRIED: {case} does not exist") or []
        for n, file in enumerate(files):
            self.cluster.ok("data", "import", f"same-{n}", file)
            path = self.cluster.folder / f"same-{n}.yaml"
            job = topics_job(f"same-{n}", data={"train": f"same-{n}"})
            del job["report"]
            path.write_text(json.dumps(job))
            refused = self.cluster.muster("submit", path)
            self.assertEqual(refused.code, 2, refused)
            self.assertIn("data.train: no query of split \"train\" ever has a negative", refused.err)

    def test_unused_hard_negatives_are_noted_at_submission(self):
        rows = "".join(json.dumps({"query": f"apple {n}", "pos": [f"iron {n}"], "neg": ["wolf"]}) + "\n" for n in range(8))
        file = self.cluster.folder / "unused.jsonl"
        file.write_text(rows)
        self.cluster.ok("data", "import", "unused", file)
        path = self.cluster.folder / "unused.yaml"
        job = topics_job("unused", data={"train": "unused"}, duration={"steps": 1})
        del job["report"]
        path.write_text(json.dumps(job))
        noted = self.cluster.ok("submit", path)
        self.assertIn("note: data.negatives.per_query: is left out, so the 8 hard negatives of split \"train\" are not used.",
                      noted.err)
        used = self.cluster.ok("submit", path, "--set", "data.negatives.per_query=1")
        self.assertEqual(used.err, "")

    def test_an_export_names_what_was_trained_also_when_it_is_trained_again(self):
        source = {"preset": "tiny", "tokenizer": "small-vocab"}
        for passage, dropout in ((40, 0.2), (24, 0.1)):
            job = topics_job(f"length-{passage}", duration={"steps": 2})
            job["model"] = {**source, "max_length": {"query": 16, "passage": passage}, "dropout": dropout}
            job_id = self.cluster.wait_for_phase(self.cluster.submit(job), "JOB_PHASE_SUCCEEDED")["id"]
            target = self.cluster.folder / f"length-{passage}"
            self.cluster.ok("export", job_id, target)
            read = lambda name: json.loads((target / name).read_text())
            self.assertEqual(read("sentence_bert_config.json")["max_seq_length"], passage)
            self.assertEqual(read("tokenizer_config.json")["model_max_length"], passage)
            self.assertEqual(read("config.json")["hidden_dropout_prob"], dropout)
            self.assertIn(f"training cut queries to 16 and passages to {passage}", (target / "README.md").read_text())
            self.cluster.ok("models", "push", f"length-{passage}", target)
            source = {"from": f"length-{passage}"}
        evaluate = ["eval", "length-24", "topics", "--output", "json", "--set", "model.max_length.query=16", "--set"]
        self.assertIn("note: model.max_length: queries are cut at 16 tokens and passages at 20, and the model's folder says 24",
                      self.cluster.ok(*evaluate, "model.max_length.passage=20").err)
        self.assertEqual(self.cluster.ok(*evaluate, "model.max_length.passage=24").err.count("note:"), 0)

        # A tool that cuts texts at the folder's length: its profile cannot do that, and the submission says so.
        path = self.cluster.folder / "as-the-tool.yaml"
        path.write_text(json.dumps(topics_job("as-the-tool", model={"from": "length-24"}, profile="sentence-transformers")))
        self.assertIn("note: model.max_length: queries are cut at 64 tokens and passages at 256, and the model's folder says 24, where "
                      "sentence-transformers cuts.", self.cluster.ok("submit", path, "--dry-run").err)
        for other in ("profile=null", "model.max_length.passage=24"):
            self.assertEqual(self.cluster.ok("submit", path, "--dry-run", "--set", other).err, "", other)


if __name__ == "__main__":
    unittest.main(verbosity=2)
