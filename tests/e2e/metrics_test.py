"""Prometheus endpoints of the servers on a port apart, and the standard gRPC health service."""
import pathlib
import re
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402

import grpc  # noqa: E402

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? ([-+0-9.eEinfNa]+)$')


def scrape(address):
    """{name: {labels: value}} of an endpoint; fails on a line that is not in Prometheus' text format."""
    samples = {}
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        for line in reply.read().decode().splitlines():
            if line and not line.startswith("#"):
                match = SAMPLE.match(line)
                assert match, line
                samples.setdefault(match.group(1), {})[match.group(2) or ""] = float(match.group(3))
    return samples


class Metrics(TopicsCase):
    slots = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        job_id = cls.cluster.submit(topics_job("measured", duration={"steps": 3}, resources={"device": "cpu"}))
        cls.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        cls.metrics = cls.cluster.info()["metrics"]

    def test_the_coordinator_counts_jobs_by_phase(self):
        samples = scrape(self.metrics["coordinator"])
        succeeded = [value for labels, value in samples["muster_job_transitions_total"].items() if "succeeded" in labels.lower()]
        self.assertEqual(succeeded, [1.0])
        # Gauges follow the coordinator's tick.
        wait_until("one worker is ready", lambda: scrape(self.metrics["coordinator"])["muster_workers"]['{state="ready"}'] == 1, 10)

    def test_the_agent_counts_ranks(self):
        samples = scrape(self.metrics["worker"])
        self.assertEqual(sum(samples["muster_agent_rank_exits_total"].values()), 1)
        self.assertEqual(sum(samples["muster_agent_ranks_running"].values()), 0)

    def test_the_data_server_counts_steps(self):
        self.assertGreaterEqual(sum(scrape(self.metrics["data"])["muster_stream_steps_total"].values()), 3)

    def test_every_family_carries_the_prefix(self):
        for server in ("coordinator", "data", "worker"):
            foreign = [name for name in scrape(self.metrics[server]) if not name.startswith(("muster_", "exposer_"))]
            self.assertEqual(foreign, [], server)

    def test_the_health_service_answers_serving(self):
        info = self.cluster.info()
        certs = pathlib.Path(info["certs"])
        credentials = grpc.ssl_channel_credentials(*[(certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem")])
        with grpc.secure_channel(info["address"], credentials) as channel:
            # grpc.health.v1.Health/Check with an empty request; the answer's field 1 is the status, 1 is SERVING.
            check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
            self.assertEqual(check(b"", timeout=10), b"\x08\x01")

    def test_probes_without_a_certificate_are_answered_and_nothing_else_is(self):
        for server, address in self.cluster.info()["health"].items():
            with self.subTest(server), grpc.insecure_channel(address) as channel:
                def call(method, message):
                    unary = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
                    return unary(message, timeout=10)
                self.assertEqual(call("/grpc.health.v1.Health/Check", b""), b"\x08\x01")
                self.assertEqual(call("/grpc.health.v1.Health/Check", b"\x0a\x04live"), b"\x08\x01")
                with self.assertRaises(grpc.RpcError) as refused:
                    call("/muster.v1.JobService/List", b"")
                self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


if __name__ == "__main__":
    unittest.main(verbosity=2)
