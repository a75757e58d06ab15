"""Calls and streams against a server that fails: retries, following across restarts, blobs that continue."""
import hashlib
import pathlib
import tempfile
import threading
import unittest

import grpc

from fake_cluster import FakeCluster, refuse
from muster import Client, DeadlineError, InvalidArgumentError, Job, JobCancelledError, JobFailedError, MusterError, NotFoundError
from muster import RefusedError, UnreachableError, _blobs, _rpc
from muster.v1 import blob_pb2, data_pb2, job_metrics_pb2, job_pb2, model_pb2

QUEUED, TRAINING, SUCCEEDED = job_pb2.JOB_PHASE_QUEUED, job_pb2.JOB_PHASE_TRAINING, job_pb2.JOB_PHASE_SUCCEEDED


def job_at(revision, phase=TRAINING, step=0, **more):
    return job_pb2.Job(id="abc", spec=job_pb2.JobSpec(name="n"), revision=revision, phase=phase,
                       progress=job_pb2.Progress(step=step, total_steps=10), **more)


class Case(unittest.TestCase):
    def serve(self, **functions):
        """Functions are named as JobService_GetJob."""
        self.cluster = FakeCluster({name.replace("_", ".", 1): function for name, function in functions.items()})
        self.addCleanup(self.cluster.stop)
        self.servers = self.cluster.servers()
        self.addCleanup(self.servers.close)
        return Client(self.servers)


class Calls(Case):
    def test_a_call_is_repeated_while_the_server_does_not_answer_with_the_same_ids(self):
        seen = []

        def cancel(request, context):
            seen.append((request.request_id, dict(context.invocation_metadata())["x-request-id"]))
            if len(seen) < 3:
                refuse(context, grpc.StatusCode.UNAVAILABLE, "restarting")
            return job_pb2.CancelJobResponse(job=job_at(2, job_pb2.JOB_PHASE_CANCELLED))
        self.serve(JobService_CancelJob=cancel)
        job = Job(self.servers, job_at(1)).cancel()
        self.assertEqual(job.phase, "cancelled")
        self.assertEqual((len(seen), len(set(seen))), (3, 1))
        self.assertTrue(all(seen[0]))

    def test_a_refusal_is_not_repeated(self):
        calls = []

        def get(request, context):
            calls.append(request.id)
            refuse(context, grpc.StatusCode.PERMISSION_DENIED, "not yours", reason="NOT_OWNER", request_id="r-7")
        client = self.serve(JobService_GetJob=get)
        with self.assertRaises(RefusedError) as caught:
            client.job("abc")
        self.assertEqual((calls, caught.exception.reason, caught.exception.request_id), (["abc"], "NOT_OWNER", "r-7"))

    def test_a_rate_limit_is_waited_for(self):
        calls = []

        def get(request, context):
            calls.append(request.id)
            if len(calls) == 1:
                refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", reason="RATE_LIMITED", retry_seconds=0.05)
            return job_pb2.GetJobResponse(job=job_at(1))
        self.assertEqual(self.serve(JobService_GetJob=get).job("abc").id, "abc")
        self.assertEqual(len(calls), 2)

    def test_patience_ends_and_progress_renews_it(self):
        self.serve()
        tries = []

        class Unavailable(grpc.RpcError):
            def code(self):
                return grpc.StatusCode.UNAVAILABLE

            def details(self):
                return "gone"

            def trailing_metadata(self):
                return ()

        def attempt():
            tries.append(1)
            raise Unavailable()
        with self.assertRaises(UnreachableError) as caught:
            _rpc.persist(attempt, self.servers.coordinator, patience=0.0)
        self.assertEqual(len(tries), 1)
        self.assertIn("the cluster does not answer: gone", caught.exception.message)
        with self.assertRaises(UnreachableError):
            _rpc.persist(attempt, self.servers.coordinator, patience=0.15, moved=lambda: min(len(tries), 4))
        self.assertGreaterEqual(len(tries), 5, "three tries that moved, and one that did not")

    def test_submit_returns_notes_places_broken_rules_and_completes_the_name_of_a_job(self):
        seen = []

        def submit(request, context):
            seen.append(request)
            if request.spec.loss.temperature < 0:
                refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "loss.temperature: is -1. It must be from 0.0001 to 10000.")
            context.set_trailing_metadata((("muster-note-bin", "hard negatives are not used".encode()),))
            return job_pb2.SubmitJobResponse(job=job_pb2.Job(id="" if request.dry_run else "abc", spec=request.spec),
                                             preview=job_pb2.TrainingPreview(total_steps=7))

        def get(request, context):
            refuse(context, grpc.StatusCode.NOT_FOUND, "no")

        def jobs(request, context):
            found = [job_pb2.JobSummary(id="k3v9x0qa", name="first")] if "first".startswith(request.name_prefix or "-") else []
            return job_pb2.ListJobsResponse(summaries=found)
        client = self.serve(JobService_SubmitJob=submit, JobService_GetJob=get, JobService_ListJobs=jobs)
        job = client.submit({"name": "a", "model": {"from": "m"}}, request_id="mine")
        self.assertEqual((job.notes, job.preview, seen[-1].request_id), (["hard negatives are not used"], None, "mine"))
        self.assertEqual(client.submit("name: a\n", dry_run=True).preview.total_steps, 7)
        with self.assertRaises(InvalidArgumentError) as caught:
            client.submit("name: a\nloss: {temperature: -1}\n")
        self.assertEqual(caught.exception.message, "job:2: loss.temperature: is -1. It must be from 0.0001 to 10000.")

    def test_a_job_is_found_by_id_name_or_beginning(self):
        summaries = [job_pb2.JobSummary(id="aa1", name="one"), job_pb2.JobSummary(id="aa2", name="two"), job_pb2.JobSummary(id="b", name="two")]

        def get(request, context):
            if request.id not in {one.id for one in summaries}:
                refuse(context, grpc.StatusCode.NOT_FOUND, "no")
            return job_pb2.GetJobResponse(job=job_pb2.Job(id=request.id))

        def jobs(request, context):
            found = [one for one in summaries if one.name.startswith(request.name_prefix) and one.id.startswith(request.id_prefix)]
            at = int(request.page_token or 0)
            return job_pb2.ListJobsResponse(summaries=found[at:at + 1], next_page_token=str(at + 1) if at + 1 < len(found) else "")
        client = self.serve(JobService_GetJob=get, JobService_ListJobs=jobs)
        self.assertEqual([client.job(name).id for name in ("aa1", "one", "b")], ["aa1", "aa1", "b"])
        for name, expected in (("two", 'several jobs are named "two": aa2 (two), b (two). Give an id.'),
                               ("aa", 'several jobs have an id that begins with "aa": aa1 (one), aa2 (two). Give more of the id.')):
            with self.assertRaises(InvalidArgumentError) as caught:
                client.job(name)
            self.assertEqual(caught.exception.message, expected)
        with self.assertRaises(NotFoundError):
            client.job("three")


