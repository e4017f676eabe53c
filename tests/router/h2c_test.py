"""Apps that are spoken to in HTTP/2 with prior knowledge: both kinds of clients, streams, retries, and apps that do wrong."""
import contextlib
import gzip
import os
import socket
import struct
import threading
import time

from harness import *
from h2_test import CALM, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INTERNAL, NO_ERROR, PING, PREFACE, \
    PROTOCOL, PUSH, REFUSED, RST, SETTINGS, WINDOW, Client, literal, raw_frame, swapped

H2C, GZIP = 2, 1  # enum table_option_flags
OK = [(":status", "200")]


class App2(Client):
    """The app's end of a connection: heads are requests."""

    def __init__(self, backend, conn, settings=()):
        super().__init__(conn, preface=False)
        self.backend, self.seen = backend, set()
        self.preface, self.raw = read_exact(conn, len(PREFACE))
        assert self.preface == PREFACE, self.preface
        self.frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in settings))

    def requests(self):
        """Each stream when its head is there."""
        while True:
            new = [s for s in self.heads if s not in self.seen]
            if new:
                self.seen.add(new[0])
                yield new[0]
            elif not self.step(10):
                return

    def whole(self, stream):
        """(head, body, trailers) of a request."""
        assert self.until(lambda: stream in self.ended), (self.heads, self.bodies, self.reset)
        heads = self.heads[stream]
        got = heads[0], self.bodies.get(stream, b""), heads[1] if len(heads) > 1 else None
        self.backend.requests.append(got)
        return got

    def head(self, stream, fields=OK, end=False):
        self.frame(HEADERS, END_HEADERS | END_STREAM * end, stream, literal(fields))

    def send(self, stream, body, end=True):
        """As far as the windows go: these bodies are small, or the test minds them."""
        self.data(stream, body, end)

    held = None

    def frame(self, *frame):
        if self.held is None:
            super().frame(*frame)
        else:
            self.held += raw_frame(*frame)

    @contextlib.contextmanager
    def at_once(self):
        self.held = b""
        yield
        held, self.held = self.held, None
        self.s.sendall(held)

    def answer(self, stream, body=b"hello", fields=(), trailers=None, status="200"):
        self.head(stream, [(":status", status), *fields], end=not body and not trailers)
        if body:
            self.send(stream, body, not trailers)
        if trailers:
            self.head(stream, trailers, end=True)


def speaking(answer, settings=()):
    """A handler of connections that calls answer(app, stream) for each request."""
    def handler(backend, conn):
        app = App2(backend, conn, settings)
        backend.raw.append(app)
        for stream in app.requests():
            answer(app, stream)
    return handler


def hello(app, stream):
    app.whole(stream)
    app.answer(stream)


@contextlib.contextmanager
def routed(answer=hello, handler=None, settings=(), flags=H2C, backends=1, **more):
    bs = [Backend(handler or speaking(answer, settings)) for _ in range(backends)]
    r = Router()
    try:
        assert r.send_table([App(7, ["a.example"], [(1 + i, b.port, "web.%d" % (1 + i)) for i, b in enumerate(bs)],
                                 options={"flags": flags}, **more)]) == 0
        yield (r, *bs)
    finally:
        for b in bs:
            b.stop()
        assert r.close() == 0


def client(r, settings=()):
    return Client(r.connect(), settings)


def post(body, extra="", path="/"):
    return ("POST %s HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n%s\r\n" % (path, len(body), extra)).encode() + body


def chunked(*pieces, trailers=b""):
    return b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" + \
        b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


# ---- requests and answers ----

def test_a_request_of_http_1_reaches_an_h2c_app_as_http_2():
    with routed() as (r, b):
        for n in range(3):
            assert ask(r, get(path="/p?q=%d" % n, extra="X-One: 1 \r\nTE: trailers\r\nConnection: TE, X-Hop\r\nX-Hop: 2\r\n"))[::2] == (200, b"hello")
        head, body, trailers = b.requests[-1]
        assert head[":method"] == "GET" and head[":path"] == "/p?q=2" and head[":authority"] == "a.example", head
        assert head[":scheme"] == "http" and head["x-one"] == "1" and head["te"] == "trailers" and head["via"] == "1.1 berth"
        assert head["x-forwarded-for"] == "127.0.0.1" and len(head["x-request-id"]) == 36
        assert not set(head) & {"host", "connection", "x-hop", "transfer-encoding", "upgrade"} and (body, trailers) == (b"", None)
        assert b.connections == 1 and b.raw[0].peer[2] == 0  # kept; no push
        assert r.log_where('path="/p?q=2"', "status=200", "protocol=http/1.1")


