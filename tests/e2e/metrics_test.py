"""Prometheus endpoints of the servers on their own port, compared with the catalog; the standard gRPC health
service; logs as JSON."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, TopicsCase, topics_job, wait_until  # noqa: E402

import grpc  # noqa: E402

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+0-9.eEinfNa]+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
PROGRAMS = {"coordinator": "muster-coordinator", "data": "muster-data", "worker": "muster-worker"}
TRAIN_QUERIES = 54  # of the topics set


def read(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        return reply.read().decode()


def parse(text):
    """(types, samples): {family: type} and [(name, {label: value}, number)]; fails if the text is not in Prometheus'
    format."""
    types, samples = {}, []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            samples.append((match.group(1), dict(LABEL.findall(match.group(2) or "")), float(match.group(3))))
    return types, samples


def values(samples, name, **labels):
    return [number for own, has, number in samples
            if own == name and all(has.get(key) == value for key, value in labels.items())]


def family_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name[:-len(suffix)]) in ("histogram", "summary"):
            return name[:-len(suffix)]
    return name


class Metrics(TopicsCase):
    slots = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addresses = cls.cluster.info()["metrics"]
        cls.catalogue = {family["name"]: family
                         for family in json.loads(subprocess.run([BIN / "muster-metrics-doc", "--json"], check=True,
                                                                 capture_output=True, text=True).stdout)}
        cls.job_families = [name for name in cls.catalogue if name.startswith("muster_job_") and
                            name != "muster_job_transitions_total"]
        # Long enough for several ticks of the coordinator. 54 queries in steps of 16 make an epoch of 4 steps.
        cls.job = cls.cluster.submit(topics_job(
            "measured", duration={"steps": 400}, checkpoint={"every_steps": 50, "keep": 2},
            evaluate={"dataset": "topics", "split": "test", "every_steps": 50},
            report={"dataset": "topics", "split": "test", "allow_selection_split": True}))
        # Evaluations and steps do not happen at the same time, so each value must have been present once.
        cls.live = {}

        def every_family_is_there():
            text = read(cls.addresses["coordinator"])
            for name, labels, number in parse(text)[1]:
                if labels.get("job") == cls.job:
                    cls.live.setdefault(name, []).append((labels, number))
            assert cls.cluster.job(cls.job)["phase"] not in ("JOB_PHASE_SUCCEEDED", "JOB_PHASE_FAILED"), (
                "the job ended before its series came: " + str(set(cls.job_families) - set(cls.live)))
            cls.worker_live = read(cls.addresses["worker"])
            skews = [number for _, number in cls.live.get("muster_job_rank_skew_seconds", [])]  # 0 after the first step
            return (set(cls.job_families) <= set(cls.live) and any(skew > 0 for skew in skews) and
                    "muster_rank_resident_bytes{" in cls.worker_live)
        wait_until("the job has all its series", every_family_is_there, 60)
        cls.cluster.wait_for_phase(cls.job, "JOB_PHASE_SUCCEEDED", seconds=400)

    def scrape(self, server):
        return parse(read(self.addresses[server]))

    def test_a_running_job_shows_what_it_does(self):
        last = {name: samples[-1] for name, samples in self.live.items()}
        self.assertGreater(last["muster_job_step"][1], 0)
        self.assertEqual(last["muster_job_total_steps"][1], 400)
        self.assertEqual(last["muster_job_slots"][1], 2)
        self.assertEqual(last["muster_job_attempt"][1], 1)
        self.assertEqual(last["muster_job_info"][0]["name"], "measured")
        self.assertGreater(last["muster_job_gathered_bytes"][1], 16 * 128 * 4)
        self.assertGreaterEqual(last["muster_job_effective_positives"][1], 1)
        self.assertTrue(any(number > 0 for _, number in self.live["muster_job_rank_skew_seconds"]))
        phases = {labels["phase"] for labels, _ in self.live["muster_job_step_seconds"]}
        self.assertEqual(phases, {"data", "encode", "gather", "loss", "backward", "reduce", "optimise", "other"})
        self.assertIn(("ndcg@10", "topics", "test"), {(labels["metric"], labels["dataset"], labels["split"])
                                                      for labels, _ in self.live["muster_job_evaluation"]})
        kinds = {labels["kind"]: number for labels, number in self.live["muster_job_mean_similarity"]}
        self.assertLessEqual(abs(kinds["positive"]), 1.001)
        samples = parse(self.worker_live)[1]
        for slot in ("0", "1"):
            self.assertGreater(sum(values(samples, "muster_rank_resident_bytes", slot=slot)), 1 << 20)

    def test_series_of_an_ended_job_and_of_its_ranks_disappear(self):
        wait_until("no series of the job", lambda: not any(
            labels.get("job") == self.job for _, labels, _ in self.scrape("coordinator")[1]), 10)
        wait_until("no memory of ranks", lambda: not values(self.scrape("worker")[1], "muster_rank_resident_bytes"), 10)
        self.assertGreater(sum(values(self.scrape("worker")[1], "muster_rank_cpu_seconds_total")), 0)

    def test_the_coordinator_counts_jobs_by_phase(self):
        samples = self.scrape("coordinator")[1]
        self.assertEqual(values(samples, "muster_job_transitions_total", phase="succeeded"), [1.0])
        self.assertEqual(values(samples, "muster_attempts_total", end="succeeded"), [1.0])
        # Gauges follow the coordinator's tick.
        wait_until("one worker is ready", lambda: values(
            self.scrape("coordinator")[1], "muster_workers", state="ready") == [1], 10)
        wait_until("the job is known as succeeded", lambda: values(
            self.scrape("coordinator")[1], "muster_jobs", phase="succeeded") == [1], 10)

    def test_every_query_of_every_epoch_was_applied_once(self):
        samples = self.scrape("coordinator")[1]
        self.assertEqual(values(samples, "muster_epoch_queries_total", kind="committed"), [100 * TRAIN_QUERIES])
        self.assertEqual(values(samples, "muster_epoch_queries_total", kind="duplicated"), [0])
        self.assertEqual(values(samples, "muster_epoch_queries_total", kind="missing"), [0])
        self.assertEqual(values(samples, "muster_rank_disagreements_total"), [0])

    def test_checkpoints_and_goodput_are_counted(self):
        samples = self.scrape("coordinator")[1]
        stored = values(samples, "muster_checkpoints_total")
        left_out = self.cluster.ok("logs", self.job).out.count("no checkpoint of step")  # storing one can take 50 steps
        self.assertEqual(stored[0] + left_out, 8, "one that is due is stored, or the log says why it is not")
        self.assertEqual(values(samples, "muster_checkpoint_seconds_count"), stored)
        self.assertEqual(values(samples, "muster_checkpoints_refused_total"), [0])
        self.assertGreater(values(samples, "muster_checkpoint_bytes_total")[0], 8 << 20)
        self.assertGreater(values(samples, "muster_goodput_seconds_total", phase="train")[0], 0)
        self.assertEqual(values(samples, "muster_goodput_seconds_total", phase="lost"), [0])
        self.assertEqual(values(samples, "muster_scheduling_decisions_total", result="placed"), [1])
        self.assertGreater(values(samples, "muster_state_free_bytes")[0], 0)

    def test_the_agent_counts_ranks(self):
        samples = self.scrape("worker")[1]
        self.assertEqual(sum(values(samples, "muster_agent_rank_exits_total")), 2)
        self.assertEqual(sum(values(samples, "muster_agent_ranks_running")), 0)

    def test_the_data_server_counts_steps_and_what_it_keeps(self):
        samples = self.scrape("data")[1]
        self.assertGreaterEqual(sum(values(samples, "muster_stream_steps_total")), 800)
        self.assertEqual(values(samples, "muster_plan_seconds_count"), [400])
        wait_until("one dataset", lambda: values(
            self.scrape("data")[1], "muster_datasets") == [1], 15)
        self.assertEqual({labels["kind"] for name, labels, _ in samples if name == "muster_store_bytes"},
                         {"datasets", "tokens", "blobs"})

    def test_every_server_serves_what_the_catalogue_declares_and_nothing_else(self):
        texts = {server: read(address) for server, address in self.addresses.items()}
        texts["worker"] += self.worker_live
        for server, text in texts.items():
            program = PROGRAMS[server]
            types, samples = parse(text)
            for family, kind in types.items():
                with self.subTest(server=server, family=family):
                    declared = self.catalogue.get(family)
                    self.assertIsNotNone(declared, "not declared")
                    self.assertEqual(kind, declared["type"])
                    self.assertIn(program, declared["programs"])
                    if family.startswith("muster_"):  # the library's own metrics have its own help
                        self.assertIn(f"# HELP {family} {declared['help']}\n", text)
            for name, labels, _ in samples:
                declared = self.catalogue[family_of(name, types)]
                own = [label for label in labels if label != "le"]
                with self.subTest(server=server, name=name, labels=labels):
                    if own or declared["type"] != "summary":
                        self.assertEqual(sorted(own), sorted(label["name"] for label in declared["labels"]))
                    for label in declared["labels"]:
                        if label["values"]:
                            self.assertIn(labels[label["name"]], label["values"])
            seen = {family_of(name, types) for name, _, _ in samples}
            for name, declared in self.catalogue.items():
                if program in declared["programs"] and declared["from_start"]:
                    self.assertIn(name, seen, f"{program} does not serve it")

    def test_names_contain_their_units(self):
        for name, family in self.catalogue.items():
            with self.subTest(family=name):
                if name.startswith("exposer_"):
                    continue
                for word, units in {"seconds": ("seconds", "slot-seconds", "seconds since 1970"), "bytes": ("bytes",),
                                    "ratio": ("ratio",), "celsius": ("degrees Celsius",), "nats": ("nats",)}.items():
                    base = re.sub(r"_total$", "", name)
                    if base.endswith("_" + word):
                        self.assertIn(family["unit"], units)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed: its lint of the metrics is left out")
    def test_promtool_has_no_findings(self):
        for server, address in self.addresses.items():
            own = re.sub(r"(?m)^(# (HELP|TYPE) )?exposer_.*\n", "", read(address))  # the library's
            done = subprocess.run(["promtool", "check", "metrics"], input=own, text=True, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), server)

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
                    call("/muster.v1.JobService/ListJobs", b"")
                self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


class JsonLogs(unittest.TestCase):
    def test_every_line_of_every_server_is_an_object(self):
        commands = {
            "muster-coordinator": ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", "127.0.0.1:9"],
            "muster-data": ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"],
            "muster-worker": ["--coordinator", "127.0.0.1:9", "--metrics", "127.0.0.1:0", "--device", "cpu", "--name", "w1"],
        }
        for program, flags in commands.items():
            with self.subTest(program=program), tempfile.TemporaryDirectory() as folder:
                ports = pathlib.Path(folder) / "ports.json"
                server = subprocess.Popen([BIN / program, "--insecure", "--log-format", "json", "--state", f"{folder}/state",
                                           "--port-file", ports, *flags], stderr=subprocess.PIPE, text=True)
                try:
                    wait_until(f"{program} is ready", ports.is_file, 30)
                finally:
                    server.send_signal(signal.SIGTERM)
                    errors = server.communicate(timeout=30)[1]
                self.assertEqual(server.returncode, 0, errors)
                lines = [json.loads(line) for line in errors.splitlines()]
                self.assertGreater(len(lines), 0)
                for line in lines:
                    self.assertEqual(line["program"], program)
                    self.assertRegex(line["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                    self.assertIn(line["level"], ("info", "warning", "error"))
                    self.assertTrue(line["message"])
                if program == "muster-worker":
                    self.assertTrue(any(line.get("worker") == "w1" for line in lines), lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
