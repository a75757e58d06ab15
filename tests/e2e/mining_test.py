"""Hard negatives mined on a real cluster: what is mined, on any number of ranks, through failures, and training with it."""
import json
import os
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import ROOT, Cluster, push_topics, topics_job, wait_until, write_topics, write_vocabulary  # noqa: E402


def mining_job(name, model, dataset, out, slots=2, **mine):
    return {"name": name, "model": {"from": model, "max_length": {"query": 16, "passage": 16}}, "duration": {"steps": 0},
            "mine": {"dataset": dataset, "out": out, **mine},
            "resources": {"device": "cpu", "slots": {"min": slots, "max": slots}, "threads": 1}}


class Mining(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster, twins=True)
        job_id = cls.cluster.submit(topics_job("teacher", duration={"steps": 15}))
        cls.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        cls.model = f"job:{job_id}"

    def mined(self, *job, **mine):
        job_id = self.cluster.submit(mining_job(*job, **mine))
        return self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")

    def digest(self, dataset):
        return self.cluster.ok("data", "show", dataset, "--output", "json").json()["digest"]

    def judged(self, dataset):
        """{query: [judged passage]} of split train."""
        shown = self.cluster.ok("data", "show", dataset, "--split", "train", "--queries", 100, "--output", "json").json()
        return {query["id"]: query["judged"] for query in shown["sample"]["queries"]}

    def test_mined_negatives_are_never_judged_and_a_job_trains_with_them(self):
        cluster = self.cluster
        done = cluster.ok("mine", "topics", "--model", self.model, "--out", "topics-mined", "--ranks", "1-20", "--per-query", 3,
                          "--relative-margin", 0, "--set", "resources.slots.min=2", "--set", "model.max_length.passage=16")
        self.assertIn("muster data report topics-mined", done.out)
        before, after = self.judged("topics"), self.judged("topics-mined")
        self.assertEqual(set(before), set(after))
        self.assertEqual(len(after), 54)
        texts = {json.loads(line)["_id"]: json.loads(line)["text"]
                 for line in (cluster.folder / "topics/corpus.jsonl").read_text().splitlines()}
        for query, judged in after.items():
            mined = [passage for passage in judged if passage.get("source") == "mined"]
            self.assertEqual(len(mined), 3, query)
            self.assertTrue(all(passage["hard_negative"] for passage in mined))
            relevant = {texts[passage["id"]] for passage in before[query]}
            self.assertFalse(relevant & {texts[passage["id"]] for passage in mined}, "also not under the id of a twin")
            self.assertEqual(len({texts[passage["id"]] for passage in mined}), 3, "each text once")
            self.assertEqual([p["id"] for p in judged if p.get("source") != "mined"], [p["id"] for p in before[query]])
        report = cluster.ok("data", "report", "topics-mined", "--output", "json").json()
        self.assertEqual(int(report["sources"]["mined"]), 3 * 54)
        self.assertIn(f"with {self.model} from dataset topics", report["notes"][0])

        job_id = cluster.submit(topics_job("with-mined", data={"train": "topics-mined", "positives": {"per_query": 3},
                                                               "negatives": {"per_query": 2}}))
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in job["evaluations"]}
        print("trained with mined negatives: ndcg@10", scores)
        self.assertGreater(scores["trained"], scores["untrained"] + 0.1)

    def test_the_number_of_ranks_changes_nothing_and_the_seed_does(self):
        for name, sampling in (("top", {}), ("random", {"sampling": "random"})):
            job = self.mined(f"{name}-1", self.model, "topics", f"{name}-one", 1, relative_margin=0, **sampling)
            self.assertEqual(job["reason"], f"mined; 216 negatives for 54 queries, in dataset {name}-one")
            self.mined(f"{name}-2", self.model, "topics", f"{name}-two", 2, relative_margin=0, **sampling)
            self.assertEqual(self.digest(f"{name}-one"), self.digest(f"{name}-two"))
        self.assertNotEqual(self.digest("top-one"), self.digest("random-one"))
        self.cluster.ok("mine", "topics", "--model", self.model, "--out", "random-other", "--sampling", "random", "--seed", 18,
                        "--relative-margin", 0, "--set", "model.max_length={query: 16, passage: 16}")
        self.assertNotEqual(self.digest("random-other"), self.digest("random-one"))

    def test_a_margin_leaves_queries_with_fewer_and_says_so(self):
        job = self.mined("margin", self.model, "topics", "with-margin", relative_margin=0.5, ranks={"last": 30}, per_query=8)
        self.assertRegex(job["reason"], r"^mined; \d+ negatives for 54 queries, in dataset with-margin; \d+ queries have fewer than 8$")

    def test_the_datasets_own_name_points_to_the_next_version(self):
        self.cluster.ok("data", "import", "own", self.cluster.folder / "topics")
        before = self.digest("own")
        self.assertEqual(before, self.digest("topics"))
        self.mined("own", self.model, "own", "own", relative_margin=0)
        first = self.digest("own")
        self.assertNotEqual(first, before)
        self.mined("own-again", self.model, "own", "own", relative_margin=0)
        self.assertEqual(self.digest("own"), first, "the same negatives, once")

    def test_a_name_that_exists_is_refused_at_once(self):
        result = self.cluster.muster("mine", "topics", "--model", self.model, "--out", "small-name", "--split", "nothing")
        self.assertEqual(result.code, 2, result)
        self.assertIn("has no split \"nothing\"", result.err)
        self.cluster.ok("data", "import", "taken", self.cluster.folder / "topics")
        result = self.cluster.muster("mine", "topics", "--model", self.model, "--out", "taken")
        self.assertEqual(result.code, 2, result)
        self.assertIn('mine.out: dataset "taken" exists', result.err)


