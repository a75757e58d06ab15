"""A cluster of Muster."""
from __future__ import annotations

import datetime
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Optional, Union

import grpc

from . import _blobs, _endpoint, _import, _job_file, _names, _rpc
from ._values import DatasetInfo
from .errors import InvalidArgumentError, MusterError, NotFoundError, explain_unreachable, from_rpc
from .job import Job
from .v1 import blob_pb2, cluster_pb2, data_pb2, job_pb2, model_pb2

_PHASES: dict[str, Any] = {_job_file.word_of(value): value.number for value in job_pb2.JobPhase.DESCRIPTOR.values if value.number}
_SHOWN = 5  # the most jobs that an error names


def connect(address: Optional[str] = None, certs: Union[str, os.PathLike[str], None] = None, token: Optional[str] = None,
            insecure: bool = False, token_file: Union[str, os.PathLike[str], None] = None) -> Client:
    """Connects to a cluster, and asks it for its version once, so that wrong settings fail here.

    Settings come from the first place that has them, as for the command line: the arguments; MUSTER_ADDRESS, MUSTER_CERTS,
    MUSTER_TOKEN_FILE and MUSTER_TOKEN; ~/.config/muster/config.yaml; the cluster that `muster local` started. So `connect()`
    is enough where the command `muster status` works.

    address: "HOST:PORT" of the coordinator. certs: a folder with ca.pem, cert.pem and key.pem, or ca.crt, tls.crt and
    tls.key, which are read once; with a token, only the authority is needed. token_file: is read for every call.
    insecure: no TLS.

    Raises InvalidArgumentError, UnreachableError, RefusedError.
    """
    given = _endpoint.Settings(address or "", os.fspath(certs or ""), token or "", os.fspath(token_file or ""), insecure)
    client = Client(_rpc.Servers(_endpoint.find(given, os.environ)))
    try:
        client.cluster()
    except MusterError:
        client.close()
        raise
    return client


