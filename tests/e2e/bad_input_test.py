"""Bad input gets one clear error with place and remedy, the documented exit code, and leaves no trace."""
import json
import pathlib
import shutil
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import MINILM, Cluster, push_topics, topics_job, write_topics, write_vocabulary  # noqa: E402

USAGE, REFUSED = 2, 6


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster)

    def setUp(self):
        self.folder = self.cluster.folder / self.id().rsplit(".", 1)[1]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.before = self.known()

    def known(self):
        names = [self.cluster.ok(*words, "--output", "json").out for words in (("data", "list"), ("models", "list"), ("jobs",))]
        stored = sorted(str(path.relative_to(self.cluster.state)) for place in ("data/datasets", "data/scratch", "data/tmp")
                        for path in (self.cluster.state / place).rglob("*"))
        return names, stored

    def refuse(self, code, pattern, *words):
        result = self.cluster.muster(*words)
        self.assertEqual(result.code, code, result)
        lines = [line for line in result.err.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, f"one line: {result!r}")
        self.assertRegex(lines[0], pattern)
        self.assertEqual(self.known(), self.before, "it left a trace")

    def test_a_truncated_record_is_named_by_file_and_line(self):
        write_topics(self.folder)
        path = self.folder / "corpus.jsonl"
        path.write_bytes(path.read_bytes()[:-9])
        self.refuse(USAGE, r"corpus\.jsonl:60: .*(Fix the line|--skip-bad)", "data", "import", "bad", self.folder)

    def test_a_qrels_line_with_three_words_but_no_tabs_or_score(self):
        write_topics(self.folder)
        with open(self.folder / "qrels/train.tsv", "a") as out:
            out.write("three words here\n")
        self.refuse(USAGE, r"qrels/train\.tsv:\d+: .*3 tab-separated fields.*(Fix the line|--skip-bad)", "data", "import", "bad", self.folder)

    def test_skip_bad_tolerates_as_many_as_it_says(self):
        write_topics(self.folder)
        with open(self.folder / "qrels/train.tsv", "a") as out:
            out.write("three words here\n")
        done = self.cluster.ok("data", "import", "tolerated", self.folder, "--skip-bad", "1")
        self.assertIn("train.tsv", done.out + done.err)
        self.cluster.ok("data", "rm", "tolerated")

    def test_an_empty_dataset(self):
        write_topics(self.folder)
        for split in ("train", "test"):
            (self.folder / f"qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n")
        self.refuse(USAGE, r"no query .*positive", "data", "import", "bad", self.folder)

    def test_an_empty_file(self):
        self.folder.mkdir()
        (self.folder / "train.jsonl").write_text("")
        self.refuse(USAGE, r"train\.jsonl", "data", "import", "bad", self.folder / "train.jsonl")

    def rows(self, name, query):
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(json.dumps({"query": query, "pos": ["text of " + query]}) + "\n")

    def test_test_rows_never_become_training_rows(self):
        self.rows("train.jsonl", "a")
        self.rows("test.jsonl", "b")
        self.cluster.ok("data", "import", "by-name", self.folder)
        splits = json.loads(self.cluster.ok("data", "show", "by-name", "--output", "json").out)["splits"]
        self.assertEqual({split["name"]: split["queries"] for split in splits}, {"train": "1", "test": "1"})
        self.cluster.ok("data", "rm", "by-name")
        self.before = self.known()
        self.rows("more.jsonl", "c")
        self.refuse(USAGE, r"test\.jsonl is named after split test, and more\.jsonl after none\. .*--split test=test\.jsonl", "data", "import",
                    "guess", self.folder)
        self.refuse(USAGE, r"test\.jsonl: is named after split test, and the given split is train", "data", "import", "guess",
                    self.folder / "test.jsonl", "--split", "train")

    def test_a_name_is_not_replaced_without_being_asked(self):
        self.rows("rows.jsonl", "a")
        self.refuse(REFUSED, r'dataset "topics" exists: splits .*train \(\d+ queries\); imported by \w+, at .*--replace', "data", "import",
                    "topics", self.folder)
        write_vocabulary(self.folder / "vocab")
        with open(self.folder / "vocab/vocab.txt", "a") as out:
            out.write("another\n")
        self.refuse(REFUSED, r'^models push: model "small-vocab" exists: a vocabulary of \d+; pushed by .*--replace', "models", "push",
                    "small-vocab", self.folder / "vocab")

    def test_replacing_keeps_the_splits_that_are_not_brought(self):
        self.rows("train.jsonl", "a")
        self.rows("test.jsonl", "b")
        self.cluster.ok("data", "import", "replaced", self.folder)
        self.rows("train.jsonl", "c")
        (self.folder / "test.jsonl").unlink()
        done = self.cluster.ok("data", "import", "replaced", self.folder, "--replace")
        self.assertIn("split test: kept", done.out)
        self.assertIn("split train: replaced", done.out)
        splits = json.loads(self.cluster.ok("data", "show", "replaced", "--output", "json").out)["splits"]
        self.assertEqual({split["name"]: split["queries"] for split in splits}, {"train": "1", "test": "1"})
        self.cluster.ok("data", "rm", "replaced")

    def test_a_named_schema_counts_whatever_the_file_is_called(self):
        self.rows("rows.txt", "a")
        self.refuse(USAGE, r"rows\.txt looks like JSON objects.*--schema flagembedding", "data", "import", "bad", self.folder / "rows.txt")
        self.cluster.ok("data", "import", "named", self.folder / "rows.txt", "--schema", "flagembedding")
        self.cluster.ok("data", "rm", "named")
        self.before = self.known()
        self.refuse(USAGE, r'unknown value "flagembeding".*Did you mean "flagembedding"', "data", "import", "bad", self.folder / "rows.txt",
                    "--schema", "flagembeding")

    def test_an_unknown_field_of_a_job(self):
        self.folder.mkdir()
        path = self.folder / "job.yaml"
        path.write_text("name: x\nmodel: {preset: tiny, tokenizer: small-vocab}\ndata: {train: topics}\nloss:\n  objectve: lsepair\nduration: {steps: 1}\n")
        self.refuse(USAGE, r"job\.yaml:5: .*objectve.*Did you mean \"objective\"", "submit", path)

    def test_an_unknown_value_of_a_job(self):
        self.folder.mkdir()
        path = self.folder / "job.yaml"
        path.write_text("name: x\nmodel: {preset: tiny, tokenizer: small-vocab}\ndata: {train: topics}\nloss:\n  objective: lse_pair\nduration: {steps: 1}\n")
        self.refuse(USAGE, r"job\.yaml:5: loss\.objective: .*\"lse_pair\".*rand1lh.*Did you mean \"lsepair\"", "submit", path)

    def test_an_unknown_dataset_of_a_job(self):
        self.folder.mkdir()
        path = self.folder / "job.yaml"
        path.write_text(json.dumps(topics_job("wrong-data", data={"train": "topic"})))
        self.refuse(REFUSED, r"data\.train: .*\"topic\".*topics", "submit", path)

    def test_a_gang_larger_than_the_cluster_waits_with_a_reason(self):
        job_id = self.cluster.submit(topics_job("too-large", resources={"device": "cpu", "slots": {"min": 3}}))
        self.assertRegex(self.cluster.job(job_id)["reason"], r"needs 3 .*1 free")
        self.cluster.ok("cancel", job_id)

    @unittest.skipUnless(MINILM.is_dir(), "the quick start's model is not unpacked (deploy/bootstrap --model)")
    def test_a_vocabulary_of_another_size_than_the_weights(self):
        shutil.copytree(MINILM, self.folder)
        with open(self.folder / "vocab.txt", "a") as out:
            out.write("onemore\n")
        self.refuse(USAGE, r"vocab\.txt has 30,523 entries.*word_embeddings\.weight has 30,522 rows", "models", "push", "bad", self.folder)

    @unittest.skipUnless(MINILM.is_dir(), "the quick start's model is not unpacked (deploy/bootstrap --model)")
    def test_a_missing_tensor(self):
        shutil.copytree(MINILM, self.folder)
        path = self.folder / "model.safetensors"
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + length])
        header["renamed"] = header.pop("encoder.layer.3.output.dense.bias")
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])
        self.refuse(USAGE, r"encoder\.layer\.3\.output\.dense\.bias", "models", "push", "bad", self.folder)

    def test_no_cluster_is_unreachable(self):
        done = self.cluster.muster("jobs", "--address", "127.0.0.1:1")
        self.assertEqual(done.code, 5, done)

    def test_without_a_certificate_of_the_authority_nothing_is_answered(self):
        other = self.cluster.folder / "other-authority"
        if not other.exists():
            self.cluster.ok("certs", "init", other)
            self.cluster.ok("certs", "issue", other, "--role", "user", "--name", "mallory", "--out", other / "user")
        done = self.cluster.muster("jobs", "--certs", other / "user")
        self.assertEqual(done.code, 5, done)


if __name__ == "__main__":
    unittest.main(verbosity=2)
