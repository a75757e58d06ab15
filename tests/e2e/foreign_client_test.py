"""A client in another language, generated only from proto/muster/v1: import, submit, list, watch, cancel over mTLS, also
across a restart of the coordinator."""
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import ROOT, Cluster, wait_until, write_topics, write_vocabulary  # noqa: E402


GENERATED = tempfile.TemporaryDirectory(prefix="muster-proto-")
PROTOS = [str(path) for path in sorted((ROOT / "proto/muster/v1").glob("*.proto"))]
subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={GENERATED.name}", f"--grpc_out={GENERATED.name}",
                f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}", *PROTOS], check=True)
sys.path.insert(0, GENERATED.name)
import grpc  # noqa: E402
from muster.v1 import blob_pb2, blob_pb2_grpc, cluster_pb2, cluster_pb2_grpc, data_pb2, data_pb2_grpc  # noqa: E402
from muster.v1 import job_pb2, job_pb2_grpc, model_pb2, model_pb2_grpc  # noqa: E402


def channel(address, certs, **options):
    credentials = grpc.ssl_channel_credentials(*[(certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem")])
    return grpc.secure_channel(address, credentials, [(f"grpc.{name}", value) for name, value in options.items()])


class ForeignClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        info = cls.cluster.info()
        certs = pathlib.Path(info["certs"])
        cls.front = channel(info["address"], certs)
        address = cluster_pb2_grpc.ClusterServiceStub(cls.front).GetCluster(cluster_pb2.GetClusterRequest()).data_addresses[0]
        cls.data = channel(address, certs)
        cls.jobs = job_pb2_grpc.JobServiceStub(cls.front)

    prepared = False

    def setUp(self):
        if not self.prepared:
            self.push_vocabulary()
            self.import_topics()
            type(self).prepared = True

    def push_vocabulary(self):
        data = (write_vocabulary(self.cluster.folder / "vocab") / "vocab.txt").read_bytes()
        entry = blob_pb2.FileEntry(path="vocab.txt", digest=hashlib.sha256(data).hexdigest(), size=len(data))
        blob_pb2_grpc.BlobServiceStub(self.data).PutBlob(iter([
            blob_pb2.PutBlobRequest(header=blob_pb2.PutBlobHeader(digest=entry.digest, size=entry.size)), blob_pb2.PutBlobRequest(chunk=data)]))
        model_pb2_grpc.ModelServiceStub(self.data).PushModel(
            model_pb2.PushModelRequest(name="small-vocab", files=blob_pb2.FileManifest(files=[entry])))

    def import_topics(self):
        folder = write_topics(self.cluster.folder / "topics")

        def requests():
            yield data_pb2.ImportDatasetRequest(header=data_pb2.ImportHeader(name="topics"))
            for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
                yield data_pb2.ImportDatasetRequest(file=data_pb2.ImportFile(path=name))
                yield data_pb2.ImportDatasetRequest(chunk=(folder / name).read_bytes())

        responses = list(data_pb2_grpc.DataServiceStub(self.data).ImportDataset(requests()))
        self.assertEqual(responses[-1].WhichOneof("part"), "report")
        self.assertEqual(responses[-1].report.dataset.passages, 60)

    def spec(self, name, steps):
        return job_pb2.JobSpec(
            name=name, model=job_pb2.ModelSpec(preset="tiny", tokenizer="small-vocab"), data=job_pb2.DataSpec(train="topics"),
            loss=job_pb2.LossSpec(objective=job_pb2.OBJECTIVE_SUMMARGLH), duration=job_pb2.DurationSpec(steps=steps),
            resources=job_pb2.ResourcesSpec(device=job_pb2.DEVICE_CPU))

    def test_imports_submits_watches_and_cancels(self):
        short = self.jobs.SubmitJob(job_pb2.SubmitJobRequest(spec=self.spec("short", 5), request_id="foreign-1")).job
        last = None
        for update in self.jobs.WatchJob(job_pb2.WatchJobRequest(id=short.id), timeout=120):
            last = update.job
        self.assertEqual(last.phase, job_pb2.JOB_PHASE_SUCCEEDED, last.reason)
        self.assertEqual(last.progress.step, 5)

        long = self.jobs.SubmitJob(job_pb2.SubmitJobRequest(spec=self.spec("long", 1000000), request_id="foreign-2")).job
        cancelled = False
        for update in self.jobs.WatchJob(job_pb2.WatchJobRequest(id=long.id), timeout=120):
            last = update.job
            if last.phase == job_pb2.JOB_PHASE_TRAINING and not cancelled:
                cancelled = True
                self.jobs.CancelJob(job_pb2.CancelJobRequest(id=long.id, request_id="foreign-3"))
        self.assertTrue(cancelled)
        self.assertEqual(last.phase, job_pb2.JOB_PHASE_CANCELLED, last.reason)

    def restart_coordinator(self):
        """Kills the coordinator and returns a client of the next one."""
        pid = self.cluster.info()["pids"]["coordinator"]
        os.kill(pid, signal.SIGKILL)
        wait_until("a new coordinator", lambda: self.cluster.info()["pids"]["coordinator"] != pid
                   and self.cluster.muster("jobs").code == 0, 60)
        info = self.cluster.info()
        return job_pb2_grpc.JobServiceStub(channel(info["address"], pathlib.Path(info["certs"])))

    def test_lists_with_a_filter_and_watches_across_a_restart_by_revision(self):
        # None of the three can run: they wait, so nothing but the cancel below changes them.
        ids = []
        for name in ("filter-a", "filter-b", "other"):
            spec = self.spec(name, 5)
            spec.resources.slots.min = 50
            ids.append(self.jobs.SubmitJob(job_pb2.SubmitJobRequest(spec=spec, request_id=f"foreign-{name}")).job.id)
        request = job_pb2.ListJobsRequest(name_prefix="filter-", phases=[job_pb2.JOB_PHASE_QUEUED], page_size=1,
                                          order=job_pb2.JOB_ORDER_OLDEST_FIRST, view=job_pb2.JOB_VIEW_SUMMARY)
        listed = []
        while True:
            page = self.jobs.ListJobs(request)
            listed += [summary.id for summary in page.summaries]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        self.assertEqual(listed, ids[:2])

        watch = self.jobs.WatchJob(job_pb2.WatchJobRequest(id=ids[0]), timeout=120)
        seen = next(watch).job
        self.assertGreater(seen.revision, 0)
        jobs = self.restart_coordinator()
        with self.assertRaises(grpc.RpcError) as broken:
            for update in watch:
                seen = update.job
        self.assertEqual(broken.exception.code(), grpc.StatusCode.UNAVAILABLE, "which clients may retry")
        watch = jobs.WatchJob(job_pb2.WatchJobRequest(id=ids[0], after_revision=seen.revision), timeout=60)
        jobs.CancelJob(job_pb2.CancelJobRequest(id=ids[0], request_id="foreign-cancel"))
        updates = [update.job for update in watch]
        last = updates[-1]
        self.assertEqual(last.phase, job_pb2.JOB_PHASE_CANCELLED)
        self.assertGreater(last.revision, seen.revision)
        self.assertTrue(all(job.revision >= seen.revision for job in updates), "the restart lost nothing that was seen")
        again = [len(list(jobs.WatchJob(job_pb2.WatchJobRequest(id=ids[0], after_revision=revision), timeout=20)))
                 for revision in (0, last.revision)]
        self.assertEqual(again, [1, 0], "a state that was seen is not sent again")
        self.assertEqual(jobs.GetJob(job_pb2.GetJobRequest(id=ids[0])).job.reason_code, last.reason_code)
        for other in ids[1:]:
            jobs.CancelJob(job_pb2.CancelJobRequest(id=other, request_id=f"cancel-{other}"))
        type(self).jobs = jobs

    def test_a_client_more_than_one_minor_version_away_is_refused_by_both_servers(self):
        info = self.cluster.info()
        cluster = cluster_pb2_grpc.ClusterServiceStub(self.front).GetCluster(cluster_pb2.GetClusterRequest())
        major, minor, _ = map(int, cluster.version.split("."))
        for address, list_on, request in (
                (info["address"], lambda c: job_pb2_grpc.JobServiceStub(c).ListJobs, job_pb2.ListJobsRequest()),
                (cluster.data_addresses[0], lambda c: data_pb2_grpc.DataServiceStub(c).ListDatasets, data_pb2.ListDatasetsRequest())):
            def list_as(version):
                with channel(address, pathlib.Path(info["certs"]), primary_user_agent=f"muster/{version}") as other:
                    list_on(other)(request, timeout=20)
            list_as(f"{major}.{minor + 1}.7")
            with self.assertRaises(grpc.RpcError) as refused:
                list_as(f"{major}.{minor + 2}.0")
            self.assertEqual(refused.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            self.assertIn(f"is version {major}.{minor + 2}.0, this server is {major}.{minor}.", refused.exception.details())
            self.assertIn("Upgrade this server", refused.exception.details())

    def test_a_wrong_specification_is_an_invalid_argument(self):
        spec = self.spec("wrong", 5)
        spec.loss.temperature = -1
        with self.assertRaises(grpc.RpcError) as refused:
            self.jobs.SubmitJob(job_pb2.SubmitJobRequest(spec=spec, request_id="foreign-4"))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("loss.temperature", refused.exception.details())


if __name__ == "__main__":
    unittest.main(verbosity=2)
