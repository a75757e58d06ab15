"""The errors of this package, grouped by what a caller can do about them. Codes and reasons are those of
docs/reference/errors.md.

Every error of this package is a MusterError. Programs decide by the class, `code` and `reason`, never by the text.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from .job import Job


class MusterError(Exception):
    """`code`: the gRPC code, such as NOT_FOUND. `reason`: a reason of docs/reference/errors.md, or empty. `message`: one
    human-readable line. `request_id`: the call's id in the server's log. `retry_after`: seconds that the server asks to
    wait, if it does. `exit_code`: the command line's exit code for this error."""

    exit_code = 1

    def __init__(self, message: str, code: str = "UNKNOWN", reason: str = "", request_id: str = "",
                 retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.message, self.code, self.reason = message, code, reason
        self.request_id, self.retry_after = request_id, retry_after

    def with_context(self, context: str) -> MusterError:
        """The same error with "context: " before its message."""
        return type(self)(f"{context}: {self.message}", self.code, self.reason, self.request_id, self.retry_after)


class InvalidArgumentError(MusterError, ValueError):
    """A value, file or folder is wrong. The same call fails again."""
    exit_code = 2

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT", reason: str = "", request_id: str = "",
                 retry_after: Optional[float] = None) -> None:
        super().__init__(message, code, reason, request_id, retry_after)


class CanceledError(MusterError):
    """The call was canceled, by its caller or by a server that shut down."""
    exit_code = 3


class DeadlineError(MusterError, TimeoutError):
    """The time that the caller allowed has passed. Jobs are not affected."""
    exit_code = 4


class UnreachableError(MusterError, ConnectionError):
    """The cluster does not answer."""
    exit_code = 5


class RefusedError(MusterError):
    """The cluster refused: not allowed, exists already, no space, not in this state."""
    exit_code = 6


class NotFoundError(RefusedError, LookupError):
    """There is no job, dataset, model or file with this name."""


class ServerError(MusterError):
    """An error of Muster's own, or stored bytes that are damaged."""


class JobEndedError(MusterError):
    """A job that was waited for did not succeed. `job` is its last state."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} {job.phase}: {job.reason}", "FAILED_PRECONDITION", job.reason_code)
        self.job = job


class JobFailedError(JobEndedError):
    """The job failed."""
    exit_code = 1


class JobCancelledError(JobEndedError):
    """The job was cancelled."""
    exit_code = 3


_CLASSES: dict[str, type[MusterError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError, "OUT_OF_RANGE": InvalidArgumentError,
    "CANCELLED": CanceledError, "DEADLINE_EXCEEDED": DeadlineError, "UNAVAILABLE": UnreachableError,
    "NOT_FOUND": NotFoundError, "ALREADY_EXISTS": RefusedError, "PERMISSION_DENIED": RefusedError,
    "UNAUTHENTICATED": RefusedError, "RESOURCE_EXHAUSTED": RefusedError, "FAILED_PRECONDITION": RefusedError,
    "ABORTED": RefusedError,
}


def error_of(code: str, message: str, reason: str = "", request_id: str = "", retry_after: Optional[float] = None) -> MusterError:
    """The error of the class that belongs to a gRPC code."""
    return _CLASSES.get(code, ServerError)(message, code, reason, request_id, retry_after)


def from_rpc(error: Any) -> MusterError:
    """The error of a grpc.RpcError, with the details that Muster's servers send."""
    from .wire import status_pb2
    reason, request_id, retry_after = "", "", None
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            details = status_pb2.Status.FromString(value)
            for any_message in details.details:
                name = any_message.type_url.rpartition("/")[2]
                if name == "google.rpc.ErrorInfo":
                    info = status_pb2.ErrorInfo.FromString(any_message.value)
                    reason = info.reason if info.domain == "muster" else reason
                elif name == "google.rpc.RetryInfo":
                    delay = status_pb2.RetryInfo.FromString(any_message.value).retry_delay
                    retry_after = delay.seconds + delay.nanos / 1e9
                elif name == "google.rpc.RequestInfo":
                    request_id = status_pb2.RequestInfo.FromString(any_message.value).request_id
        except DecodeError:  # not of a server of Muster
            pass
    return error_of(error.code().name, error.details() or "", reason, request_id, retry_after)


def rate_limit_of(error: MusterError) -> float:
    """Seconds to wait before a call that was refused for its rate is made again; 0: it was refused for another reason."""
    return (error.retry_after or 0.0) if error.code == "RESOURCE_EXHAUSTED" else 0.0


def explain_unreachable(error: MusterError) -> MusterError:
    if error.code != "UNAVAILABLE" or error.reason == "SHUTTING_DOWN":
        return error
    return UnreachableError(f"the cluster does not answer: {error.message}. Is it running, and are address and certificates right?",
                            "UNAVAILABLE", error.reason, error.request_id)


def is_wrong_certificate(error: MusterError) -> bool:
    """The server's certificate was refused. It would be refused again."""
    text = error.message.lower()
    return error.code == "UNAVAILABLE" and ("certificate verify failed" in text or "certificate_verify_failed" in text)
