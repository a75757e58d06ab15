"""Channels with TLS, and calls that are retried while the cluster does not answer."""
from __future__ import annotations

import pathlib
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Callable, Optional

import grpc
from google.protobuf import descriptor_pb2, message_factory

from . import _endpoint
from ._version import __version__
from .errors import InvalidArgumentError, MusterError, UnreachableError, error_of, explain_unreachable, from_rpc, is_wrong_certificate, rate_limit_of
from .v1 import blob_pb2, cluster_pb2, data_pb2, job_pb2, model_pb2

_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # also the time for a TLS handshake: a busy host needs seconds
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.keepalive_time_ms", 20000),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.primary_user_agent", f"muster/{__version__}"),  # servers read the client's version from it
]
CALL_SECONDS = 60.0      # deadline of one try
PATIENCE_SECONDS = 20.0  # how long to retry if the cluster does not answer
FOLLOW_SECONDS = 60.0    # for a coordinator that restarts while a job is followed


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"certificates: {path}: {error.strerror}. Give certs= a folder made by muster certs issue; with a "
                                   "token, one with ca.pem is enough.") from None


def read_certificates(folder: str) -> tuple[bytes, Optional[bytes], Optional[bytes]]:
    """(authority, key, certificate) of a folder with ca.pem, cert.pem and key.pem, or ca.crt, tls.crt and tls.key. Key and
    certificate may both be missing."""
    path = pathlib.Path(folder).expanduser()
    names = ("ca.pem", "key.pem", "cert.pem")
    if not (path / names[0]).exists() and (path / "ca.crt").exists():
        names = ("ca.crt", "tls.key", "tls.crt")
    authority = _read(path / names[0])
    if not (path / names[1]).exists() and not (path / names[2]).exists():
        return authority, None, None
    return authority, _read(path / names[1]), _read(path / names[2])


def read_token(file: str) -> str:
    try:
        token = pathlib.Path(file).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidArgumentError(f"token file: {file}: {error.strerror}") from None
    if not token:
        raise InvalidArgumentError(f"token file: {file} is empty. Issue a token: muster tokens issue.")
    return token


class _Token(grpc.AuthMetadataPlugin):
    """Sends the token with every call, only over TLS. A token file is read again for each call, since it may be replaced."""

    def __init__(self, endpoint: _endpoint.Endpoint) -> None:
        self._endpoint = endpoint

    def __call__(self, context: Any, callback: Any) -> None:
        try:
            token = self._endpoint.token or read_token(self._endpoint.token_file)
            callback((("authorization", f"Bearer {token}"),), None)
        except Exception as error:  # gRPC needs an answer, whatever went wrong
            callback((), error)


def open_channel(address: str, endpoint: _endpoint.Endpoint) -> grpc.Channel:
    if endpoint.insecure:
        return grpc.insecure_channel(address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(*read_certificates(endpoint.certs))
    if endpoint.token or endpoint.token_file:
        credentials = grpc.composite_channel_credentials(credentials, grpc.metadata_call_credentials(_Token(endpoint), name="muster"))
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


def _class_of(descriptor: Any) -> Any:
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return getattr(message_factory.MessageFactory(), "GetPrototype")(descriptor)  # protobuf before 4.22


class Service:
    """The RPCs of a service as callables of a channel, by name: `Service(channel, job_pb2, "JobService").GetJob(request)`."""

    def __init__(self, channel: grpc.Channel, module: Any, name: str) -> None:
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        proto = next(service for service in file.service if service.name == name)
        service = module.DESCRIPTOR.services_by_name[name]
        self.channel = channel
        for method in proto.method:
            types = service.methods_by_name[method.name]
            kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
            setattr(self, method.name, getattr(channel, kind)(
                f"/{service.full_name}/{method.name}",
                request_serializer=_class_of(types.input_type).SerializeToString,
                response_deserializer=_class_of(types.output_type).FromString))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the service has no RPC {name}")


class Servers:
    """Channels to the coordinator and the data server. Thread-safe."""

    def __init__(self, endpoint: _endpoint.Endpoint) -> None:
        if endpoint.token_file:
            read_token(endpoint.token_file)
        self.endpoint = endpoint
        self.coordinator = open_channel(endpoint.address, endpoint)
        self.jobs = Service(self.coordinator, job_pb2, "JobService")
        self.cluster = Service(self.coordinator, cluster_pb2, "ClusterService")
        self._data: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()

    def data_channel(self) -> grpc.Channel:
        """Asks the coordinator where the data server is, since that may change."""
        cluster = call(self.cluster.GetCluster, cluster_pb2.GetClusterRequest(), self.coordinator)
        if not cluster.data_addresses:
            raise UnreachableError("the cluster has no data server at the moment. Is muster-data running?", "UNAVAILABLE")
        address = _endpoint.reachable(cluster.data_addresses[0], self.endpoint.address)
        with self._lock:
            if address not in self._data:
                self._data[address] = open_channel(address, self.endpoint)
            return self._data[address]

    def data(self) -> Service:
        return Service(self.data_channel(), data_pb2, "DataService")

    def models(self) -> Service:
        return Service(self.data_channel(), model_pb2, "ModelService")

    def blobs(self) -> Service:
        return Service(self.data_channel(), blob_pb2, "BlobService")

    def close(self) -> None:
        with self._lock:
            for channel in (self.coordinator, *self._data.values()):
                channel.close()
            self._data.clear()


def new_request_id() -> str:
    """A new request id. Every mutation carries one, so that a retry changes nothing."""
    return str(uuid.uuid4())


def pause_before_retry(channel: grpc.Channel, seconds: float) -> None:
    """Waits for the connection, at most `seconds` and at least 0.1 s. The call makes the channel connect; any answer from a
    running server ends the wait. (grpc.channel_ready_future leaves a thread that fails when the channel is closed.)"""
    started = time.monotonic()
    try:
        channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"", wait_for_ready=True, timeout=seconds)
    except grpc.RpcError:
        pass
    waited = time.monotonic() - started
    if waited < 0.1:
        time.sleep(max(0.0, min(0.1, seconds) - waited))