class Following(Case):
    def test_a_stream_that_breaks_continues_at_the_last_revision(self):
        asked = []

        def watch(request, context):
            asked.append(request.after_revision)
            if len(asked) == 1:
                yield job_pb2.WatchJobResponse(job=job_at(3, step=1))
                yield job_pb2.WatchJobResponse(job=job_at(4, step=2))
                refuse(context, grpc.StatusCode.UNAVAILABLE, "restarting", reason="SHUTTING_DOWN")
            elif len(asked) == 2:
                return  # without an error, as a server that stops
            else:
                yield job_pb2.WatchJobResponse(job=job_at(9, SUCCEEDED, step=10))
        self.serve(JobService_WatchJob=watch)
        job = Job(self.servers, job_at(1, QUEUED))
        self.assertEqual([(now.phase, now.step) for now in job.progress()], [("training", 1), ("training", 2), ("succeeded", 10)])
        self.assertEqual((asked, job.phase), ([0, 4, 4], "succeeded"))

    def test_a_coordinator_that_does_not_come_back_ends_the_patience(self):
        def watch(request, context):
            yield job_pb2.WatchJobResponse(job=job_at(3, step=1))
            refuse(context, grpc.StatusCode.UNAVAILABLE, "gone")
        self.serve(JobService_WatchJob=watch)
        updates = Job(self.servers, job_at(1)).progress(patience=0.0)
        self.assertEqual(next(updates).step, 1)
        with self.assertRaises(UnreachableError):
            list(updates)

    def test_a_restart_of_the_server_process_is_survived(self):
        released = threading.Event()

        def watch(request, context):
            yield job_pb2.WatchJobResponse(job=job_at(5, step=1))
            released.wait(10)
        self.serve(JobService_WatchJob=watch)
        updates = Job(self.servers, job_at(1)).progress()
        next(updates)
        port = self.cluster.port
        released.set()
        self.cluster.stop()

        def again(request, context):
            self.assertEqual(request.after_revision, 5)
            yield job_pb2.WatchJobResponse(job=job_at(6, SUCCEEDED))
        second = FakeCluster({"JobService.WatchJob": again}, port)
        self.addCleanup(second.stop)
        self.assertEqual([now.phase for now in updates], ["succeeded"])

    def test_a_timeout_says_where_the_job_is(self):
        def watch(request, context):
            yield job_pb2.WatchJobResponse(job=job_at(3, QUEUED))
            refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")  # as gRPC itself says
        self.serve(JobService_WatchJob=watch)
        with self.assertRaises(DeadlineError) as caught:
            Job(self.servers, job_at(1)).wait(timeout=90)
        self.assertEqual(caught.exception.message, "job abc is still queued after 90 s. It is not affected.")

    def test_wait_raises_for_a_job_that_did_not_succeed(self):
        for phase, error, code in ((job_pb2.JOB_PHASE_FAILED, JobFailedError, 1), (job_pb2.JOB_PHASE_CANCELLED, JobCancelledError, 3)):
            self.serve(JobService_WatchJob=lambda request, context, phase=phase: iter([job_pb2.WatchJobResponse(job=job_at(
                9, phase, reason="why", reason_code=21))]))
            job = Job(self.servers, job_at(1))
            with self.assertRaises(error) as caught:
                job.wait()
            self.assertEqual((caught.exception.exit_code, caught.exception.reason, caught.exception.job), (code, "PERMANENT_ERROR", job))
            self.assertIs(job.wait(check=False), job)

    def test_of_repeated_steps_the_last_attempt_counts(self):
        def metrics(request, context):
            for steps, attempt in (((1, 2, 3), 1), ((2, 3, 4), 2)):
                yield job_metrics_pb2.StreamJobMetricsResponse(
                    points=[job_metrics_pb2.StepMetrics(step=step, attempt=attempt, loss=step / attempt) for step in steps])
        self.serve(JobService_StreamJobMetrics=metrics)
        table = Job(self.servers, job_at(1)).metrics()
        rows = table if isinstance(table, list) else table.to_dict("records")
        self.assertEqual([(row["step"], row["attempt"], row["loss"]) for row in rows], [(1, 1, 1), (2, 2, 1), (3, 2, 1.5), (4, 2, 2)])

    def test_followed_metrics_continue_until_the_job_has_ended(self):
        asked = []

        def metrics(request, context):
            asked.append(request.after_step)
            yield job_metrics_pb2.StreamJobMetricsResponse(points=[job_metrics_pb2.StepMetrics(step=len(asked))])
            if len(asked) == 1:
                refuse(context, grpc.StatusCode.UNAVAILABLE, "restarting")

        def get(request, context):
            return job_pb2.GetJobResponse(job=job_at(1, SUCCEEDED if len(asked) == 3 else TRAINING))
        self.serve(JobService_StreamJobMetrics=metrics, JobService_GetJob=get)
        self.assertEqual([row["step"] for row in Job(self.servers, job_at(1)).stream_metrics()], [1, 2, 3])
        self.assertEqual(asked, [0, 1, 2])

    def test_log_lines(self):
        self.serve(JobService_StreamJobLogs=lambda request, context: iter([job_pb2.StreamJobLogsResponse(attempt=1, rank=0, text="a\nb\n")]))
        self.assertEqual([str(line) for line in Job(self.servers, job_at(1)).logs()], ["1/0  a", "1/0  b"])


