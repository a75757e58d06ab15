"""A gRPC server on loopback without TLS that answers with functions of a test."""
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2

from muster import _endpoint, _rpc
from muster.v1 import blob_pb2, cluster_pb2, data_pb2, job_pb2, model_pb2
from muster.wire import status_pb2

MODULES = (blob_pb2, cluster_pb2, data_pb2, job_pb2, model_pb2)


def _handler_of(module, service, method, function):
    types = module.DESCRIPTOR.services_by_name[service.name].methods_by_name[method.name]
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        function, request_deserializer=_rpc._class_of(types.input_type).FromString,
        response_serializer=_rpc._class_of(types.output_type).SerializeToString)


class FakeCluster:
    """`functions`: "JobService.GetJob" → function of request (or iterator of requests) and context. GetCluster names this
    server as the data server."""

    def __init__(self, functions, port=0):
        functions = {"ClusterService.GetCluster": self._get_cluster, **functions}
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        for module in MODULES:
            file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
            for service in file.service:
                handlers = {method.name: _handler_of(module, service, method, functions[f"{service.name}.{method.name}"])
                            for method in service.method if f"{service.name}.{method.name}" in functions}
                self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"muster.v1.{service.name}", handlers),))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def _get_cluster(self, request, context):
        return cluster_pb2.GetClusterResponse(version="0.1.0", data_addresses=[self.address])

    def servers(self):
        return _rpc.Servers(_endpoint.Endpoint(self.address, insecure=True))

    def stop(self):
        self.server.stop(0).wait()


def details(code, message, reason="", retry_seconds=None, request_id=""):
    """google.rpc.Status as the servers send it (common/rpc/errors.cc)."""
    status = status_pb2.Status(code=code, message=message)

    def pack(name, packed):
        status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=packed.SerializeToString())
    if reason:
        pack("ErrorInfo", status_pb2.ErrorInfo(reason=reason, domain="muster"))
    if retry_seconds is not None:
        info = status_pb2.RetryInfo()
        info.retry_delay.seconds, info.retry_delay.nanos = int(retry_seconds), int(retry_seconds % 1 * 1e9)
        pack("RetryInfo", info)
    if request_id:
        pack("RequestInfo", status_pb2.RequestInfo(request_id=request_id))
    return status.SerializeToString()


def refuse(context, code, message, **more):
    """Ends a call with an error of Muster."""
    context.set_trailing_metadata((("grpc-status-details-bin", details(code.value[0], message, **more)),))
    context.abort(code, message)
