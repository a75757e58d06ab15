"""Clusters that run a study of small jobs, and its reports."""
import json
import unittest

from cluster import Cluster, push_topics

FILES = ["arms.csv", "comparisons.csv", "jobs.csv", "report.html", "report.md"]


class StudyTest(unittest.TestCase):
    def cluster(self, study):
        """A fresh cluster with two slots, and the study in its file."""
        cluster = Cluster(slots=2)
        self.addCleanup(cluster.close)
        cluster.start()
        push_topics(cluster)
        self.file = cluster.folder / "study.yaml"
        self.file.write_text(json.dumps(study))
        return cluster

    def jobs(self, cluster, study):
        return cluster.ok("jobs", "--name", f"{study['study']}.", "--limit", "0", "--output", "json").json().get("jobs", [])

    def report(self, cluster, name):
        folder = cluster.folder / name
        cluster.ok("study", "report", self.file, "--out", folder)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), FILES)
        return {path.name: path.read_bytes() for path in folder.iterdir()}