def test_one_of_http_2_stays_so_and_its_fields_too():
    with routed() as (r, b), client(r) as c:
        for stream in (1, 3):
            c.request(stream, swapped((":path", "/two"), ("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")))
            status, head, body = c.finish(stream)
            assert (status, body) == (200, b"hello") and "transfer-encoding" not in head, head
        head = b.requests[-1][0]
        assert head["te"] == "trailers" and head["cookie"] == "a=1; b=2" and head["via"] == "2.0 berth", head
        c.request(5, swapped())
        c.finish(5)
        assert "te" not in b.requests[-1][0]


def test_bodies_pass_with_and_without_a_length():
    def echo(app, stream):
        head, body, _ = app.whole(stream)
        app.answer(stream, body, [("content-length", str(len(body)))] if head[":path"] == "/length" else [])
    big = os.urandom(60000)
    with routed(echo) as (r, b):
        for body in (b"", b"x", b"some words", big):
            for path in ("/", "/length"):
                status, head, got = ask(r, post(body, path=path))
                assert (status, got) == (200, body), (path, len(body), len(got))
                if body:
                    assert (field(head, "transfer-encoding") == "chunked") == (path == "/"), head
                assert b.requests[-1][0]["content-length"] == str(len(body))
        status, head, got = ask(r, chunked(b"abc", b"def" * 5000, b"g", trailers=b"X-Sum: 1\r\n"))
        assert (status, got) == (200, b"abc" + b"def" * 5000 + b"g")
        head, _, trailers = b.requests[-1]
        assert "content-length" not in head and trailers == {"x-sum": "1"}, (head, trailers)
        with client(r) as c:
            c.request(1, swapped((":method", "POST")), body=big[:30000])
            assert c.finish(1)[::2] == (200, big[:30000])
            c.request(3, swapped((":method", "POST")), body=b"x" * 100, end=False)
            c.frame(HEADERS, END_HEADERS | END_STREAM, 3, literal([("x-sum", "2")]))
            assert c.finish(3)[::2] == (200, b"x" * 100)
            assert b.requests[-1][2] == {"x-sum": "2"}
        assert b.connections == 1