def persist(attempt: Callable[[], Any], channel: grpc.Channel, patience: float = PATIENCE_SECONDS,
            moved: Callable[[], int] = lambda: 0) -> Any:
    """Repeats `attempt` while the server does not answer, until `patience` seconds have passed since `moved()` last changed.
    A server that shuts down cancels the calls that run beyond its grace period."""
    last, seen, wait = time.monotonic(), moved(), 0.1
    while True:
        try:
            return attempt()
        except grpc.RpcError as rpc_error:
            error = from_rpc(rpc_error)
        if error.code == "CANCELLED":
            error = error_of("UNAVAILABLE", f"the server ended the call: {error.message}")
        limited = rate_limit_of(error)
        if (error.code != "UNAVAILABLE" and not limited) or is_wrong_certificate(error):
            raise explain_unreachable(error) from None
        now = time.monotonic()
        if moved() != seen:
            last, seen, wait = now, moved(), 0.1
        if now - last + max(limited, wait) > patience:
            raise explain_unreachable(error) from None
        if limited:
            time.sleep(limited)
        else:
            pause_before_retry(channel, wait)
            wait = min(2 * wait, 5.0)


def call(method: Any, request: Any, channel: grpc.Channel, notes: Optional[list[str]] = None, seconds: float = CALL_SECONDS) -> Any:
    """One unary call, retried while the cluster does not answer. `notes` receives the notes that the server sent with the
    answer."""
    metadata = (("x-request-id", new_request_id()),)

    def attempt() -> Any:
        response, done = method.with_call(request, timeout=seconds, metadata=metadata)
        if notes is not None:
            notes[:] = [value.decode("utf-8", "replace") for key, value in done.trailing_metadata() or () if key == "muster-note-bin"]
        return response
    return persist(attempt, channel)


def translated(stream: Any) -> Iterator[Any]:
    """The messages of a stream, which is canceled when the caller stops iterating. Raises this package's errors."""
    try:
        yield from stream
    except grpc.RpcError as error:
        raise explain_unreachable(from_rpc(error)) from None
    finally:
        stream.cancel()


def follow(start: Callable[[Optional[float]], Any], channel: grpc.Channel, timeout: Optional[float], patience: float = FOLLOW_SECONDS,
           on_pause: Callable[[], None] = lambda: None, is_done: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Messages of a stream that is opened again whenever it breaks. `start(seconds)` opens it after the last message that the
    caller has seen. A server that stops may end its streams without an error, so `is_done()` decides whether such an end is
    final. Raises DEADLINE_EXCEEDED after `timeout` seconds, and UNAVAILABLE when nothing was received for `patience`
    seconds."""
    begun = last = time.monotonic()
    wait, heard = 0.2, False
    while True:
        stream = start(None if timeout is None else max(0.0, timeout - (time.monotonic() - begun)))
        error: MusterError = UnreachableError("the stream ended", "UNAVAILABLE")
        try:
            for message in stream:
                yield message
                last, wait, heard = time.monotonic(), 0.2, True
            if is_done():
                return
        except grpc.RpcError as rpc_error:
            error = from_rpc(rpc_error)
        finally:
            stream.cancel()  # also if the caller stops iterating
        limited = rate_limit_of(error)
        if error.code not in ("UNAVAILABLE", "CANCELLED") and not limited:
            raise error
        if (not heard and is_wrong_certificate(error)) or time.monotonic() - last > patience:
            raise explain_unreachable(error_of("UNAVAILABLE", error.message)) from None
        if limited:
            time.sleep(limited)
            continue
        on_pause()
        pause_before_retry(channel, wait)
        wait = min(2 * wait, 5.0)