class Client:
    """Thread-safe; made by `connect`. Use it as a context manager, or call `close`."""

    def __init__(self, servers: _rpc.Servers) -> None:
        self._servers = servers

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<muster.Client of {self._servers.endpoint.address}>"

    def close(self) -> None:
        self._servers.close()

    def cluster(self) -> cluster_pb2.GetClusterResponse:
        """The cluster's version, the addresses of its data servers, its time."""
        response: cluster_pb2.GetClusterResponse = self._coordinator(self._servers.cluster.GetCluster, cluster_pb2.GetClusterRequest())
        return response

    def _coordinator(self, method: Any, request: Any) -> Any:
        return _rpc.call(method, request, self._servers.coordinator)

    # --- jobs ---

    def submit(self, job: _job_file.JobSource, request_id: Optional[str] = None, dry_run: bool = False,
               overrides: Optional[Mapping[str, Any]] = None) -> Job:
        """Submits a job: a dict, the path of a job file, a text in YAML or JSON, or a muster.v1.JobSpec.

        The keys are those of docs/reference/job-spec.md. overrides: keys with dots and values that replace the job's, as
        {"loss.temperature": 0.02}; None means the default. request_id: the same id again returns the same job.
        dry_run: checks everything and returns a job without an id, whose `preview` describes what it would do.

        Raises InvalidArgumentError with the key and what is allowed; NotFoundError for an unknown dataset or model.
        """
        parsed = _job_file.parse(job, overrides)
        self._complete_model_job(parsed.spec)
        request = job_pb2.SubmitJobRequest(spec=parsed.spec, request_id=request_id or _rpc.new_request_id(), dry_run=dry_run)
        notes: list[str] = []
        try:
            response = _rpc.call(self._servers.jobs.SubmitJob, request, self._servers.coordinator, notes)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(parsed.with_place(error.message), error.code, error.reason, error.request_id) from None
        return Job(self._servers, response.job, notes, response.preview if dry_run else None)

    def job(self, name: str) -> Job:
        """The job with this id, with this name, or whose id begins with this text. Raises NotFoundError, and
        InvalidArgumentError if several fit."""
        message = self._get(name)
        if message is None:
            message = self._get(self._job_id(name))
        if message is None:
            raise NotFoundError(f'there is no job "{name}"', "NOT_FOUND")
        return Job(self._servers, message)

    def _get(self, job_id: str) -> Optional[job_pb2.Job]:
        try:
            message: job_pb2.Job = self._coordinator(self._servers.jobs.GetJob, job_pb2.GetJobRequest(id=job_id)).job
            return message
        except NotFoundError:
            return None

    def _job_id(self, given: str) -> str:
        if given:
            named = [one for one in self._summaries(job_pb2.ListJobsRequest(name_prefix=given), lambda one: one.name == given)]
            found = named or list(self._summaries(job_pb2.ListJobsRequest(id_prefix=given), lambda one: one.id.startswith(given)))
            if len(found) == 1:
                return found[0].id
            if found:
                what = f'several jobs are named "{given}"' if named else f'several jobs have an id that begins with "{given}"'
                shown = ", ".join(f"{one.id} ({one.name})" for one in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
                raise InvalidArgumentError(f"{what}: {shown}. Give {'an id' if named else 'more of the id'}.")
        raise NotFoundError(f'there is no job "{given}"', "NOT_FOUND")

    def _summaries(self, request: job_pb2.ListJobsRequest, fits: Callable[[job_pb2.JobSummary], bool]) -> list[job_pb2.JobSummary]:
        """The jobs that fit, up to one more than an error shows."""
        request.view = job_pb2.JOB_VIEW_SUMMARY
        found: list[job_pb2.JobSummary] = []
        for page in self._pages(self._servers.jobs.ListJobs, request, self._servers.coordinator):
            found += filter(fits, page.summaries)
            if len(found) > _SHOWN:
                break
        return found

    def _complete_model_job(self, spec: job_pb2.JobSpec) -> None:
        """model.from: job:NAME becomes job:ID, as does job:NAME@STEP. The coordinator refuses a job that does not exist."""
        start = getattr(spec.model, "from")
        if start.startswith("job:"):
            name, mark, step = start[len("job:"):].partition("@")
            try:
                setattr(spec.model, "from", f"job:{self.job(name).id}{mark}{step}")
            except NotFoundError:
                pass

    @staticmethod
    def _pages(method: Any, request: Any, channel: grpc.Channel) -> Iterator[Any]:
        while True:
            page = _rpc.call(method, request, channel)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def jobs(self, active: bool = False, phases: Iterable[str] = (), owner: str = "", queue: str = "", name_prefix: str = "",
             name_contains: str = "", since: Optional[datetime.datetime] = None, before: Optional[datetime.datetime] = None,
             oldest_first: bool = False, limit: Optional[int] = 100) -> list[Job]:
        """Jobs, newest first; `limit=None` for all. active: unfinished ones. phases: words such as "queued" or "failed".
        since, before: times of submission."""
        request = job_pb2.ListJobsRequest(active_only=active, owner=owner, queue=queue, name_prefix=name_prefix, name_contains=name_contains)
        for phase in phases:
            if phase not in _PHASES:
                raise InvalidArgumentError(f'phases: unknown value "{phase}". {_names.allowed(phase, _PHASES)}')
            request.phases.append(_PHASES[phase])
        if since is not None:
            request.submitted_since.FromDatetime(_utc(since))
        if before is not None:
            request.submitted_before.FromDatetime(_utc(before))
        request.order = job_pb2.JOB_ORDER_OLDEST_FIRST if oldest_first else job_pb2.JOB_ORDER_NEWEST_FIRST
        request.page_size = min(limit, 1000) if limit else 0
        found: list[Job] = []
        for page in self._pages(self._servers.jobs.ListJobs, request, self._servers.coordinator):
            found += [Job(self._servers, message) for message in page.jobs]
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    # --- datasets ---

    def import_dataset(self, name: str, source: Any, schema: str = "", replace: bool = False, split: str = "",
                       columns: Optional[Mapping[str, str]] = None, label_source: str = "", skip_bad: int = 0,
                       max_missing_share: Optional[float] = None, model: str = "", request_id: Optional[str] = None,
                       progress: Optional[Callable[[data_pb2.ImportProgress], None]] = None) -> DatasetInfo:
        """Imports a dataset, and returns a summary; `.report` has all details, `.notes` the warnings.

        source: a path, pattern or list of paths; rows as dicts, such as {"query": …, "pos": […]}, from any iterable, a
        datasets.Dataset or a pandas.DataFrame; or a dict (datasets.DatasetDict) with one of these per split:

            client.import_dataset("mydata", {"train": rows, "test": "test.jsonl"})

        The layouts are those of docs/reference/data-schemas.md; `schema` names one instead of having it detected. columns:
        field → column, {"query": "question"}. label_source: who judged, for records that do not name it. skip_bad: how many bad
        records to tolerate. model: whose tokenizer counts tokens for the report. progress: is called with ImportProgress. An
        existing name is refused, unless `replace` is True: then the splits of this import replace those of the dataset.
        """
        return self._import(data_pb2.ImportHeader(name=name, schema=schema, source=label_source, skip_bad=skip_bad, replace=replace,
                                                  model=model), source, split, columns, max_missing_share, request_id, progress)

    def add_to_dataset(self, name: str, source: Any, schema: str = "", split: str = "", columns: Optional[Mapping[str, str]] = None,
                       label_source: str = "", skip_bad: int = 0, request_id: Optional[str] = None,
                       progress: Optional[Callable[[data_pb2.ImportProgress], None]] = None) -> DatasetInfo:
        """Adds judgments, and queries and passages that are new, to a dataset. Arguments as for `import_dataset`."""
        return self._import(data_pb2.ImportHeader(name=name, schema=schema, source=label_source, skip_bad=skip_bad, add=True), source,
                            split, columns, None, request_id, progress)

    def _import(self, header: data_pb2.ImportHeader, source: Any, split: str, columns: Optional[Mapping[str, str]],
                max_missing_share: Optional[float], request_id: Optional[str],
                progress: Optional[Callable[[data_pb2.ImportProgress], None]]) -> DatasetInfo:
        parts = _import.plan(source, header.schema, split)
        header.split = "" if isinstance(source, Mapping) else split
        header.total_bytes = 0 if any(part.rows is not None for part in parts) else sum(part.size() for part in parts)
        header.columns.update(columns or {})
        if max_missing_share is not None:
            header.max_missing_share = max_missing_share
        header.request_id = request_id or _rpc.new_request_id()
        local: list[BaseException] = []

        def requests() -> Iterator[data_pb2.ImportDatasetRequest]:  # in a thread of gRPC, which would hide an error
            try:
                yield from _import.requests(header, parts)
            except BaseException as error:
                local.append(error)
                raise
        stream = self._servers.data().ImportDataset(requests())
        report: Optional[data_pb2.ImportReport] = None
        try:
            for response in stream:
                if response.HasField("report"):
                    report = response.report
                elif progress is not None:
                    progress(response.progress)
        except grpc.RpcError as error:
            if local and not isinstance(local[0], GeneratorExit):
                raise local[0] from None
            raise explain_unreachable(from_rpc(error)) from None
        finally:
            stream.cancel()  # an import that is interrupted leaves nothing behind
        if report is None:
            raise MusterError("import: the server ended without a report", "INTERNAL")
        return DatasetInfo.of(report.dataset, report)

    def dataset(self, name: str) -> DatasetInfo:
        """A dataset and the report of its import."""
        data = self._servers.data()
        response = _rpc.call(data.GetDataset, data_pb2.GetDatasetRequest(name=name), data.channel)
        return DatasetInfo.of(response.dataset, response.report if response.HasField("report") else None)

    def datasets(self) -> list[DatasetInfo]:
        """All datasets, by name."""
        data = self._servers.data()
        pages = self._pages(data.ListDatasets, data_pb2.ListDatasetsRequest(), data.channel)
        return [DatasetInfo.of(message) for page in pages for message in page.datasets]

    def delete_dataset(self, name: str, request_id: Optional[str] = None) -> None:
        data = self._servers.data()
        _rpc.call(data.DeleteDataset, data_pb2.DeleteDatasetRequest(name=name, request_id=request_id or _rpc.new_request_id()), data.channel)

    # --- models ---

    def push_model(self, name: str, folder: Union[str, os.PathLike[str]], replace: bool = False, request_id: Optional[str] = None,
                   progress: Optional[_blobs.Progress] = None) -> model_pb2.Model:
        """Pushes a Hugging Face or sentence-transformers folder, or one with only a tokenizer. Bytes that the cluster has are
        not sent again. The cluster checks the folder as a whole."""
        root = pathlib.Path(folder).expanduser()
        paths = _model_files(root)
        total, before = sum((root / path).stat().st_size for path in paths), 0
        blobs, manifest = _blobs.Blobs(self._servers), blob_pb2.FileManifest()
        for path in paths:
            def report(done: int, before: int = before) -> None:
                if progress:
                    progress(before + done, total)
            entry = blobs.put_file(root / path, path, report)
            before += entry.size
            manifest.files.append(entry)
        models = self._servers.models()
        request = model_pb2.PushModelRequest(name=name, files=manifest, replace=replace, request_id=request_id or _rpc.new_request_id())
        model: model_pb2.Model = _rpc.call(models.PushModel, request, models.channel, seconds=600).model
        return model

    def models(self) -> list[model_pb2.Model]:
        """All models, by name."""
        models = self._servers.models()
        return [model for page in self._pages(models.ListModels, model_pb2.ListModelsRequest(), models.channel) for model in page.models]

    def delete_model(self, name: str, request_id: Optional[str] = None) -> None:
        models = self._servers.models()
        _rpc.call(models.DeleteModel, model_pb2.DeleteModelRequest(name=name, request_id=request_id or _rpc.new_request_id()), models.channel)


def _utc(time: datetime.datetime) -> datetime.datetime:
    """A time without a zone is local, as everywhere in Python; protobuf takes UTC without a zone."""
    return time.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def _is_model_file(path: str) -> bool:
    """Whether a model folder needs the file, by the rule of common/model/folder_files.h: configuration, tokenizer, weights."""
    if path.startswith(("onnx/", "openvino/")):
        return False
    weights = path.endswith(".safetensors") and not path.startswith("checkpoint-") and (
        path == "model.safetensors" or "-of-" in path or path.endswith("/model.safetensors"))
    return weights or path in ("README.md", "chat_template.jinja") or path.endswith((".json", ".txt", ".model"))


def _model_files(root: pathlib.Path) -> list[str]:
    if not root.is_dir():
        raise InvalidArgumentError(f"{root}: is not a folder.")
    paths = []
    for where, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [pathlib.Path(where, name).relative_to(root).as_posix() for name in files if not name.startswith(".")]
    chosen = sorted(filter(_is_model_file, paths))
    if "config.json" in chosen and not any(path.endswith(".safetensors") for path in chosen):
        raise InvalidArgumentError(f"{root}: model.safetensors is missing. Save the model with safetensors: "
                                   "model.save_pretrained(FOLDER).")
    if not chosen:
        raise InvalidArgumentError(f"{root}: has no file of a model or tokenizer.")
    return chosen