def test_heads_without_bodies():
    def answer(app, stream):
        head, _, _ = app.whole(stream)
        path = head[":path"]
        if head[":method"] == "HEAD":
            app.head(stream, [(":status", "200"), ("content-length", "77")], end=path == "/end")
            if path != "/end":
                app.data(stream, b"", True)
        elif path == "/late":  # its end comes in a frame of its own
            app.head(stream, [(":status", "204")])
            app.data(stream, b"", True)
        else:
            app.head(stream, [(":status", path[1:])], end=True)
    with routed(answer) as (r, b), r.connect() as s:
        for request, status, length in ((b"HEAD /end", 200, "77"), (b"HEAD /data", 200, "77"), (b"GET /204", 204, None), (b"GET /late", 204, None),
                                        (b"GET /304", 304, None), (b"GET /200", 200, "0"), (b"GET /404", 404, "0")):
            s.sendall(request + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
            head, rest = read_head(s)
            assert (status_of(head), field(head, "content-length"), rest) == (status, length, b""), (request, head, rest)
            assert not field(head, "transfer-encoding") and not field(head, "connection")
        assert b.connections == 1


def test_interim_answers_and_100_continue():
    def answer(app, stream):
        app.head(stream, [(":status", "103"), ("link", "</x>")])
        if app.heads[stream][0].get("expect"):
            app.head(stream, [(":status", "100")])
        body = app.whole(stream)[1]
        app.answer(stream, body or b"none")
    with routed(answer) as (r, b):
        with r.connect() as s:
            s.sendall(post(b"", "Expect: 100-continue\r\n").replace(b"Length: 0", b"Length: 4"))
            head, rest = read_head(s)
            assert status_of(head) == 103 and field(head, "link") == "</x>"
            head, rest = read_head(s, rest)
            assert status_of(head) == 100 and not rest
            s.sendall(b"body")
            head, rest = read_head(s)
            assert read_body(s, head, rest)[0] == b"body"
        with client(r) as c:
            c.request(1)
            assert c.finish(1)[2] == b"none" and [h[":status"] for h in c.heads[1]] == ["103", "200"]


def test_heads_larger_than_a_buffer_pass_one_by_one():
    def answer(app, stream):
        app.whole(stream)
        with app.at_once():
            for n in range(4):
                app.head(stream, [(":status", "103"), ("link", "%d" % n * 15000)])
            app.head(stream, OK + [("link", "4" * 15000)])
            app.data(stream, b"hello", True)
    with routed(answer) as (r, b):
        for _ in range(3):
            with r.connect() as s:
                s.sendall(get())
                rest = b""
                for n in range(5):
                    head, rest = read_head(s, rest)
                    assert field(head, "link") == "%d" % n * 15000 and status_of(head) == (200 if n == 4 else 103)
                assert read_body(s, head, rest)[0] == b"hello"


def test_trailers_reach_clients_of_both_versions():
    grpc = [("content-type", "application/grpc")]

    def answer(app, stream):
        head = app.whole(stream)[0]
        if head[":path"] == "/only":
            app.head(stream, [(":status", "200"), *grpc, ("grpc-status", "5")], end=True)
        else:
            app.answer(stream, b"" if head[":path"] == "/empty" else b"\0\0\0\0\1x", grpc,
                       [("grpc-status", "0"), ("grpc-message", "fine"), ("host", "b.example")])
    with routed(answer) as (r, b):
        with client(r) as c:
            c.request(1, swapped(("te", "trailers")))
            status, head, body = c.finish(1)
            assert (status, body) == (200, b"\0\0\0\0\1x") and head["content-type"] == "application/grpc"
            assert c.heads[1][-1] == {"grpc-status": "0", "grpc-message": "fine"}, c.heads
            c.request(3, swapped((":path", "/only")))
            c.finish(3)
            assert len(c.heads[3]) == 1 and c.heads[3][0]["grpc-status"] == "5" and 3 not in c.bodies  # HEADERS, END_STREAM, no DATA
            c.request(5, swapped((":path", "/empty")))
            c.finish(5)
            assert c.heads[5][-1]["grpc-status"] == "0" and len(c.heads[5]) == 2
        with r.connect() as s:
            s.sendall(get())
            head, rest = read_head(s)
            payload, raw, _ = read_chunked(s, rest)
            assert payload == b"\0\0\0\0\1x" and raw.endswith(b"0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n"), raw
            s.sendall(get(path="/only"))
            head, rest = read_head(s)
            assert field(head, "grpc-status") == "5" and field(head, "content-length") == "0"
        assert ask(r, get().replace(b"1.1", b"1.0"))[2] == b"\0\0\0\0\1x"
        assert b.connections == 1


# ---- streaming ----

def test_both_directions_flow_at_once():
    def answer(app, stream):
        app.head(stream)
        for n in range(1, 21):
            assert app.until(lambda: len(app.bodies.get(stream, b"")) == n)
            app.data(stream, b"%d," % n, False)
        app.until(lambda: stream in app.ended)
        app.head(stream, [("grpc-status", "0")], end=True)
    with routed(answer) as (r, b), client(r) as c:
        c.request(1, swapped((":method", "POST")), end=False)
        want = b""
        for n in range(1, 21):
            c.data(1, b"x", False)
            want += b"%d," % n
            assert c.until(lambda: c.bodies.get(1) == want), c.bodies
        c.data(1, b"", True)
        c.finish(1)
        assert c.heads[1][-1] == {"grpc-status": "0"}


def test_large_bodies_both_ways_in_bounded_windows():
    size = 5 << 20

    def answer(app, stream):
        app.head(stream)
        sent, before = 0, getattr(app, "total", 0)
        while sent < size:  # no more than the windows allow, which Client gives back as it reads
            n = min(65535 + app.windows.get(0, 0) - before - sent, app.peer[4] + app.windows.get(stream, 0) - sent, 16384, size - sent)
            if n <= 0:
                assert app.step(10)
                continue
            app.frame(DATA, 0, stream, b"d" * n)
            sent += n
        app.total = before + sent + 7
        app.until(lambda: stream in app.ended, 20)
        app.data(stream, b"%d" % len(app.bodies[stream]), True)
    with routed(answer) as (r, b):
        def upload(s):
            for _ in range(size // 65536):
                s.sendall(b"u" * 65536)
        before = rss_kb(r.pid)
        for _ in range(2):
            with r.connect(timeout=20) as s:
                s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % size)
                t = threading.Thread(target=upload, args=(s,))
                t.start()
                head, rest = read_head(s)
                body, _, _ = read_chunked(s, rest)
                t.join()
                assert body == b"d" * size + b"%d" % size
        assert rss_kb(r.pid) - before < 4000


def test_a_slow_client_holds_its_app_back():
    sent = [0]

    def answer(app, stream):
        app.head(stream)
        app.until(lambda: app.windows.get(0), 2)
        room = min(app.peer[4], 65535 + app.windows.get(0, 0))
        while room > 0:
            app.frame(DATA, 0, stream, b"d" * min(room, 16384))
            sent[0] += min(room, 16384)
            room -= 16384
        while app.step(2):  # what is given back now, the client has taken
            pass
    with routed(answer) as (r, b), client(r) as c:
        c.keep_window = False
        c.request(1)
        c.until(lambda: len(c.bodies.get(1, b"")) >= 65535)
        assert wait_for(lambda: sent[0] >= 262144)
        c.step(0.3)
        app = b.raw[0]
        # 64 kB went to the client, and a piece waits for it in its stream
        assert len(c.bodies[1]) == 65535 and app.windows.get(1, 0) <= 3 * 65536, (len(c.bodies[1]), app.windows)


def test_a_full_app_holds_its_client_back():
    def answer(app, stream):
        app.keep_window = False  # from its first byte on
        app.until(lambda: len(app.bodies.get(stream, b"")) >= 65535)
        time.sleep(0.3)
        app.step(0.1)
        assert len(app.bodies[stream]) == 65535
        go.wait(5)
        app.keep_window = True
        for at in (0, stream):
            app.frame(WINDOW, 0, at, struct.pack(">I", 1 << 24))
        app.whole(stream)
        app.answer(stream)
    go = threading.Event()
    with routed(answer) as (r, b), client(r) as c:
        c.request(1, swapped((":method", "POST")), end=False)
        sent = 0
        c.until(lambda: c.peer)
        c.step(0.2)
        room = min(c.peer[4], 65535 + c.windows.get(0, 0))
        while sent < room:
            n = min(16384, room - sent)
            c.frame(DATA, 0, 1, b"u" * n)
            sent += n
        c.step(1)
        while c.step(0.3):
            pass
        # 64 kB are the app's, at most two pieces the router's
        assert c.windows.get(1, 0) <= 3 * 65536 + 8192, c.windows
        go.set()
        c.data(1, b"", True)
        assert c.finish(1)[::2] == (200, b"hello")
        assert len(b.requests[0][1]) == sent


def test_an_app_without_a_window_times_out_as_slow():
    def answer(app, stream):
        app.step(10)
    with routed(answer, settings=[(4, 0)], timeout_ms=300, idle_ms=300) as (r, b):
        assert ask(r, post(b"x" * 100000))[0] == 504
        assert r.log_where("code=H12")


def test_an_early_answer_ends_the_request():
    def answer(app, stream):
        app.answer(stream, b"enough", status="403")
        if app.heads[stream][0][":path"] == "/reset":
            app.frame(RST, 0, stream, struct.pack(">I", NO_ERROR))
        else:
            assert app.until(lambda: stream in app.reset) and app.reset[stream] == NO_ERROR
            told.set()
    told = threading.Event()
    with routed(answer) as (r, b):
        for path in (b"/reset", b"/"):
            with r.connect() as s:
                s.sendall(b"POST %s HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nsome" % path)
                head, rest = read_head(s)
                assert status_of(head) == 403 and read_body(s, head, rest)[0] == b"enough" and field(head, "connection") == "close"
        assert told.wait(5)
        with client(r) as c:
            c.request(1, swapped((":method", "POST"), (":path", "/reset")), end=False)
            assert c.finish(1)[::2] == (403, b"enough")
            assert c.until(lambda: 1 in c.reset) and c.reset[1] == NO_ERROR
        assert b.connections == 1


def test_a_client_that_leaves_cancels_its_stream_and_no_other():
    cancelled = threading.Event()

    def answer(app, stream):
        if app.heads[stream][0][":path"] == "/":
            hello(app, stream)
            return
        app.head(stream)
        app.data(stream, b"first", False)
        assert app.until(lambda: stream in app.reset) and app.reset[stream] == CANCEL, app.reset
        app.data(stream, b"late", False)  # it had not seen it
        cancelled.set()
    with routed(answer) as (r, b):
        with client(r) as c:
            c.request(1, swapped((":path", "/long")), end=False)
            assert c.until(lambda: c.bodies.get(1) == b"first")
            c.frame(RST, 0, 1, struct.pack(">I", CANCEL))
            assert cancelled.wait(5)
            for stream in (3, 5):
                c.request(stream)
                assert c.finish(stream)[::2] == (200, b"hello")
        cancelled.clear()
        with r.connect() as s:
            s.sendall(get(path="/long"))
            assert s.recv(1000)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset: the end alone is half of it
        assert cancelled.wait(5) and ask(r, get())[2] == b"hello"
        assert b.connections == 1 and r.log_where("code=H27")


# ---- the setting ----

def test_the_protocol_changes_with_a_table_and_no_pooled_connection_outlives_it():
    def either(backend, conn):
        first = conn.recv(24, socket.MSG_PEEK)
        backend.raw.append(first[:3])
        (speaking(hello) if first.startswith(b"PRI") else ok_handler)(backend, conn)
    with routed(handler=either, flags=0) as (r, b):
        for flags, want in ((0, b"GET"), (H2C, b"PRI"), (0, b"GET"), (H2C, b"PRI")):
            assert r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")], options={"flags": flags})]) == 0
            for method in ("GET", "POST", "GET"):
                assert ask(r, get().replace(b"GET", method.encode()))[::2] == (200, b"hello")
            assert [x for x in b.raw if isinstance(x, bytes)][-1] == want
        assert b.connections == 4
        assert r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])]) == 0  # no options any more
        assert ask(r, get())[0] == 200 and b.connections == 5
        assert r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")], options={"flags": 4})]) != 0


