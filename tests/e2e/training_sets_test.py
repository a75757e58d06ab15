"""A job that trains on two datasets with weights, on a real cluster: which queries its steps have, and what it exports."""
import collections
import hashlib
import json
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import audit  # noqa: E402
from cluster import TopicsCase, topics_job, write_topics  # noqa: E402

# 54 queries of topics and 36 of more. An epoch has 27 of the first and 36 + 18 of the second, in 2 + 4 steps of 16.
WEIGHTS = {"topics": 0.5, "more": 1.5}
QUERIES, STEPS_PER_EPOCH = 81, 6


def training_queries(folder):
    """The digests of a topics folder's training queries, as the audit log has them."""
    trained = {line.split("\t")[0] for line in (folder / "qrels/train.tsv").read_text().splitlines()[1:]}
    records = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    texts = [f"{record['_id']}\0{record['text']}".encode() for record in records if record["_id"] in trained]
    return {"%016x" % int.from_bytes(hashlib.sha256(text).digest()[:8], "little") for text in texts}


def write_more(folder, seed):
    """36 training queries, with ids that topics does not have, so that no query has the digest of one of topics."""
    write_topics(folder, queries_per_topic=8, seed=seed)
    for name in ("queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        (folder / name).write_text((folder / name).read_text().replace("-q", "-more"))
    return folder


def sets_job(name, ranks=2, homogeneous=True, **changes):
    sets = [{"dataset": dataset, "weight": weight} for dataset, weight in WEIGHTS.items()]
    return topics_job(name, data={"sets": sets, "homogeneous_batches": homogeneous, "positives": {"per_query": 2}},
                      resources={"device": "cpu", "slots": {"min": ranks, "max": ranks}, "threads": 1},
                      **{"duration": {"epochs": 4}, **changes})


class TrainingSets(TopicsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.cluster.folder
        cls.cluster.ok("data", "import", "more", write_more(folder / "more", seed=8))
        cls.of_set = {name: training_queries(folder / name) for name in WEIGHTS}

    def run_job(self, job):
        return self.cluster.wait_for_phase(self.cluster.submit(job), "JOB_PHASE_SUCCEEDED", seconds=240)

    def model_of(self, job_id):
        target = self.cluster.folder / f"export-{job_id}"
        self.cluster.ok("export", job_id, target)
        return hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest(), (target / "README.md").read_text()

    def batches(self, job_id):
        """The queries of each step that the final weights saw, of all ranks together."""
        lineage = audit.lineage_of_step_log(self.cluster.ok("get", job_id, "--metrics", "csv").out)
        logs = audit.read_logs(self.cluster.audit, job_id)
        found = []
        for step in sorted(lineage):
            ranks = logs[lineage[step]]
            world = max(world for world, _ in ranks.values())
            found.append(sorted(query for rank in range(world) for query in ranks[rank][1][step][1]))
        return found

    def assert_counts(self, batches):
        """Every query as often as its set's weight says, in each pair of epochs."""
        self.assertEqual([len(of_set) for of_set in self.of_set.values()], [54, 36])
        for begin in range(0, len(batches) - 2 * STEPS_PER_EPOCH + 1, 2 * STEPS_PER_EPOCH):
            counts = collections.Counter(query for batch in batches[begin:begin + 2 * STEPS_PER_EPOCH] for query in batch)
            for name, weight in WEIGHTS.items():
                self.assertEqual({counts.pop(query, 0) for query in self.of_set[name]}, {2 * weight}, name)
            self.assertEqual(counts, {})

    def test_one_set_of_weight_one_exports_the_bytes_of_data_train(self):
        data = {"positives": {"per_query": 3}}
        train = self.run_job(topics_job("train", data={"train": "topics", **data}))
        one = self.run_job(topics_job("one", data={"sets": [{"dataset": "topics"}], **data}))
        self.assertEqual(self.model_of(one["id"])[0], self.model_of(train["id"])[0])
        self.assertEqual(one["resolved"]["train_datasets"], [train["resolved"]["train_dataset"]])
        self.assertEqual("", one["resolved"]["train_dataset"])

    def test_each_step_has_queries_of_one_set_on_any_number_of_ranks(self):
        jobs = [self.run_job(sets_job(f"on-{ranks}", ranks)) for ranks in (1, 2)]
        for job in jobs:
            self.assertEqual(int(job["resolved"]["train_queries"]), QUERIES)
            self.assertEqual(int(job["resolved"]["steps_per_epoch"]), STEPS_PER_EPOCH)
            self.assertEqual(int(job["resolved"]["total_steps"]), 4 * STEPS_PER_EPOCH)
        one, two = (self.batches(job["id"]) for job in jobs)
        self.assertEqual(one, two)
        self.assert_counts(one)
        of_steps = [[name for name, of_set in self.of_set.items() if set(batch) <= of_set] for batch in one]
        self.assertTrue(all(len(names) == 1 for names in of_steps), of_steps)
        for epoch in range(4):
            names = [names[0] for names in of_steps[epoch * STEPS_PER_EPOCH:(epoch + 1) * STEPS_PER_EPOCH]]
            self.assertEqual(collections.Counter(names), {"topics": 2, "more": 4})
        card = self.model_of(jobs[0]["id"])[1]
        self.assertIn("| training set | topics (train), weight 0.5 |", card)
        self.assertIn("| training set | more (train), weight 1.5 |", card)
        self.assertIn("topics/train x 0.5, more/train x 1.5, 81 queries", self.cluster.ok("get", jobs[0]["id"]).out)

    def test_a_mixed_job_that_is_killed_exports_the_bytes_of_an_undisturbed_one(self):
        changes = {"homogeneous": False, "duration": {"epochs": 16}}
        undisturbed = self.run_job(sets_job("undisturbed", **changes))
        killed = self.cluster.submit(sets_job("killed", **changes))
        self.cluster.wait_for_step(killed, 12)
        os.kill(self.cluster.rank_pids()[-1], signal.SIGKILL)
        done = self.cluster.wait_for_phase(killed, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"]), 2)
        self.assertEqual(self.model_of(killed)[0], self.model_of(undisturbed["id"])[0])
        batches = self.batches(killed)
        self.assertEqual(batches, self.batches(undisturbed["id"]))
        self.assert_counts(batches)
        self.assertTrue(any(not set(batch) <= of_set for batch in batches for of_set in self.of_set.values()))

    def test_a_job_keeps_the_datasets_that_its_names_had_when_it_was_submitted(self):
        cluster = self.cluster
        cluster.ok("data", "import", "moving", write_more(cluster.folder / "before", seed=9))
        data = {"sets": [{"dataset": "topics"}, {"dataset": "moving"}]}
        job_id = cluster.submit(topics_job("moving", data=data, duration={"epochs": 30}))
        resolved = cluster.job(job_id)["resolved"]["train_datasets"]
        cluster.wait_for_step(job_id, 3)
        cluster.ok("pause", job_id)
        cluster.wait_for_phase(job_id, "JOB_PHASE_PAUSED")
        cluster.ok("data", "import", "moving", write_more(cluster.folder / "after", seed=10), "--replace")
        cluster.ok("gc")
        cluster.ok("resume", job_id)
        cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        seen = {query for batch in self.batches(job_id) for query in batch}
        self.assertEqual(seen, self.of_set["topics"] | training_queries(cluster.folder / "before"))
        again = self.run_job(topics_job("moved", data=data, duration={"epochs": 1}))["resolved"]["train_datasets"]
        self.assertEqual((again[0] == resolved[0], again[1] == resolved[1]), (True, False))

    def test_a_dry_run_shows_the_sets_and_what_is_wrong_is_named(self):
        path = self.cluster.folder / "dry.yaml"
        path.write_text(json.dumps(sets_job("dry")))
        shown = self.cluster.ok("submit", path, "--dry-run").out
        self.assertIn("topics/train x 0.5, more/train x 1.5, 81 queries", shown)
        self.assertRegex(shown, r"steps +24, 6 per epoch, of 16 queries")
        for change, message in [
                ("data.sets=[{dataset: topics}, {dataset: mroe}]", 'data.sets[1].dataset: dataset "mroe" does not exist.'),
                ("data.sets=[{dataset: topics}, {dataset: more, split: dev}]",
                 'data.sets[1].split: dataset "more" has no split "dev".'),
                ("data.sets=[{dataset: topics}, {dataset: topics}]", 'data.sets[1]: is split "train" of dataset "topics"'),
                ("data.sets=[{dataset: topics, weight: 0.001}]", "data.sets[0].weight: is 0.001, and the set has 54 queries"),
                ("data.train=topics", "data.train: excludes data.sets."),
                ("data.positives.sources=[clicks]",
                 'data.positives.sources: no dataset of data.sets has judgments of source "clicks".')]:
            refused = self.cluster.muster("submit", path, "--set", change)
            self.assertNotEqual(refused.code, 0, change)
            self.assertIn(message, refused.err, change)


if __name__ == "__main__":
    unittest.main()
