"""Every address is an IPv6 literal: a job of two ranks on two workers trains, and metrics can be scraped."""
import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from apart import Apart, Server  # noqa: E402
from cluster import push_topics, topics_job  # noqa: E402


class ServerOnIPv6(Server):
    host = "[::1]"


class ClusterOnIPv6(Apart):
    Server = ServerOnIPv6

    def certs(self, role, name, *more):
        return super().certs(role, name, *more, *(["--host", "::1"] if role in ("coordinator", "data") else []))


class IPv6(unittest.TestCase):
    def test_a_job_trains_and_metrics_are_scraped_over_ipv6_alone(self):
        with ClusterOnIPv6(slots=(1, 1)) as cluster:
            push_topics(cluster)
            job_id = cluster.submit(topics_job("six"))
            job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
            self.assertEqual({rank["worker"] for rank in job["attempts"][0]["ranks"]}, {"w1", "w2"})
            for server in cluster.servers:
                with self.subTest(server=server.name):
                    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as answer:
                        self.assertIn("muster_build_info", answer.read().decode())
            doctor = cluster.muster("doctor")
            self.assertEqual(doctor.code, 0, doctor)


if __name__ == "__main__":
    unittest.main(verbosity=2)