def test_a_request_in_flight_ends_in_the_protocol_it_began():
    go = threading.Event()

    def answer(app, stream):
        app.head(stream)
        go.wait(5)
        app.data(stream, b"hello", True)
    with routed(answer) as (r, b), r.connect() as s:
        s.sendall(get())
        head, rest = read_head(s)
        assert r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])]) == 0
        go.set()
        assert read_chunked(s, rest)[0] == b"hello"


def test_websockets_are_refused_and_say_so():
    with routed() as (r, b):
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        status, _, body = ask(r, get(extra=upgrade))
        assert status == 501 and b"upgrade is not supported" in body
        with client(r) as c:
            c.until(lambda: c.peer)
            c.request(1, swapped((":method", "CONNECT"), (":protocol", "websocket"), ("sec-websocket-version", "13")), end=False)
            c.until(lambda: 1 in c.heads)
            assert c.heads[1][0][":status"] == "501"
        assert b.connections == 0 and ask(r, get())[0] == 200


def test_compression_cookies_and_the_canary_are_as_ever():
    text = b"words and words " * 500

    def answer(app, stream):
        app.whole(stream)
        app.answer(stream, text, [("content-type", "text/plain"), ("etag", '"x"')])
    with routed(answer, flags=H2C | GZIP) as (r, b):
        status, head, body = ask(r, get(extra="Accept-Encoding: gzip\r\n"))
        assert status == 200 and field(head, "content-encoding") == "gzip" and gzip.decompress(body) == text
        with client(r) as c:
            c.request(1, swapped(("accept-encoding", "gzip")))
            assert gzip.decompress(c.finish(1)[2]) == text


