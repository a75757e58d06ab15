"""Every alert fires when its actual fault is injected, and clears when the fault has ended (alerts about wrong results last
for a week: deploy/prometheus/tests checks their end). And every panel of the dashboards has data. Real servers, Debian's
Prometheus, the shipped rules with shorter times (watching.py).
Independent faults run at the same time; each has a test that waits for it and reports it."""
import json
import os
import pathlib
import signal
import sys
import threading
import time
import unittest
from concurrent import futures

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import fake_nvml  # noqa: E402
import tiny_volume  # noqa: E402
from apart import Apart  # noqa: E402
from cluster import ROOT, push_topics, topics_job, wait_until  # noqa: E402
from watching import Prometheus  # noqa: E402
from wire import Proxy, backup_pb2, backup_pb2_grpc, channel, data_plane_pb2, data_plane_pb2_grpc, grpc  # noqa: E402

LONG = {"steps": 100000}
ONE_SLOT = {"device": "cpu", "slots": {"min": 1, "max": 1}, "threads": 1}
MIB = 1024 * 1024


class Watched:
    """The cluster, with a proxy in front of its data server, and the Prometheus that scrapes it."""

    def __init__(self):
        self.proxy = None
        self.cluster = Apart((2, 1), self.put_proxy_before)
        self.prometheus = Prometheus(self.cluster.folder / "prometheus")
        self.extra = {"data": [], "worker": []}
        self.targets = threading.Lock()  # faults add servers at the same time

    def put_proxy_before(self, cluster, address):
        self.proxy = Proxy(address, cluster.certs("data", "proxy"), lambda name: cluster.folder / "certs" / name)
        return self.proxy.address

    def start(self):
        self.cluster.start()
        push_topics(self.cluster)
        self.prometheus.start()
        self.tell_targets()
        wait_until("all targets are up", lambda: sum(value for _, value in self.prometheus.query("up")) == 4, 30)
        self.started = time.time()

    def tell_targets(self):
        servers = {"coordinator": [self.cluster.coordinator], "data": [self.cluster.data, *self.extra["data"]],
                   "worker": [*self.cluster.workers, *self.extra["worker"]]}
        for kind, some in servers.items():
            self.prometheus.watch(kind, [server.metrics for server in some])

    def close(self):
        self.prometheus.stop()
        self.cluster.close()
        if self.proxy:
            self.proxy.stop()

    def add_server(self, program, name, *words, **more):
        server = self.cluster.server(program, name, *words, **more)
        with self.targets:
            self.extra[program].append(server)
            self.tell_targets()
        return server

    # ---- faults of jobs, one after the other on worker w1 and the free slot of w2

    def submit(self, name, **changes):
        return self.cluster.submit(topics_job(name, **{"duration": LONG, **changes}))

    def training(self, job, attempt=1, step=3):
        def there():
            known = self.cluster.job(job)
            assert known["phase"] != "JOB_PHASE_FAILED", known
            return known["phase"] == "JOB_PHASE_TRAINING" and len(known["attempts"]) == attempt and \
                int(known.get("progress", {}).get("step", 0)) >= step
        wait_until(f"{job} trains in attempt {attempt}", there, 60)

    def hang(self):
        """A rank that hangs: no progress, and no checkpoint."""
        job = self.submit("hangs", checkpoint={"every_steps": 5, "keep": 2})
        self.training(job)
        rank = self.cluster.rank_pids()[-1]
        os.kill(rank, signal.SIGSTOP)
        try:
            self.prometheus.wait_until_fires("MusterNoStepProgress", job=job)
            self.prometheus.wait_until_fires("MusterCheckpointTooOld", job=job)
        finally:
            os.kill(rank, signal.SIGCONT)
        self.prometheus.wait_until_clear("MusterNoStepProgress", job=job)
        self.prometheus.wait_until_clear("MusterCheckpointTooOld", job=job)
        self.cluster.ok("cancel", job)

    def wait_behind(self):
        """A small job behind one that is too large for the free slots, and will need all of them."""
        holder = self.submit("holds-two")
        self.training(holder)
        large = self.submit("wants-three", resources={**ONE_SLOT, "slots": {"min": 3, "max": 3}})
        small = self.submit("wants-one", resources=ONE_SLOT)
        self.prometheus.wait_until_fires("MusterJobWaitsWhileSlotsAreFree", job=small)
        assert not self.prometheus.alerts("MusterJobWaitsWhileSlotsAreFree", job=large), "that one waits rightly"
        self.cluster.ok("cancel", large)
        self.prometheus.wait_until_clear("MusterJobWaitsWhileSlotsAreFree", job=small)
        self.cluster.ok("cancel", small)
        self.cluster.ok("cancel", holder)

    def restart_and_replay(self):
        """Ranks that are killed; then a process of the first attempt that keeps asking for its steps."""
        job = self.submit("restarts", checkpoint={"every_steps": 5, "keep": 2})
        for attempt in (1, 2):
            self.training(job, attempt, step=6 * attempt)
            os.kill(self.cluster.rank_pids()[-1], signal.SIGKILL)
        self.training(job, 3, step=13)
        self.prometheus.wait_until_fires("MusterAttemptsRestarting", job=job)
        known = self.cluster.job(job)
        self.replay(job, attempt=1, rank=0)
        self.prometheus.wait_until_clear("MusterAttemptsRestarting", job=job)
        self.prometheus.wait_until_clear("MusterStaleWriteBurst", kind="stream")
        assert len(self.cluster.job(job)["attempts"]) == len(known["attempts"]), "what the old attempt asked changed nothing"
        self.cluster.ok("cancel", job)

    def replay(self, job, attempt, rank):
        """Sends that rank's request once more, with its worker's certificate and its ticket."""
        bytes_asked, metadata = self.proxy.streams[(job, attempt, rank)]
        request = data_plane_pb2.StreamRequest.FromString(bytes_asked)
        placed = next(r["worker"] for r in self.cluster.job(job)["attempts"][attempt - 1]["ranks"] if r.get("rank", 0) == rank)
        with channel(self.cluster.data.address, self.cluster.folder / "certs" / placed) as old:
            stub = data_plane_pb2_grpc.DataPlaneServiceStub(old)

            def fires():
                try:
                    next(stub.Stream(request, timeout=10, metadata=metadata))
                    raise AssertionError("a stream of an ended attempt was served")
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
                return self.prometheus.alerts("MusterStaleWriteBurst", kind="stream")
            wait_until("MusterStaleWriteBurst fires", fires, 60, every=0.1)

    def tamper(self):
        """A proxy alters what ranks receive: it replaces a query with another, and sends one rank a different plan."""
        def change(request, share):
            rank = request.identity
            if request.spec.name == "swapped" and rank.rank == 0 and len(share.query_digests) > 1:
                share.query_digests[0] = share.query_digests[1]
            if request.spec.name == "other-plan" and rank.rank == 1 and rank.attempt == 1 and share.step == 3:
                share.plan_digest ^= 1

        self.proxy.tamper = change
        job = self.submit("swapped")
        for kind in ("duplicated", "missing"):
            self.prometheus.wait_until_fires("MusterSamplesMissingOrRepeated", kind=kind)
        self.cluster.ok("cancel", job)
        job = self.submit("other-plan", checkpoint={"every_steps": 2, "keep": 1})
        self.prometheus.wait_until_fires("MusterRanksDisagree")
        self.training(job, attempt=2, step=5)
        self.cluster.ok("cancel", job)

    def failing_jobs(self):
        """Three jobs that mine with a margin that no passage keeps, which no further attempt can change."""
        for number in range(3):
            job = self.cluster.submit({"name": f"fails-{number}", "model": topics_job()["model"], "duration": {"steps": 0},
                                       "mine": {"dataset": "topics", "out": f"nothing-{number}", "absolute_margin": 1000},
                                       "resources": ONE_SLOT})
            self.cluster.wait_for_phase(job, "JOB_PHASE_FAILED")
        self.prometheus.wait_until_fires("MusterJobsFailing")
        self.prometheus.wait_until_clear("MusterJobsFailing")

    # ---- faults of the data server's maintenance

    def endless_backup(self):
        """A backup that does not end: every collection of garbage is refused, and so is each call for one."""
        ended = threading.Event()

        def requests():
            yield backup_pb2.CopyRequest(hold=backup_pb2.CopyHold())
            ended.wait(120)

        def fires():
            self.cluster.muster("gc")
            return self.prometheus.alerts("MusterGarbageCollectionFailing") and \
                self.prometheus.alerts("MusterRpcErrors", instance=self.cluster.coordinator.metrics)

        with channel(self.cluster.data.address, self.cluster.folder / "certs/tester") as operator:
            replies = backup_pb2_grpc.BackupServiceStub(operator).Copy(requests(), timeout=120)
            next(replies)
            try:
                wait_until("MusterGarbageCollectionFailing and MusterRpcErrors fire", fires, 60, every=0.1)
            finally:
                ended.set()
            list(replies)

        def clear():
            self.cluster.ok("gc")
            return not self.prometheus.alerts("MusterGarbageCollectionFailing")
        wait_until("MusterGarbageCollectionFailing is clear", clear, 60, every=0.1)
        self.prometheus.wait_until_clear("MusterRpcErrors")

    def late_backup(self):
        """A backup, none for too long, and then another one."""
        folder = self.cluster.folder / "backups"
        self.cluster.ok("backup", "take", folder)
        self.prometheus.wait_until_fires("MusterBackupTooOld")
        self.cluster.ok("backup", "take", folder)
        self.prometheus.wait_until_clear("MusterBackupTooOld")

    # ---- faults of servers that no job uses

    def frozen_worker(self):
        """A host that freezes: no heartbeat, no scrape. Before that its GPU, with a fake driver, reports errors."""
        state = self.cluster.folder / "gpu-state"
        state.write_text("xid 0 ecc 0 throttle 64\n")
        worker = self.add_server("worker", "w3", "--coordinator", self.cluster.coordinator.address, "--name", "w3", "--device", "gpu",
                                 listens=False, variables={"LD_LIBRARY_PATH": str(fake_nvml.build(self.cluster.folder)),
                                                           "FAKE_NVML_STATE": str(state)})
        wait_until("the GPU is scraped", lambda: self.prometheus.query("muster_gpu_errors_total"), 30)
        for kind, text in (("xid", "xid 1 ecc 0 throttle 64\n"), ("ecc", "xid 1 ecc 2 throttle 0\n")):
            state.write_text(text)
            self.prometheus.wait_until_fires("MusterGpuErrors", kind=kind, gpu="0", instance=worker.metrics)
        worker.signal(signal.SIGSTOP)
        self.prometheus.wait_until_fires("MusterWorkerLost", worker="w3")
        self.prometheus.wait_until_fires("MusterWorkerLost", instance=worker.metrics)
        worker.signal(signal.SIGCONT)
        self.prometheus.wait_until_clear("MusterWorkerLost")
        self.prometheus.wait_until_clear("MusterGpuErrors", instance=worker.metrics)

    def full_volume(self):
        """A state folder on a small volume that fills: first slowly, then completely."""
        folder = self.cluster.folder / "states/small"
        server = self.add_server("data", "small", state=folder, prefix=tiny_volume.prefix(folder, 48 * MIB))
        inside = pathlib.Path(f"/proc/{server.process.pid}/root{folder}")
        wait_until("it is scraped", lambda: self.prometheus.query(f'muster_state_free_bytes{{instance="{server.metrics}"}}'), 30)
        with open(inside / "ballast", "wb") as ballast:
            def grows():
                if ballast.tell() < 38 * MIB:
                    ballast.write(bytes(MIB))
                    ballast.flush()
                return self.prometheus.alerts("MusterStateVolumeFilling", severity="warning", instance=server.metrics)
            wait_until("MusterStateVolumeFilling warns", grows, 60, every=0.2)
            assert not self.prometheus.alerts("MusterStateVolumeFilling", severity="page", instance=server.metrics), "it is not full yet"
            ballast.write(bytes(8 * MIB))
        self.prometheus.wait_until_fires("MusterStateVolumeFilling", severity="page", instance=server.metrics)
        (inside / "ballast").unlink()
        self.prometheus.wait_until_clear("MusterStateVolumeFilling", instance=server.metrics)

    def old_certificate(self):
        """A certificate of one day is replaced by a new one; the process is not restarted."""
        certs = self.cluster.certs("data", "short", "--days", "1")
        server = self.add_server("data", "short", certs=certs)
        for severity in ("page", "warning"):
            self.prometheus.wait_until_fires("MusterCertificateExpires", severity=severity, instance=server.metrics)
        self.cluster.certs("data", "short", "--days", "30")
        self.prometheus.wait_until_clear("MusterCertificateExpires", instance=server.metrics)

    # ---- faults that affect all jobs

    def stopped(self, server, name):
        server.stop()
        self.prometheus.wait_until_fires(name, instance=server.metrics)
        server.start()
        self.prometheus.wait_until_clear(name)


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.watched = Watched()
        cls.addClassCleanup(cls.watched.close)
        cls.watched.start()
        cls.pool = futures.ThreadPoolExecutor(8)
        cls.addClassCleanup(cls.pool.shutdown)
        watched, chain = cls.watched, {}
        for fault in (watched.hang, watched.wait_behind, watched.restart_and_replay, watched.tamper, watched.failing_jobs,
                      watched.endless_backup, watched.late_backup):
            chain[fault.__name__] = futures.Future()
        cls.faults = chain
        cls.pool.submit(cls.one_after_the_other, chain)
        for fault in (watched.frozen_worker, watched.full_volume, watched.old_certificate):
            cls.faults[fault.__name__] = cls.pool.submit(fault)

    @classmethod
    def one_after_the_other(cls, chain):
        """Faults of jobs need the same slots."""
        for name in list(chain):
            done = chain[name]
            if done.running() or done.done():
                continue
            try:
                getattr(cls.watched, name)()
                done.set_result(None)
            except BaseException as error:  # noqa: BLE001: the test of the fault's name raises it
                done.set_exception(error)

    def test_a_rank_that_hangs(self):
        self.faults["hang"].result()

    def test_a_job_that_waits_while_slots_are_free(self):
        self.faults["wait_behind"].result()

    def test_attempts_that_restart_and_an_old_one_that_keeps_running(self):
        self.faults["restart_and_replay"].result()

    def test_samples_and_plans_that_are_tampered_with(self):
        self.faults["tamper"].result()

    def test_wrong_results_are_reported_until_they_are_silenced(self):
        futures.wait(self.faults.values())
        for name in ("MusterSamplesMissingOrRepeated", "MusterRanksDisagree"):
            self.assertTrue(self.watched.prometheus.alerts(name), name)

    def test_jobs_that_fail(self):
        self.faults["failing_jobs"].result()

    def test_collections_of_garbage_that_fail(self):
        self.faults["endless_backup"].result()

    def test_a_backup_that_is_late(self):
        self.faults["late_backup"].result()

    def test_a_worker_that_freezes_and_a_gpu_with_errors(self):
        self.faults["frozen_worker"].result()

    def test_a_volume_that_fills(self):
        if not tiny_volume.possible():
            self.skipTest("a state volume that fills: neither root nor user namespaces may mount a tmpfs here")
        self.faults["full_volume"].result()

    def test_a_certificate_that_expires(self):
        self.faults["old_certificate"].result()

    def test_servers_that_are_absent(self):
        futures.wait(self.faults.values())
        self.watched.stopped(self.watched.cluster.coordinator, "MusterCoordinatorAbsent")
        self.watched.stopped(self.watched.cluster.data, "MusterDataServerAbsent")

    def test_the_dashboards_have_data(self):
        futures.wait(self.faults.values())
        job = self.watched.submit("drawn", duration={"steps": 60}, checkpoint={"every_steps": 10, "keep": 1},
                                  evaluate={"dataset": "topics", "split": "test", "every_steps": 20},
                                  report={"dataset": "topics", "split": "test", "allow_selection_split": True})
        self.watched.cluster.wait_for_phase(job, "JOB_PHASE_SUCCEEDED")
        wait_until("dropped checkpoints are counted", lambda: any(
            value > 0 for _, value in self.watched.prometheus.query('muster_garbage_bytes_total{kind="blobs"}')), 30)
        empty = []
        for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
            for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
                for target in panel.get("targets", ()):
                    expression = target["expr"].replace("$__rate_interval", "5s").replace("$job", job)
                    found = self.watched.prometheus.query_range(expression, self.watched.started, time.time(), 1)
                    if not found:
                        empty.append(f"{path.stem}: {panel['title']}: {expression}")
        self.assertEqual(empty, [])
        measured = self.watched.prometheus.query_range("muster_job_evaluation", self.watched.started, time.time(), 1)
        self.assertLessEqual(max(max(values) for _, values in measured), 1, "a measure of retrieval is at most 1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
