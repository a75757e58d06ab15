"""A client in another language, generated only from proto/muster/v1: import, submit, watch, cancel over mTLS."""
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import ROOT, Cluster, write_topics, write_vocabulary  # noqa: E402


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

    def push_vocabulary(self):
        data = (write_vocabulary(self.cluster.folder / "vocab") / "vocab.txt").read_bytes()
        entry = blob_pb2.FileEntry(path="vocab.txt", digest=hashlib.sha256(data).hexdigest(), size=len(data))
        blob_pb2_grpc.BlobServiceStub(self.data).Put(iter([
            blob_pb2.PutRequest(header=blob_pb2.PutHeader(digest=entry.digest, size=entry.size)), blob_pb2.PutRequest(chunk=data)]))
        model_pb2_grpc.ModelServiceStub(self.data).Push(
            model_pb2.PushModelRequest(name="small-vocab", files=blob_pb2.FileManifest(files=[entry])))

    def import_topics(self):
        folder = write_topics(self.cluster.folder / "topics")

        def requests():
            yield data_pb2.ImportRequest(header=data_pb2.ImportHeader(name="topics"))
            for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
                yield data_pb2.ImportRequest(file=data_pb2.ImportFile(path=name))
                yield data_pb2.ImportRequest(chunk=(folder / name).read_bytes())

        responses = list(data_pb2_grpc.DataServiceStub(self.data).Import(requests()))
        self.assertEqual(responses[-1].WhichOneof("part"), "report")
        self.assertEqual(responses[-1].report.dataset.passages, 60)

    def spec(self, name, steps):
        return job_pb2.JobSpec(
            name=name, model=job_pb2.ModelSpec(preset="tiny", tokenizer="small-vocab"), data=job_pb2.DataSpec(train="topics"),
            loss=job_pb2.LossSpec(objective=job_pb2.OBJECTIVE_SUMMARGLH), duration=job_pb2.DurationSpec(steps=steps),
            resources=job_pb2.ResourcesSpec(device=job_pb2.DEVICE_CPU))

    def test_imports_submits_watches_and_cancels(self):
        self.push_vocabulary()
        self.import_topics()
        short = self.jobs.Submit(job_pb2.SubmitRequest(spec=self.spec("short", 5), request_id="foreign-1")).job
        last = None
        for update in self.jobs.Watch(job_pb2.WatchRequest(id=short.id), timeout=120):
            last = update.job
        self.assertEqual(last.phase, job_pb2.JOB_PHASE_SUCCEEDED, last.reason)
        self.assertEqual(last.progress.step, 5)

        long = self.jobs.Submit(job_pb2.SubmitRequest(spec=self.spec("long", 1000000), request_id="foreign-2")).job
        cancelled = False
        for update in self.jobs.Watch(job_pb2.WatchRequest(id=long.id), timeout=120):
            last = update.job
            if last.phase == job_pb2.JOB_PHASE_TRAINING and not cancelled:
                cancelled = True
                self.jobs.Cancel(job_pb2.CancelRequest(id=long.id, request_id="foreign-3"))
        self.assertTrue(cancelled)
        self.assertEqual(last.phase, job_pb2.JOB_PHASE_CANCELLED, last.reason)

    def test_a_client_more_than_one_minor_version_away_is_refused_by_both_servers(self):
        info = self.cluster.info()
        cluster = cluster_pb2_grpc.ClusterServiceStub(self.front).GetCluster(cluster_pb2.GetClusterRequest())
        major, minor, _ = map(int, cluster.version.split("."))
        for address, stub, request in ((info["address"], job_pb2_grpc.JobServiceStub, job_pb2.ListJobsRequest()),
                                       (cluster.data_addresses[0], data_pb2_grpc.DataServiceStub, data_pb2.ListDatasetsRequest())):
            def list_as(version):
                with channel(address, pathlib.Path(info["certs"]), primary_user_agent=f"muster/{version}") as other:
                    stub(other).List(request, timeout=20)
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
            self.jobs.Submit(job_pb2.SubmitRequest(spec=spec, request_id="foreign-4"))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("loss.temperature", refused.exception.details())


if __name__ == "__main__":
    unittest.main(verbosity=2)
