"""Heads that never end, and bytes at random. What is refused for what it says is in the table (cases/)."""
import os
import socket
import threading
import time

from harness import *

H = b"Host: a.example\r\n"


def post(fields, body=b""):
    return b"POST / HTTP/1.1\r\n" + H + fields + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n"


def test_a_slow_head_is_answered_408_and_silence_is_closed():
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    with r.connect(20) as slow, r.connect(20) as silent:
        start = time.monotonic()
        stop = threading.Event()

        def drip():
            while not stop.wait(0.5):
                try:
                    slow.sendall(b"X")
                except OSError:
                    return
        slow.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n")
        t = threading.Thread(target=drip)
        t.start()
        head, _ = read_head(slow)
        took = time.monotonic() - start
        stop.set()
        t.join()
        assert status_of(head) == 408 and 9.5 < took < 14, took
        silent.settimeout(3)
        assert silent.recv(100) == b""
    assert not b.requests
    assert r.close() == 0


test_a_slow_head_is_answered_408_and_silence_is_closed.slow = True


def test_random_bytes_do_no_harm():
    b = Backend(record_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    seed = post(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n") + post(b"Content-Length: 3\r\n", b"abc") + SMUGGLED
    for _ in range(300):
        data = bytearray(seed)
        for _ in range(1 + os.urandom(1)[0] % 4):
            data[int.from_bytes(os.urandom(2), "big") % len(data)] = os.urandom(1)[0]
        with r.connect() as s:
            s.settimeout(0.02)
            try:
                s.sendall(bytes(data))
                s.recv(65536)
            except OSError:
                pass
    assert r.alive() and ask(r, SMUGGLED)[0] == 200
    assert r.close() == 0


def test_the_page_of_the_table_shows_it_as_it_is():
    import conform
    with open(os.path.join(ROOT, "docs/CONFORMANCE.md")) as f:
        assert f.read() == "\n".join(conform.markdown()) + "\n", "tests/router/run --table >docs/CONFORMANCE.md"