def test_a_switch_drops_nothing_and_is_told():
    go = threading.Event()

    def answer(app, stream):
        app.whole(stream)
        app.head(stream)
        go.wait(5)
        app.data(stream, b"old", True)
    with routed(answer) as (r, b), r.connect() as s:
        new = Backend(speaking(hello))
        s.sendall(get())
        head, rest = read_head(s)
        assert r.send_table([App(7, ["a.example"], [(9, new.port, "web.1")], options={"flags": H2C})]) == 0
        assert ask(r, get())[2] == b"hello" and not r.drained
        go.set()
        assert read_chunked(s, rest)[0] == b"old"
        assert wait_for(lambda: r.drained == [1])
        new.stop()


# ---- connections ----

def test_what_the_app_refused_is_asked_again_whatever_the_method():
    refusals = []

    def answer(app, stream):
        if len(refusals) < 2:
            refusals.append(stream)
            if app.heads[stream][0][":path"] == "/goaway":
                app.frame(GOAWAY, 0, 0, struct.pack(">II", stream - 2 if stream > 1 else 0, NO_ERROR))
            else:
                app.frame(RST, 0, stream, struct.pack(">I", REFUSED))
            return
        hello(app, stream)
    with routed(answer) as (r, b):
        for path in ("/rst", "/goaway"):
            refusals.clear()
            assert ask(r, post(b"body", path=path))[::2] == (200, b"hello")
            assert len(refusals) == 2 and b.requests[-1][1] == b"body"
            time.sleep(0.05)