class Guide(unittest.TestCase):
    """The commands of docs/guides/mining.md, in their order, on a small set under the names that the page uses."""

    def test_every_command_of_the_page_runs_and_prints_what_it_shows(self):
        page = (ROOT / "docs/guides/mining.md").read_text(encoding="utf-8")
        commands = re.findall(r"^    (muster [^\n]+)\n(?:\n```text\n(.*?)```)?", page, re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(commands), 4)
        with Cluster(slots=1) as cluster:
            cluster.ok("models", "push", "small-vocab", write_vocabulary(cluster.folder / "vocab"))
            cluster.ok("data", "import", "faq", write_topics(cluster.folder / "faq", documents_per_topic=30))
            first = cluster.submit(topics_job("first", data={"train": "faq"}, report=None, resources={"device": "cpu"}))
            cluster.wait_for_phase(first, "JOB_PHASE_SUCCEEDED")
            cluster.ok("export", "first", cluster.folder / "model")
            cluster.ok("models", "push", "minilm", cluster.folder / "model")
            for command, shown in commands:
                result = cluster.ok(*command.split()[1:])
                if shown:
                    self.assertEqual(re.sub(r"^job \w+", "job ID", result.out), re.sub(r"^job \w+", "job ID", shown), command)


class MiningThroughFailures(unittest.TestCase):
    """A corpus whose encoding lasts for some seconds."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster)
        cls.cluster.ok("data", "import", "large", write_topics(cls.cluster.folder / "large", documents_per_topic=20000))
        job_id = cls.cluster.submit(topics_job("teacher", duration={"steps": 2}, report=None))
        cls.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        cls.model = f"job:{job_id}"

    def mining(self, name, out):
        """Submits the job, and returns while it encodes."""
        job_id = self.cluster.submit(mining_job(name, self.model, "large", out, relative_margin=0))

        def encodes():
            progress = self.cluster.job(job_id).get("progress", {})
            return progress.get("activity") == "mining" and 0 < progress.get("done", 0) < 0.9
        wait_until("it encodes", encodes, 60, every=0.02)
        return job_id

    def digest(self, dataset):
        return self.cluster.ok("data", "show", dataset, "--output", "json").json()["digest"]

    def test_a_worker_killed_in_the_middle_changes_nothing(self):
        cluster = self.cluster
        undisturbed = cluster.submit(mining_job("undisturbed", self.model, "large", "undisturbed", relative_margin=0))
        cluster.wait_for_phase(undisturbed, "JOB_PHASE_SUCCEEDED", seconds=300)
        job_id = self.mining("killed", "killed")
        worker = cluster.info()["pids"]["worker"]
        os.kill(worker, signal.SIGKILL)
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=300)
        self.assertGreaterEqual(len(job["attempts"]), 2, job["attempts"])
        self.assertEqual(self.digest("killed"), self.digest("undisturbed"))

    def test_a_killed_data_server_is_waited_for(self):
        cluster = self.cluster
        job_id = self.mining("data-killed", "data-killed")
        os.kill(cluster.info()["pids"]["data"], signal.SIGKILL)
        cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=300)
        self.assertEqual(int(cluster.ok("data", "report", "data-killed", "--output", "json").json()["sources"]["mined"]), 4 * 54)

    def test_a_canceled_job_makes_no_dataset(self):
        cluster = self.cluster
        job_id = self.mining("canceled", "canceled")
        cluster.ok("cancel", job_id)
        cluster.wait_for_phase(job_id, "JOB_PHASE_CANCELLED")
        wait_until("its ranks have ended", lambda: not cluster.rank_pids(), 30)
        self.assertNotIn('"canceled"', cluster.ok("data", "list", "--output", "json").out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