class Blobs(Case):
    CONTENT = bytes(range(256)) * 5000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_an_export_continues_where_it_broke_and_appears_whole(self):
        digest = hashlib.sha256(self.CONTENT).hexdigest()
        manifest = blob_pb2.FileManifest(files=[blob_pb2.FileEntry(path="a/model.bin", digest=digest, size=len(self.CONTENT))])
        root = hashlib.sha256(manifest.SerializeToString()).hexdigest()
        blobs, offsets = {digest: self.CONTENT, root: manifest.SerializeToString()}, []

        def get(request, context):
            content = blobs[request.digest]
            if request.digest == digest:
                offsets.append(request.offset)
                self.assertFalse((self.folder / "out").exists())
            yield blob_pb2.GetBlobResponse(size=len(content), chunk=content[request.offset:request.offset + 500000])
            if request.offset + 500000 < len(content):
                refuse(context, grpc.StatusCode.UNAVAILABLE, "restarting")
        self.serve(BlobService_GetBlob=get, JobService_GetJob=lambda request, context: job_pb2.GetJobResponse(
            job=job_at(9, SUCCEEDED, export_manifest=root)))
        seen = []
        target = Job(self.servers, job_at(1)).export(self.folder / "out", progress=lambda done, total: seen.append((done, total)))
        self.assertEqual((target / "a/model.bin").read_bytes(), self.CONTENT)
        self.assertEqual(offsets, [0, 500000, 1000000])
        self.assertEqual(seen[-1], (len(self.CONTENT), len(self.CONTENT)))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["out"], "nothing else is left")
        with self.assertRaises(RefusedError) as caught:
            Job(self.servers, job_at(1)).export(self.folder / "out")
        self.assertIn("exists and is not empty", caught.exception.message)

    def test_wrong_bytes_leave_no_folder(self):
        root = hashlib.sha256(b"").hexdigest()
        for response, kind in ((blob_pb2.GetBlobResponse(chunk=b"x"), "what arrived has digest"),):
            self.serve(BlobService_GetBlob=lambda request, context, response=response: iter([response]),
                       JobService_GetJob=lambda request, context: job_pb2.GetJobResponse(job=job_at(9, SUCCEEDED, export_manifest=root)))
            with self.assertRaises(MusterError) as caught:
                Job(self.servers, job_at(1)).export(self.folder / "out")
            self.assertEqual(caught.exception.code, "DATA_LOSS")
            self.assertIn(kind, caught.exception.message)
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_paths_that_leave_the_folder_are_refused(self):
        for path in ("../a", "/a", "a/../b", "", ".", "a//b", "a\\b", "a/"):
            self.assertFalse(_blobs.is_safe(path), path)
        self.assertTrue(_blobs.is_safe("1_Pooling/config.json"))

    def test_a_push_sends_what_the_server_does_not_have_and_continues(self):
        (self.folder / "vocab.txt").write_bytes(self.CONTENT)
        (self.folder / "tokenizer_config.json").write_text("{}")
        (self.folder / "notes.bin").write_bytes(b"x")
        partial, puts, pushed = {}, [], []

        def stat(request, context):
            stats = [blob_pb2.BlobStat(digest=digest, present=digest == hashlib.sha256(b"{}").hexdigest(),
                                       partial_size=len(partial.get(digest, b""))) for digest in request.digests]
            return blob_pb2.StatBlobsResponse(blobs=stats)

        def put(requests, context):
            header = next(requests).header
            puts.append(header.offset)
            kept = partial.setdefault(header.digest, b"")
            self.assertEqual(len(kept), header.offset)
            for request in requests:
                self.assertLessEqual(len(request.chunk), 1 << 20)
                partial[header.digest] += request.chunk
                if len(puts) == 1:
                    refuse(context, grpc.StatusCode.UNAVAILABLE, "restarting")
            return blob_pb2.PutBlobResponse(digest=header.digest)

        def push(request, context):
            pushed.append(request)
            return model_pb2.PushModelResponse(model=model_pb2.Model(name=request.name))
        client = self.serve(BlobService_StatBlobs=stat, BlobService_PutBlob=put, ModelService_PushModel=push)
        self.assertEqual(client.push_model("small", self.folder).name, "small")
        self.assertEqual(puts, [0, 1 << 20])
        self.assertEqual(list(partial.values()), [self.CONTENT])
        self.assertEqual([file.path for file in pushed[0].files.files], ["tokenizer_config.json", "vocab.txt"])
        with self.assertRaises(InvalidArgumentError):
            client.push_model("small", self.folder / "nowhere")


