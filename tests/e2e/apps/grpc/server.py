"""A gRPC server without generated code: messages are bytes."""
import os
from concurrent import futures

import grpc


def turned(request, context):
    context.set_trailing_metadata((("x-length", str(len(request))),))
    return request[::-1]


def loud(requests, context):
    for request in requests:
        yield request.upper()


def refused(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("berth.Test", {
    "Turned": grpc.unary_unary_rpc_method_handler(turned),
    "Loud": grpc.stream_stream_rpc_method_handler(loud),
    "Refused": grpc.unary_unary_rpc_method_handler(refused),
}),))
assert server.add_insecure_port("127.0.0.1:" + os.environ["PORT"])
server.start()
server.wait_for_termination()