def test_an_app_that_refuses_on_and_on_is_502():
    def answer(app, stream):
        app.frame(RST, 0, stream, struct.pack(">I", REFUSED))
    with routed(answer) as (r, b):
        assert ask(r, get())[0] == 502
        assert r.log_where("code=H13") and b.connections <= 4


def test_a_body_on_its_way_is_not_sent_twice():
    def answer(app, stream):
        app.until(lambda: len(app.bodies.get(stream, b"")) >= 50000)
        app.frame(RST, 0, stream, struct.pack(">I", REFUSED))
        app.step(5)
    with routed(answer) as (r, b), r.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n")
        time.sleep(0.05)
        s.sendall(b"x" * 60000)
        assert status_of(read_head(s)[0]) == 502 and b.connections == 1


def test_an_idle_connection_that_says_goodbye_is_not_used_again():
    for how in ("goaway", "close"):
        def answer(app, stream):
            hello(app, stream)
            if how == "close":
                app.s.shutdown(socket.SHUT_RDWR)
            else:
                app.frame(GOAWAY, 0, 0, struct.pack(">II", stream, NO_ERROR))
        with routed(answer) as (r, b):
            for n in range(4):
                assert ask(r, post(b"x"))[0] == 200
                assert how == "goaway" or wait_for(lambda: not b.conns)  # a request that crosses its end is not sent again
            assert b.connections == 4


def test_a_goaway_lets_the_request_in_flight_end():
    def answer(app, stream):
        app.frame(GOAWAY, 0, 0, struct.pack(">II", 0x7fffffff, NO_ERROR))
        app.frame(GOAWAY, 0, 0, struct.pack(">II", stream, NO_ERROR))
        hello(app, stream)
    with routed(answer) as (r, b):
        assert [ask(r, get())[0] for _ in range(3)] == [200] * 3 and b.connections == 3


def test_an_idle_connection_answers_pings_and_ends_after_four_seconds():
    def handler(backend, conn):
        app = App2(backend, conn)
        backend.raw.append(app)
        for stream in app.requests():
            hello(app, stream)
            app.frame(PING, 0, 0, b"12345678")
    with routed(handler=handler) as (r, b):
        assert ask(r, get())[0] == 200
        assert wait_for(lambda: b.raw[0].pings == 1)
        assert ask(r, get())[0] == 200 and b.connections == 1
        assert wait_for(lambda: b.raw[0].goaway, 7) and b.raw[0].goaway[1] == NO_ERROR


test_an_idle_connection_answers_pings_and_ends_after_four_seconds.slow = True


def test_another_instance_is_asked_when_one_is_gone():
    with routed(backends=2) as (r, a, b):
        a.stop()
        assert [ask(r, get())[0] for _ in range(6)] == [200] * 6 and b.connections >= 1


def test_many_at_once_have_a_connection_each():
    gate = threading.Barrier(20)

    def answer(app, stream):
        app.whole(stream)
        gate.wait(5)
        app.answer(stream)
    with routed(answer) as (r, b), client(r) as c:
        for n in range(20):
            c.request(1 + 2 * n)
        for n in range(20):
            assert c.finish(1 + 2 * n)[0] == 200
        assert b.connections == 20


# ---- apps that do wrong ----

def final(r):
    """The status of an answer, behind interim ones."""
    with r.connect() as s:
        s.sendall(get())
        head, rest = read_head(s)
        while head and status_of(head) < 200:
            head, rest = read_head(s, rest)
        return status_of(head)


def wrong(say, code="H17", status=502, after=None):
    """say(app, stream) does wrong; the client gets that status, the log that code, and the next request is served."""
    said = []

    def answer(app, stream):
        if said:
            hello(app, stream)
            return
        said.append(stream)
        with app.at_once():  # before the head is passed on
            say(app, stream)
    with routed(answer) as (r, b):
        for speaks_2 in (False, True):
            said.clear()
            if speaks_2:
                with client(r) as c:
                    c.request(1)
                    got = c.finish(1)[0]
            else:
                got = final(r)
            assert got == status, (got, status, say)
            assert r.log_where("code=" + code, "protocol=http/" + ("2" if speaks_2 else "1.1")), r.logs
            assert ask(r, get())[2] == b"hello"


