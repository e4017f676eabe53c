"""Calls tests/e2e/apps/grpc through the router: PORT AUTHORITY. Prints a line for each call."""
import sys
import threading

import grpc

channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1], options=[
    ("grpc.default_authority", sys.argv[2]), ("grpc.enable_http_proxy", 0)])
answer, call = channel.unary_unary("/berth.Test/Turned").with_call(b"abc", timeout=10)
print("unary", answer.decode(), call.code().name, dict(call.trailing_metadata())["x-length"])

big = b"x" * 3_000_000
answer = channel.unary_unary("/berth.Test/Turned")(big, timeout=10)
print("large", len(answer), answer == big)

said = threading.Semaphore(0)  # the next word is said when the one before was answered


def words():
    for word in (b"one", b"two", b"three"):
        yield word
        assert said.acquire(timeout=10)


heard = []
for answer in channel.stream_stream("/berth.Test/Loud")(words(), timeout=20):
    heard.append(answer.decode())
    said.release()
print("stream", *heard)

try:
    channel.unary_unary("/berth.Test/Refused")(b"", timeout=10)
except grpc.RpcError as e:
    print("refused", e.code().name, e.details())
try:
    channel.unary_unary("/berth.Test/None")(b"", timeout=10)
except grpc.RpcError as e:
    print("unknown", e.code().name)