class Imports(Case):
    def test_rows_are_streamed_and_the_report_comes_back(self):
        received = []

        def run(requests, context):
            yield data_pb2.ImportDatasetResponse(progress=data_pb2.ImportProgress(activity="reading"))
            received.extend(requests)
            yield data_pb2.ImportDatasetResponse(report=data_pb2.ImportReport(
                notes=["look"], dataset=data_pb2.Dataset(name="d", queries=2, splits=[data_pb2.SplitInfo(name="train", queries=2)])))
        client = self.serve(DataService_ImportDataset=run)
        progress = []
        found = client.import_dataset("d", ({"query": str(n), "pos": ["x"]} for n in range(2)), replace=True, columns={"query": "q"},
                                      progress=progress.append)
        self.assertEqual((found.queries, found.splits, found.notes, len(progress)), (2, {"train": 2}, ["look"], 1))
        self.assertEqual((received[0].header.name, received[0].header.replace, received[0].header.columns["query"]), ("d", True, "q"))
        self.assertEqual(received[2].chunk.count(b"\n"), 2)

    def test_an_error_of_the_rows_reaches_the_caller(self):
        def run(requests, context):
            for _ in requests:
                pass
            yield data_pb2.ImportDatasetResponse(report=data_pb2.ImportReport())

        def rows():
            yield {"query": "a", "pos": ["b"]}
            raise KeyError("mine")
        client = self.serve(DataService_ImportDataset=run)
        with self.assertRaises(KeyError):
            client.import_dataset("d", rows())
        with self.assertRaises(InvalidArgumentError):
            client.import_dataset("d", [{"query": "a"}, 5])

    def test_a_refusal_ends_the_sending(self):
        def run(requests, context):
            next(requests)
            refuse(context, grpc.StatusCode.ALREADY_EXISTS, "d exists", reason="DATASET_EXISTS")
            yield
        client = self.serve(DataService_ImportDataset=run)

        def endless():
            while True:
                yield {"query": "a", "pos": ["b" * 1000]}
        with self.assertRaises(RefusedError) as caught:
            client.import_dataset("d", endless())
        self.assertEqual(caught.exception.reason, "DATASET_EXISTS")


if __name__ == "__main__":
    unittest.main()
