"""What is refused: after each, the app has seen nothing, the answer is right and the connection is closed."""
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

REFUSED = [
    ("CL.TE", post(b"Content-Length: 6\r\n" + CHUNKED, b"0\r\n\r\nG"), 400),
    ("TE.CL", post(CHUNKED + b"Content-Length: 4\r\n", b"5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"), 400),
    ("TE.TE", post(CHUNKED + b"Transfer-Encoding: x\r\n", b"0\r\n\r\n"), 400),
    ("TE chunked twice", post(CHUNKED + CHUNKED, b"0\r\n\r\n"), 400),
    ("TE xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    ("TE space before colon", post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), 400),
    ("TE tab in front", post(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"), 400),
    ("TE folded", post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"), 400),
    ("TE after a bare LF", post(b"X: y\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("TE after a bare CR", post(b"X: y\rTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("TE with a quoted comma", post(b"Transfer-Encoding: \"chunked\"\r\n", b"0\r\n\r\n"), 501),
    ("TE gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    ("TE chunked, identity", post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 501),
    ("TE in 1.0", b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n0\r\n\r\n", 400),
    ("CL twice, equal", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    ("CL twice", post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"), 400),
    ("CL list", post(b"Content-Length: 3,3\r\n", b"abc"), 400),
    ("CL plus", post(b"Content-Length: +3\r\n", b"abc"), 400),
    ("CL minus", post(b"Content-Length: -3\r\n", b"abc"), 400),
    ("CL hex", post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    ("CL empty", post(b"Content-Length: \r\n", b"abc"), 400),
    ("CL letters", post(b"Content-Length: abc\r\n", b"abc"), 400),
    ("CL huge", post(b"Content-Length: 99999999999999999999\r\n"), 400),
    ("CL above the limit", post(b"Content-Length: 99999999999\r\n"), 413),
    ("CL with NUL", post(b"Content-Length: 3\x00\r\n", b"abc"), 400),
    ("chunk size in hex with prefix", post(CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size negative", post(CHUNKED, b"-1\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size with space", post(CHUNKED, b"3 \r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size overflow", post(CHUNKED, b"10000000000000003\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size empty", post(CHUNKED, b"\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk with bare LF", post(CHUNKED, b"3\nabc\n0\n\n"), 400),
    ("chunk too long", post(CHUNKED, b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    ("chunk without CRLF", post(CHUNKED, b"3\r\nabc0\r\n\r\n"), 400),
    ("chunk extension with LF", post(CHUNKED, b"3;\nx\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk extension too long", post(CHUNKED, b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n"), 400),
    ("trailer with LF", post(CHUNKED, b"0\r\nA: b\n\r\n"), 400),
    ("trailer folded", post(CHUNKED, b"0\r\nA: b\r\n c\r\n\r\n"), 400),
    ("trailers too long", post(CHUNKED, b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n"), 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\n" + H + H + b"\r\n", 400),
    ("two Hosts, absolute-form", b"GET http://a.example/ HTTP/1.1\r\n" + H + b"Host: b\r\n\r\n", 400),
    ("Host with space before colon", b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", 400),
    ("Host with path", b"GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n", 400),
    ("Host with user", b"GET / HTTP/1.1\r\nHost: x@a.example\r\n\r\n", 400),
    ("Host empty", b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400),
    ("Host folded", b"GET / HTTP/1.1\r\nHost:\r\n a.example\r\n\r\n", 400),
    ("obs-fold", b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n b\r\n\r\n", 400),
    ("first line folded", b"GET / HTTP/1.1\r\n X: a\r\n" + H + b"\r\n", 400),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a.example\n\n", 400),
    ("bare LF at the end", b"GET / HTTP/1.1\r\n" + H + b"\n", 400),
    ("bare CR", b"GET / HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n", 400),
    ("NUL in a name", b"GET / HTTP/1.1\r\n" + H + b"X\x00: a\r\n\r\n", 400),
    ("NUL in a value", b"GET / HTTP/1.1\r\n" + H + b"X: a\x00b\r\n\r\n", 400),
    ("NUL in the target", b"GET /\x00 HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("control byte in a value", b"GET / HTTP/1.1\r\n" + H + b"X: a\x08\r\n\r\n", 400),
    ("no colon", b"GET / HTTP/1.1\r\n" + H + b"X\r\n\r\n", 400),
    ("empty name", b"GET / HTTP/1.1\r\n" + H + b": a\r\n\r\n", 400),
    ("name with bracket", b"GET / HTTP/1.1\r\n" + H + b"X[]: a\r\n\r\n", 400),
    ("relative target", b"GET x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("target with a space", b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("target with a fragment", b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("raw UTF-8 in the target", b"GET /\xc3\xa4 HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("asterisk for GET", b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("another scheme", b"GET ftp://a.example/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("method with braces", b"{GET} / HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("0.9", b"GET /\r\n", 400),
    ("version 2.0", b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505),
    ("version 3.7", b"GET / HTTP/3.7\r\n" + H + b"\r\n", 505),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("version in small letters", b"GET / http/1.1\r\n" + H + b"\r\n", 400),
    ("version with two digits", b"GET / HTTP/1.10\r\n" + H + b"\r\n", 400),
    ("CONNECT", b"CONNECT a.example:443 HTTP/1.1\r\n" + H + b"\r\n", 501),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)), 400),
    ("another expectation", b"GET / HTTP/1.1\r\n" + H + b"Expect: magic\r\n\r\n", 417),
    ("target of 9000", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", 414),
    ("head of 33 kB", b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 33000 + b"\r\n\r\n", 431),
    ("200 fields", b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n" * 200 + b"\r\n", 431),
]


def exchange(r, request):
    """(status, whether the connection was closed after it, bytes after the first answer)"""
    with r.connect() as s:
        s.sendall(request)
        try:
            head, rest = read_head(s)
            if head is None:
                return None, True, b""
            _, rest = read_body(s, head, rest)
            s.settimeout(3)
            more = read_exact(s, 1 << 20, rest)[0]
            return status_of(head), True, more
        except socket.timeout:
            return status_of(head), False, b""


def test_ambiguous_and_malformed_requests_never_reach_the_app():
    b = Backend(record_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    wrong = []
    for what, request, want in REFUSED:
        got, closed, more = exchange(r, request + SMUGGLED)
        if (got, closed, more) != (want, True, b"") or b.raw:
            wrong.append((what, got, want, closed, more[:80], b.raw))
            b.raw.clear()
    assert len(REFUSED) >= 70 and not wrong, wrong
    # positive control: the same path lets the plain request through
    assert ask(r, SMUGGLED)[0] == 200 and len(b.raw) == 1
    assert r.close() == 0


def test_the_same_in_pieces_never_reaches_the_app():
    b = Backend(record_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    wrong = []
    for what, request, want in REFUSED:
        head_end = request.find(b"\r\n\r\n") + 4
        if head_end < 4 or head_end == len(request):
            head_end = len(request)  # the error is in the head; one in the body may let the head pass
        if head_end != len(request) or len(request) > 6000:
            continue
        with r.connect() as s:
            s.settimeout(3)
            code = None
            try:
                for at in range(0, len(request), 7):
                    s.sendall(request[at:at + 7])
                s.sendall(SMUGGLED)
            except OSError:
                pass
            try:
                head, _ = read_head(s)
                code = status_of(head)
            except OSError as e:
                code = e
        if code != want or b.raw:
            wrong.append((what, code, want, b.raw))
            b.raw.clear()
    assert not wrong, wrong
    assert r.close() == 0


def test_a_bad_chunk_after_good_ones_ends_both_connections():
    b = Backend(record_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    for bad in (b"zz\r\n", b"3\r\nabcd\r\n", b"0\r\nbad trailer\r\n\r\n", b"0\r\n\rG"):
        b.raw.clear()
        with r.connect() as s:
            s.sendall(post(CHUNKED, b"3\r\nabc\r\n"))
            assert wait_for(lambda: b.raw and b.raw[0].endswith(b"3\r\nabc\r\n"))
            s.sendall(bad + SMUGGLED)
            head, _ = read_head(s)
            assert status_of(head) == 400
        assert wait_for(lambda: not b.conns)
        assert len(b.raw) == 1 and b"smuggled" not in b.raw[0] and b.raw[0].count(b"HTTP/1.1") == 1
    assert r.close() == 0


def test_what_follows_a_body_is_a_request_of_its_own():
    """A body that looks like a request stays a body; the bytes after it are parsed anew."""
    b = Backend(echo_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    with r.connect() as s:
        inner = b"GET /inner HTTP/1.1\r\n" + H + b"\r\n"
        s.sendall(post(b"Content-Length: %d\r\n" % len(inner), inner) + post(CHUNKED, b"%x\r\n" % len(inner) + inner +
                  b"\r\n0\r\n\r\n") + SMUGGLED)
        rest = b""
        for want in (inner, inner, b""):
            head, rest = read_head(s, rest)
            got, rest = read_body(s, head, rest)
            assert got == want
    assert [h.split(b" ")[1] for h, _ in b.requests] == [b"/", b"/", b"/smuggled"]
    assert r.close() == 0


def test_answers_of_apps_that_cannot_be_framed_become_502():
    bad = [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
           b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
           b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", b"garbage\r\n\r\n\r\n\r\n",
           b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", b"HTTP/1.1 999 OK\r\n\r\n",
           b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
           b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
    turn = []

    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(bad[turn[-1]])
    b = Backend(handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    for i in range(len(bad)):
        turn.append(i)
        assert ask(r, get())[0] == 502, bad[i]
    assert r.log_where("code=H17")
    assert r.close() == 0


def test_bytes_after_a_response_never_become_the_next_answer():
    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    b = Backend(handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    with r.connect() as s:
        for _ in range(5):
            s.sendall(get())
            head, rest = read_head(s)
            assert read_body(s, head, rest) == (b"ok", b"")
    assert b.connections == 5
    assert r.close() == 0


def test_a_connection_that_an_app_speaks_on_unasked_is_not_used_again():
    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            time.sleep(0.05)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    b = Backend(handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    for _ in range(3):
        assert ask(r, get())[2] == b"ok"
        time.sleep(0.1)
    assert b.connections == 3
    assert r.close() == 0


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
        assert status_of(head) == 408 and 9.5 < took < 11, took
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
