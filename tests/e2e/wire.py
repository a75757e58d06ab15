"""The messages in Python, generated from proto/muster; channels over mTLS; and a proxy between client and
server."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent import futures

from cluster import ROOT

GENERATED = tempfile.TemporaryDirectory(prefix="muster-proto-")
subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={GENERATED.name}", f"--grpc_out={GENERATED.name}",
                f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}",
                *[str(path) for path in sorted((ROOT / "proto/muster").rglob("*.proto"))]], check=True)
sys.path.insert(0, GENERATED.name)
import grpc  # noqa: E402
from muster.internal.v1 import backup_pb2, backup_pb2_grpc, data_plane_pb2, data_plane_pb2_grpc  # noqa: E402,F401

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def pems(certs):
    return [(pathlib.Path(certs) / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem")]


def channel(address, certs):
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*pems(certs)), options=UNLIMITED)


class Proxy(grpc.GenericRpcHandler):
    """A proxy in front of the data server with a certificate of its authority. It forwards all calls with the caller's identity
    (the test has its certificates), and lets `tamper(request, share)` change what a rank receives for a step. `streams` records
    how each (job, attempt, rank) requested its steps: (request, metadata, with the ticket of its attempt)."""

    def __init__(self, target, own_certs, certs_of):
        self.target, self.certs_of = target, certs_of
        self.tamper, self.streams = None, {}
        self.channels, self.lock = {}, threading.Lock()
        authority, key, certificate = pems(own_certs)
        self.server = grpc.server(futures.ThreadPoolExecutor(64), handlers=[self], options=UNLIMITED)
        self.port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=True))
        self.server.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop(0)

    def channel_of(self, context):
        name = context.auth_context()["x509_common_name"][0].decode()
        with self.lock:
            if name not in self.channels:
                self.channels[name] = channel(self.target, self.certs_of(name))
            return self.channels[name]

    def service(self, details):
        def forward(requests, context):
            first = []
            metadata = [(key, value) for key, value in details.invocation_metadata if not key.startswith(("user-agent", "grpc-"))]

            def noted():
                for request in requests:
                    if not first:
                        first.append(request)
                        self.note(details.method, request, metadata)
                    yield request

            remaining = context.time_remaining()  # about 9e18 for a call without a deadline
            call = self.channel_of(context).stream_stream(details.method)(
                noted(), timeout=remaining if remaining < 1e9 else None, metadata=metadata)
            context.add_callback(call.cancel)
            try:
                for reply in call:
                    yield self.changed(details.method, first, reply)
            except grpc.RpcError as error:
                context.set_trailing_metadata(error.trailing_metadata() or ())
                context.set_code(error.code())
                context.set_details(error.details())
        return grpc.stream_stream_rpc_method_handler(forward)

    def note(self, method, request, metadata):
        if method == "/muster.internal.v1.DataPlaneService/Stream":
            rank = data_plane_pb2.StreamRequest.FromString(request).identity
            self.streams[(rank.job_id, rank.attempt, rank.rank)] = (request, metadata)

    def changed(self, method, first, reply):
        tamper = self.tamper
        if tamper is None or method != "/muster.internal.v1.DataPlaneService/Stream":
            return reply
        share = data_plane_pb2.StepShare.FromString(reply)
        tamper(data_plane_pb2.StreamRequest.FromString(first[0]), share)
        return share.SerializeToString()