BAD_HEADS = {
    "no status": [("x-one", "1")],
    "two statuses": OK + OK,
    "an empty status": [(":status", "")],
    "letters in the status": [(":status", "20x")],
    "a status of four digits": [(":status", "2000")],
    "a status below 100": [(":status", "099")],
    "a status above 599": [(":status", "600")],
    "101": [(":status", "101")],
    "a status behind a field": [("x-one", "1")] + OK,
    "an unknown pseudo field": OK + [(":x", "1")],
    "a pseudo field of requests": OK + [(":path", "/")],
    "connection": OK + [("connection", "close")],
    "transfer-encoding": OK + [("transfer-encoding", "chunked")],
    "upgrade": OK + [("upgrade", "x")],
    "keep-alive": OK + [("keep-alive", "5")],
    "capital letters": OK + [("X-One", "1")],
    "a space in a name": OK + [("x one", "1")],
    "a colon in a name": OK + [("x:one", "1")],
    "an empty name": OK + [("", "1")],
    "a line end in a value": OK + [("x-one", "1\r\nx-two: 2")],
    "a newline in a value": OK + [("x-one", "1\n2")],
    "a NUL in a value": OK + [("x-one", b"1\x002")],
    "a line end in a name": OK + [("x\r\nx-two", "1")],
    "two lengths": OK + [("content-length", "1"), ("content-length", "1")],
    "a length of letters": OK + [("content-length", "one")],
    "a negative length": OK + [("content-length", "-1")],
    "a head over the limit": OK + [("x-%d" % n, "y" * 4000) for n in range(9)],
    "more fields than the limit": OK + [("x-%d" % n, "y") for n in range(129)],
}


def send_head(app, stream, block, end):
    """In as many frames as it takes."""
    pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    for at, piece in enumerate(pieces):
        last = at == len(pieces) - 1
        app.frame(CONTINUATION if at else HEADERS, END_HEADERS * last | (END_STREAM * end if not at else 0), stream, piece)


def test_malformed_heads_are_502():
    for name, fields in BAD_HEADS.items():
        for end in (True, False):
            try:
                wrong(lambda app, stream: send_head(app, stream, literal(fields), end))
            except AssertionError as e:
                raise AssertionError(name, end) from e


