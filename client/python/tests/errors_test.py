"""Errors of the servers become exceptions, one class for each thing that a caller can do."""
import unittest

import grpc

import fake_cluster
from muster import errors


class Refusal:
    """As grpc.RpcError of a call."""

    def __init__(self, code, message, metadata=()):
        self._code, self._message, self._metadata = code, message, metadata

    def code(self):
        return self._code

    def details(self):
        return self._message

    def trailing_metadata(self):
        return self._metadata


class Errors(unittest.TestCase):
    def test_every_code_has_the_class_and_exit_code_of_the_command_line(self):
        # common/exit_code.cc
        expected = {"INVALID_ARGUMENT": 2, "OUT_OF_RANGE": 2, "CANCELLED": 3, "DEADLINE_EXCEEDED": 4, "UNAVAILABLE": 5, "NOT_FOUND": 6,
                    "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 6, "UNAUTHENTICATED": 6, "RESOURCE_EXHAUSTED": 6, "FAILED_PRECONDITION": 6,
                    "ABORTED": 6, "UNKNOWN": 1, "UNIMPLEMENTED": 1, "INTERNAL": 1, "DATA_LOSS": 1}
        self.assertEqual({code.name for code in grpc.StatusCode} - {"OK"}, set(expected))
        for code in grpc.StatusCode:
            if code.name != "OK":
                error = errors.from_rpc(Refusal(code, "no"))
                self.assertEqual((error.code, error.exit_code, str(error)), (code.name, expected[code.name], "no"))
        for code, kind in (("INVALID_ARGUMENT", ValueError), ("NOT_FOUND", LookupError), ("UNAVAILABLE", ConnectionError),
                           ("DEADLINE_EXCEEDED", TimeoutError), ("NOT_FOUND", errors.RefusedError)):
            self.assertIsInstance(errors.error_of(code, ""), kind)

    def test_reason_pause_and_request_id_are_read(self):
        content = fake_cluster.details(8, "slow down", reason="RATE_LIMITED", retry_seconds=1.5, request_id="r-1")
        error = errors.from_rpc(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", (("x", "y"), ("grpc-status-details-bin", content))))
        self.assertEqual((error.reason, error.retry_after, error.request_id), ("RATE_LIMITED", 1.5, "r-1"))
        self.assertEqual(errors.rate_limit_of(error), 1.5)
        self.assertEqual(errors.rate_limit_of(errors.error_of("UNAVAILABLE", "", retry_after=2.0)), 0)
        again = error.with_context("put")
        self.assertEqual((type(again), again.message, again.reason, again.retry_after), (errors.RefusedError, "put: slow down", "RATE_LIMITED", 1.5))

    def test_details_that_are_not_of_muster_are_left_alone(self):
        from muster.wire import status_pb2
        other = status_pb2.Status()
        other.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo",
                          value=status_pb2.ErrorInfo(reason="THEIRS", domain="example.org").SerializeToString())
        for content in (other.SerializeToString(), b"\xff\xff\xff"):
            error = errors.from_rpc(Refusal(grpc.StatusCode.NOT_FOUND, "no", (("grpc-status-details-bin", content),)))
            self.assertEqual((error.code, error.reason), ("NOT_FOUND", ""))

    def test_an_unreachable_cluster_is_explained_once_and_a_shutdown_not_at_all(self):
        plain = errors.explain_unreachable(errors.error_of("UNAVAILABLE", "connection refused"))
        self.assertIn("the cluster does not answer: connection refused. Is it running", plain.message)
        self.assertEqual(errors.explain_unreachable(errors.error_of("UNAVAILABLE", "bye", "SHUTTING_DOWN")).message, "bye")
        self.assertEqual(errors.explain_unreachable(errors.error_of("NOT_FOUND", "no")).message, "no")
        self.assertTrue(errors.is_wrong_certificate(errors.error_of("UNAVAILABLE", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED")))


class Beside(unittest.TestCase):
    def test_googles_own_file_of_the_same_messages_may_be_loaded_too(self):
        # googleapis-common-protos, which grpcio-status and others need, registers google/rpc/status.proto.
        from google.protobuf import descriptor_pb2, descriptor_pool
        from muster.wire import status_pb2
        file = descriptor_pb2.FileDescriptorProto(name="google/rpc/status.proto", package="google.rpc", syntax="proto3")
        file.message_type.add(name="Status")
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
        self.assertEqual(status_pb2.Status.DESCRIPTOR.full_name, "muster.wire.Status")


if __name__ == "__main__":
    unittest.main()