def test_other_malformed_answers_are_502():
    def length(n, *pieces):
        def say(app, stream):
            app.head(stream, OK + [("content-length", str(n))], end=not pieces)
            for at, piece in enumerate(pieces):
                app.data(stream, piece, at == len(pieces) - 1)
        return say

    def bits(*frames):
        def say(app, stream):
            for kind, flags, at, payload in frames:
                app.frame(kind, flags, stream if at else 0, payload)
        return say
    head = (HEADERS, END_HEADERS, 1, literal(OK))
    rows = {
        "a length and no body": length(5),
        "less than the length": length(5, b"abc"),
        "more than the length": length(5, b"abcdefg"),
        "more than the length, in two": length(5, b"abcd", b"efg"),
        "data before the head": bits((DATA, END_STREAM, 1, b"abc")),
        "data after an interim head": bits((HEADERS, END_HEADERS, 1, literal([(":status", "100")])), (DATA, END_STREAM, 1, b"abc")),
        "an interim head that ends the stream": bits((HEADERS, END_HEADERS | END_STREAM, 1, literal([(":status", "100")]))),
        "a block that is no HPACK": bits((HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff")),
        "a frame too large": bits((DATA, 0, 1, b"x" * 16385)),
        "a push": bits((PUSH, END_HEADERS, 1, struct.pack(">I", 2) + literal([(":method", "GET"), (":path", "/"), (":scheme", "http"),
                                                                             (":authority", "a")]))),
        "a stream of its own": bits((HEADERS, END_HEADERS, 0, literal(OK))),
        "a window of nothing": bits((WINDOW, 0, 1, struct.pack(">I", 0))),
        "a window beyond all": bits((WINDOW, 0, 1, struct.pack(">I", 0x7fffffff)), (WINDOW, 0, 1, struct.pack(">I", 0x7fffffff))),
        "the connection's beyond all": bits((WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)), (WINDOW, 0, 0, struct.pack(">I", 0x7fffffff))),
        "settings of five bytes": bits((SETTINGS, 0, 0, b"12345")),
        "push allowed to us": bits((SETTINGS, 0, 0, struct.pack(">HI", 2, 1))),
        "a ping of seven bytes": bits((PING, 0, 0, b"1234567")),
        "pings without end": bits(*[(PING, 0, 0, b"12345678")] * 400),
        "settings without end": bits(*[(SETTINGS, 0, 0, b"")] * 400),
        "interim heads over the limit": bits(*[(HEADERS, END_HEADERS, 1, literal([(":status", "103"), ("x", "y" * 16000)]))] * 12 +
                                             [(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")]),
        "trailers that do not end": bits(head, (HEADERS, END_HEADERS, 1, literal([("x", "y")]))),
    }
    for name, say in rows.items():
        try:
            wrong(say)
        except AssertionError as e:
            raise AssertionError(name) from e


def test_an_app_that_speaks_no_http_2_is_502():
    def h1(backend, conn):
        conn.recv(1000)
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    def short(backend, conn):
        conn.recv(1000)
        conn.sendall(b"no")

    def bye(backend, conn):
        conn.recv(1000)
    for handler, code in ((h1, "H17"), (short, "H13"), (bye, "H13")):
        with routed(handler=handler) as (r, b):
            assert ask(r, get())[0] == 502, code
            assert r.log_where("code=" + code)
            assert ask(r, post(b"x"))[0] == 502


def test_a_stream_that_it_resets_is_502_or_cut():
    def answer(app, stream):
        path = app.heads[stream][0][":path"]
        if path != "/before":
            app.head(stream, OK + ([("content-length", "10")] if path == "/length" else []))
            app.data(stream, b"some", False)
            time.sleep(0.5)  # read together they are no answer
        app.frame(RST, 0, stream, struct.pack(">I", INTERNAL if path != "/clean" else NO_ERROR))
    with routed(answer) as (r, b):
        assert ask(r, get(path="/before"))[0] == 502 and r.log_where("code=H13")
        for path in ("/length", "/chunks", "/clean"):
            with r.connect() as s:
                s.sendall(get(path=path))
                head, rest = read_head(s)
                if path == "/length":
                    assert read_exact(s, 10, rest)[0] == b"some"
                else:
                    assert read_chunked(s, rest)[0] is None
            with client(r) as c:
                c.request(1, swapped((":path", path)))
                assert c.until(lambda: 1 in c.reset) and 1 not in c.ended, path
        assert r.log_where("code=H18")


def test_the_end_of_its_connection_is_not_the_end_of_its_answer():
    def handler(backend, conn):
        app = App2(backend, conn)
        stream = next(app.requests())
        app.head(stream)
        app.data(stream, b"some", False)
        time.sleep(0.5)
    with routed(handler=handler) as (r, b):
        with r.connect() as s:
            s.sendall(get())
            head, rest = read_head(s)
            assert read_chunked(s, rest)[0] is None
        assert r.log_where("code=H18")


def test_a_wrong_length_behind_the_head_is_never_a_whole_answer():
    def answer(app, stream):
        app.head(stream, OK + [("content-length", "5")])
        app.data(stream, b"abcde", False)
        time.sleep(0.5)
        app.data(stream, b"f", True)
    with routed(answer) as (r, b), r.connect() as s:
        s.sendall(get())
        head, rest = read_head(s)
        assert len(read_exact(s, 5, rest)[0]) < 5
        assert r.log_where("code=H18")


def test_floods_end_an_idle_connection_too():
    def answer(app, stream):
        hello(app, stream)
        for _ in range(400):
            app.quietly(PING, 0, 0, b"12345678")
    with routed(answer) as (r, b):
        assert ask(r, get())[0] == 200
        assert wait_for(lambda: b.raw[0].closed)
        assert ask(r, get())[0] == 200 and b.connections == 2


def test_heads_that_nobody_takes_have_an_end():
    def answer(app, stream):
        for _ in range(2000):
            app.quietly(HEADERS, END_HEADERS, stream, literal([(":status", "103"), ("link", "y" * 15000)]))
        app.answer(stream)
    with routed(answer) as (r, b), r.connect() as s:
        before = rss_kb(r.pid)
        s.sendall(get())
        time.sleep(1)
        assert rss_kb(r.pid) - before < 3000
