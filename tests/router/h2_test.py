"""HTTP/2: requests become HTTP/1.1 for apps, streams do not disturb each other, floods end the connection."""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's own, whichever python runs this
import hpack

from harness import *
from tls_test import context, exchange, secure, secured

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, PROTOCOL, INTERNAL, FLOW, REFUSED, CANCEL, COMPRESSION, CALM = 0, 1, 2, 3, 7, 8, 9, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BASE = [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")]


def literal(fields):
    """Header block without any table: exactly these bytes, however wrong."""
    out = b""
    for name, value in fields:
        out += b"\x00"
        for text in (name, value):
            raw = text if isinstance(text, bytes) else text.encode()
            out += (bytes([len(raw)]) if len(raw) < 127 else hpack.hpack.encode_integer(len(raw), 7)) + raw
    return out


def swapped(*pairs):
    """BASE with some values replaced, removed (None), or added."""
    fields, more = dict(BASE), []
    for name, value in pairs:
        if name in fields:
            fields[name] = value
        else:
            more.append((name, value))
    return [(n, v) for n, v in fields.items() if v is not None] + more


class Client:
    """Speaks frames; keeps what came, by stream."""

    def __init__(self, sock, settings=(), preface=True):
        self.s, self.decoder, self.raw = sock, hpack.Decoder(), b""
        self.heads, self.bodies, self.ended, self.reset = {}, {}, set(), {}
        self.goaway, self.closed, self.acks, self.pings, self.windows, self.peer = None, False, 0, 0, {}, {}
        self.keep_window = True  # gives back what it received
        if preface:
            sock.sendall(PREFACE)
            self.frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in settings))

    def frame(self, kind, flags, stream, payload=b""):
        self.s.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def request(self, stream, fields=None, body=None, end=True, **pairs):
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end and body is None else 0), stream,
                   literal(BASE if fields is None else fields))
        if body is not None:
            self.data(stream, body, end)

    def data(self, stream, body, end=True):
        for at in range(0, max(len(body), 1), 16384):
            last = at + 16384 >= len(body)
            self.frame(DATA, END_STREAM if end and last else 0, stream, body[at:at + 16384])

    def step(self, timeout=5.0):
        """Handles one frame; False at the end of the connection or when nothing came."""
        self.s.settimeout(timeout)
        try:
            while len(self.raw) < 9 or len(self.raw) < 9 + int.from_bytes(self.raw[:3], "big"):
                got = self.s.recv(65536)
                if not got:
                    self.closed = True
                    return False
                self.raw += got
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            self.closed = True
            return False
        length, (kind, flags, stream) = int.from_bytes(self.raw[:3], "big"), struct.unpack(">BBI", self.raw[3:9])
        payload, self.raw = self.raw[9:9 + length], self.raw[9 + length:]
        self.got(kind, flags, stream, payload)
        return True

    def got(self, kind, flags, stream, payload):
        if kind in (HEADERS, CONTINUATION):
            self.block = (b"" if kind == HEADERS else self.block) + payload
            if flags & END_HEADERS:
                self.heads.setdefault(stream, []).append(dict(self.decoder.decode(self.block)))
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
            if payload and self.keep_window:
                self.give_back(stream, flags & END_STREAM, struct.pack(">I", len(payload)))
        elif kind == RST:
            self.reset[stream] = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            self.peer = dict(struct.unpack(">HI", payload[i:i + 6]) for i in range(0, len(payload), 6))
            self.quietly(SETTINGS, ACK, 0)
        elif kind == PING:
            self.pings += 1
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        elif kind == WINDOW:
            self.windows[stream] = self.windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def give_back(self, stream, ended, size):
        if not ended:
            self.quietly(WINDOW, 0, stream, size)
        self.quietly(WINDOW, 0, 0, size)

    def quietly(self, *frame):
        try:
            self.frame(*frame)
        except OSError:
            pass  # the router has said all, and closed

    def until(self, what, seconds=5.0):
        end = time.monotonic() + seconds
        while not what():
            left = end - time.monotonic()
            if left <= 0 or not self.step(left):
                break
        return what()

    def finish(self, stream, seconds=5.0):
        """(status, head, body) of a stream whose response is complete."""
        assert self.until(lambda: stream in self.ended, seconds), (self.heads, self.reset, self.goaway, self.closed)
        head = [h for h in self.heads[stream] if ":status" in h][-1]
        return int(head[":status"]), head, self.bodies.get(stream, b"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


def speak(r, settings=(), tls=True):
    if not tls:
        return Client(r.connect(), settings)
    s = secure(r, c=context(alpn=("h2", "http/1.1")))
    assert s.selected_alpn_protocol() == "h2"
    return Client(s, settings)


def test_a_request_over_http_2_reaches_the_app_as_http_1():
    with secured() as (r, b):
        for tls in (True, False):
            with speak(r, tls=tls) as c:
                for stream in (1, 3, 5):
                    c.request(stream, swapped((":path", "/p?q=%d" % stream), ("x-one", "1"), ("te", "trailers")))
                    status, head, body = c.finish(stream)
                    assert (status, body) == (200, b"hello") and "connection" not in head and "transfer-encoding" not in head
                head = b.requests[-1][0]
                assert head.startswith(b"GET /p?q=5 HTTP/1.1\r\nHost: a.example\r\n"), head
                assert field(head, "x-one") == "1" and field(head, "te") is None and field(head, "via") == "2.0 berth"
                assert field(head, "x-forwarded-proto") == ("https" if tls else "http")
                assert r.log_where('path="/p?q=5"', "protocol=http/2" + (" tls=1.3" if tls else ""))
        assert b.connections <= 2


def test_the_preface_may_come_in_two_parts():
    with secured() as (r, b):
        for at in range(1, len(PREFACE)):
            with Client(r.connect(), preface=False) as c:
                c.s.sendall(PREFACE[:at])
                time.sleep(0.005)
                c.s.sendall(PREFACE[at:])
                c.frame(SETTINGS, 0, 0)
                c.request(1)
                assert c.finish(1)[0] == 200, at


def test_streams_are_answered_as_their_apps_do():
    gates = {str(n): threading.Event() for n in (1, 3, 5, 7)}

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            name = head.split(b" ")[1].decode()[1:]
            gates[name].wait(5)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode())
    with secured(handler) as (r, b), speak(r) as c:
        for n in (1, 3, 5, 7):
            c.request(n, swapped((":path", "/%d" % n)))
        for n in (7, 1, 5, 3):
            gates[str(n)].set()
            assert c.finish(n)[2] == b"%d" % n
            assert len(c.ended) == len([1 for g in gates.values() if g.is_set()])


REST_S = 2.2  # H2_REST_MS, and the wheel's part


def test_a_connection_that_rested_goes_on_where_it_was():
    """Its tables of fields are as before: both sides speak of fields that were said before the rest."""
    fields = swapped(("x-one", "first"), ("user-agent", "a browser"))
    with secured() as (r, b):
        encoders = [hpack.Encoder() for _ in range(3)]
        clients = [speak(r), speak(r, tls=False), speak(r)]
        for turn in range(3):
            for c, encoder in zip(clients, encoders):
                c.frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * turn, encoder.encode(fields))
                assert c.finish(1 + 2 * turn)[2] == b"hello"
                assert field(b.requests[-1][0], "x-one") == "first"
            if turn == 0:
                clients[2].frame(PING, 0, 0, bytes(8))  # it rests a little later
            time.sleep(REST_S if turn else 2 * REST_S)
        clients[0].frame(PING, 0, 0, bytes(8))
        assert clients[0].until(lambda: clients[0].pings == 1)
        clients[0].data(1, b"late")  # a stream that ended before the rest is still known as one
        assert clients[0].until(lambda: clients[0].closed) and clients[0].goaway[1] == 5
        r.kill()
        for c in clients[1:]:
            assert c.until(lambda: c.closed) and c.goaway[1] == NO_ERROR
            c.s.close()


def test_connections_that_rest_give_their_memory_back():
    with secured() as (r, b):
        def fill(n, tls):
            clients = [speak(r, tls=tls) for _ in range(n)]
            for c in clients:
                c.request(1)
                assert c.finish(1)[0] == 200
            return clients
        held = fill(20, True) + fill(20, False)
        time.sleep(REST_S)
        for tls, most in ((False, 4), (True, 20)):
            before = rss_kb(r.pid)
            held += fill(200, tls)
            assert wait_for(lambda: rss_kb(r.pid) - before < most * 200, 2 * REST_S) or sanitized(r), rss_kb(r.pid) - before
        for c in held:
            c.s.close()


test_a_connection_that_rested_goes_on_where_it_was.slow = True
test_connections_that_rest_give_their_memory_back.slow = True


def sanitized(r):
    with open("/proc/%d/maps" % r.pid) as f:
        return "libasan" in f.read()


def test_more_streams_than_allowed_are_refused():
    gate = threading.Event()

    def handler(backend, conn):
        for _ in each_request(backend, conn):
            gate.wait(5)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with secured(handler) as (r, b), speak(r) as c:
        assert c.until(lambda: c.peer)
        most = c.peer[3]
        assert 100 <= most <= 256
        for n in range(most):
            c.request(1 + 2 * n)
        assert wait_for(lambda: len(b.requests) == most)
        gate.set()
        for n in range(most):
            assert c.finish(1 + 2 * n)[0] == 200
        gate.clear()
        for n in range(most, 2 * most + 1):
            c.request(1 + 2 * n)
        assert c.until(lambda: c.reset or c.goaway) and (c.goaway or (0, PROTOCOL))[1] == PROTOCOL
        gate.set()
        assert len(b.requests) <= 2 * most


def test_responses_without_a_body_end_with_their_head():
    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            code = head.split(b" ")[1][1:]
            fields = b"Content-Length: 10\r\n" if code == b"200" else b"ETag: \"x\"\r\n"
            conn.sendall(b"HTTP/1.1 %s X\r\n%s\r\n" % (code, fields))
    with secured(handler) as (r, b), speak(r) as c:
        for n, (method, code) in enumerate((("HEAD", "200"), ("GET", "204"), ("GET", "304"), ("HEAD", "404"))):
            c.request(1 + 2 * n, swapped((":method", method), (":path", "/" + code)))
            status, head, body = c.finish(1 + 2 * n)
            assert status == int(code) and 1 + 2 * n not in c.bodies
            assert head.get("content-length") == ("10" if code == "200" else None)
        assert b.connections == 1


def test_bodies_with_and_without_length_go_both_ways():
    with secured(echo_handler) as (r, b), speak(r) as c:
        stream = 1
        for size in (0, 1, 100, 16384, 100000, 1500000):
            for path in ("/plain", "/chunked"):
                for length in (True, False):
                    body = os.urandom(size)
                    fields = swapped((":method", "POST"), (":path", path),
                                     *([("content-length", str(size))] if length else []))
                    c.request(stream, fields, end=False)
                    c.until(lambda: c.peer)
                    room, sent = c.peer[4], 0
                    while sent < size:  # within both windows
                        allowed = c.windows.get(stream, 0) + room
                        part = body[sent:min(sent + 16384, allowed)]
                        if part:
                            c.data(stream, part, False)
                            sent += len(part)
                        else:
                            assert c.step()
                    c.frame(DATA, END_STREAM, stream)
                    status, head, got = c.finish(stream, 10)
                    assert status == 200 and got == body, (size, path, length, len(got))
                    stream += 2
        for head, _ in b.requests:
            assert (field(head, "content-length") is None) != (field(head, "transfer-encoding") is None), head


def test_an_app_that_does_not_read_stops_the_client():
    gate = threading.Event()

    def handler(backend, conn):
        head, rest = read_head(conn)
        if b"/slow" in head:
            gate.wait(10)
        body, _ = read_body(conn, head, rest)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with secured(handler) as (r, b), speak(r) as c:
        size, sent = 20 << 20, 0
        assert c.until(lambda: c.peer and c.windows.get(0))
        c.request(1, swapped((":method", "POST"), (":path", "/slow"), ("content-length", str(size))), end=False)
        while True:
            room = c.peer[4] + c.windows.get(1, 0) - sent
            if room > 0:
                part = min(room, 16384)
                c.frame(DATA, 0, 1, bytes(part))
                sent += part
            elif not c.step(0.5):
                break
        assert sent < 12 << 20, sent  # what the kernel's buffers and two windows hold
        c.request(3)
        assert c.finish(3)[0] == 200
        gate.set()
        while sent < size:
            room = min(c.peer[4] + c.windows.get(1, 0), size) - sent
            if room > 0:
                c.frame(DATA, 0, 1, bytes(min(room, 16384)))
                sent += min(room, 16384)
            else:
                assert c.step()
        c.frame(DATA, END_STREAM, 1)
        assert c.finish(1)[0] == 200


def test_a_client_that_takes_nothing_stops_only_its_own_stream():
    def handler(backend, conn):
        backend.sent = 0
        for head, _ in each_request(backend, conn):
            if b"/big" not in head:
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
            for _ in range(64 * 16):
                conn.sendall(bytes(65536))
                backend.sent += 65536
    with secured(handler) as (r, b), speak(r) as c:
        c.keep_window = False
        c.request(1, swapped((":path", "/big")))
        assert c.until(lambda: len(c.bodies.get(1, b"")) >= 65535)
        time.sleep(0.3)
        assert b.sent < 16 << 20
        c.frame(WINDOW, 0, 0, struct.pack(">I", 1 << 20))
        c.request(3)
        assert c.finish(3)[2] == b"ok"
        before = len(c.bodies[1])
        c.frame(WINDOW, 0, 1, struct.pack(">I", 100000))
        assert c.until(lambda: len(c.bodies[1]) >= before + 100000)


MALFORMED = [
    ("an upper case name", swapped(("X-Upper", "1"))),
    ("Connection", swapped(("connection", "keep-alive"))),
    ("Connection: upgrade", swapped(("connection", "upgrade"), ("upgrade", "websocket"))),
    ("Keep-Alive", swapped(("keep-alive", "1"))),
    ("Proxy-Connection", swapped(("proxy-connection", "1"))),
    ("Transfer-Encoding", swapped(("transfer-encoding", "chunked"))),
    ("Upgrade", swapped(("upgrade", "h2c"))),
    ("TE other than trailers", swapped(("te", "gzip"))),
    ("no method", swapped((":method", None))),
    ("no scheme", swapped((":scheme", None))),
    ("no path", swapped((":path", None))),
    ("no authority and no Host", swapped((":authority", None))),
    ("an empty path", swapped((":path", ""))),
    ("a path without slash", swapped((":path", "x"))),
    ("a path in absolute form", swapped((":path", "http://a.example/"))),
    ("two paths", BASE + [(":path", "/2")]),
    ("two methods", BASE + [(":method", "GET")]),
    ("a pseudo field after others", BASE[:3] + [("x", "1"), (":path", "/")]),
    ("an unknown pseudo field", swapped((":other", "1"))),
    (":status in a request", swapped((":status", "200"))),
    ("a space in the path", swapped((":path", "/a b"))),
    ("a line end in the path", swapped((":path", "/ HTTP/1.1\r\nX: 1\r\n\r\nGET /x"))),
    ("a line end in the method", swapped((":method", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET"))),
    ("a space in the method", swapped((":method", "GET /x"))),
    ("a line end in the authority", swapped((":authority", "a.example\r\nX: 1"))),
    ("a space in the authority", swapped((":authority", "a example"))),
    ("user information in the authority", swapped((":authority", "u@a.example"))),
    ("a line end in a value", swapped(("x-one", "1\r\nx-two: 2"))),
    ("a bare LF in a value", swapped(("x-one", "1\nx-two: 2"))),
    ("a NUL in a value", swapped(("x-one", "1\0"))),
    ("a colon in a name", swapped(("x-one:two", "1"))),
    ("a space in a name", swapped(("x one", "1"))),
    ("a line end in a name", swapped(("x\r\ny", "1"))),
    ("an empty name", swapped(("", "1"))),
    ("Host that differs", swapped(("host", "b.example"))),
    ("two Hosts", swapped((":authority", None), ("host", "a.example"), ("host", "a.example"))),
    ("two lengths", swapped((":method", "POST"), ("content-length", "0"), ("content-length", "0"))),
    ("a length that is no number", swapped((":method", "POST"), ("content-length", "1x"))),
    ("a length without a body", swapped((":method", "POST"), ("content-length", "5"))),
    ("a broken escape", swapped((":path", "/%4"))),
    ("CONNECT", [(":method", "CONNECT"), (":authority", "a.example")]),
    ("TRACE", swapped((":method", "TRACE"))),
    (":protocol without CONNECT", swapped((":protocol", "websocket"))),
    ("CONNECT for another protocol", swapped((":method", "CONNECT"), (":protocol", "connect-udp"))),
    ("an unknown Expect", swapped(("expect", "more"))),
]


def test_malformed_requests_never_reach_an_app():
    with secured() as (r, b):
        for what, fields in MALFORMED:
            with speak(r) as c:
                c.request(1, fields)
                assert c.until(lambda: c.reset or c.goaway or 1 in c.ended), what
                if 1 in c.ended:
                    assert c.heads[1][-1][":status"] in ("400", "417", "501"), (what, c.heads)
                if not c.goaway:
                    c.request(3, swapped((":path", "/good")))
                    assert c.finish(3)[0] == 200, what
        assert {h.split(b" ")[1] for h, _ in b.requests} == {b"/good"}


def test_a_body_that_differs_from_its_length_is_an_error():
    with secured(echo_handler) as (r, b):
        for length, body in ((5, b"1234"), (5, b"123456"), (0, b"1")):
            with speak(r) as c:
                c.request(1, swapped((":method", "POST"), ("content-length", str(length))), body)
                assert c.until(lambda: c.reset or c.goaway), (length, body)
        assert all(len(body) < 5 for _, body in b.requests), b.requests


def test_cookies_in_pieces_are_one_field_again():
    with secured() as (r, b), speak(r) as c:
        c.request(1, swapped(("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2"), ("cookie", "c=3")))
        assert c.finish(1)[0] == 200
        assert b.requests[0][0].lower().count(b"cookie:") == 1
        assert field(b.requests[0][0], "cookie") == "a=1; b=2; c=3"


def test_heads_have_limits():
    with secured() as (r, b), speak(r) as c:
        c.request(1, swapped(*[("x-%d" % i, "v" * 100) for i in range(100)]))
        assert c.finish(1)[0] == 200
        c.request(3, swapped(*[("x-%d" % i, "v") for i in range(200)]))
        assert c.finish(3)[0] == 431
        block = literal(swapped(*[("x-%d" % i, "v" * 1000) for i in range(40)]))
        c.frame(HEADERS, END_STREAM, 5, block[:16000])
        c.frame(CONTINUATION, 0, 5, block[16000:32000])
        c.frame(CONTINUATION, END_HEADERS, 5, block[32000:])
        assert c.finish(5)[0] == 431
        c.request(7, swapped((":path", "/" + "x" * 9000)))
        assert c.finish(7)[0] == 414
        assert len(b.requests) == 1


def test_a_response_head_may_be_as_long_as_for_http_1():
    """What the router adds counts for no limit."""
    start, end = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", b"\r\n\r\n"
    many = start + b"\r\n".join(b"x-%d: v" % i for i in range(127)) + end
    long = start + b"\r\n".join(b"x-%d: " % i + b"v" * 8000 for i in range(4)) + b"\r\nx-last: "
    long += b"v" * (32768 - len(long + end)) + end

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            conn.sendall((many if b"many" in head else long) + b"hello")
    with secured(handler) as (r, b), speak(r) as c:
        for stream, path, last in ((1, "/many", "x-126"), (3, "/long", "x-last")):
            with secure(r) as s:
                assert exchange(s, get(path=path))[1] == b"hello"
            c.request(stream, swapped((":path", path)))
            status, head, body = c.finish(stream)
            assert (status, body) == (200, b"hello") and head[last] and head["date"], path


def flood(r, frames, code=CALM):
    """Sends frames until the connection ends; others are served meanwhile."""
    with speak(r) as c, speak(r) as other:
        other.request(1)
        assert other.finish(1)[0] == 200
        try:
            for raw in frames:
                c.s.sendall(raw)
        except OSError:
            pass
        c.until(lambda: c.closed, 5)
        assert c.closed, (c.goaway, c.pings)
        if c.goaway:
            assert c.goaway[1] in (code, CALM), c.goaway
        other.request(3)
        assert other.finish(3)[0] == 200


def raw_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def test_floods_end_the_connection():
    block = literal(BASE)
    many = 3000
    with secured() as (r, b):
        flood(r, [raw_frame(PING, 0, 0, bytes(8)) for _ in range(many)])
        flood(r, [raw_frame(SETTINGS, 0, 0) for _ in range(many)])
        flood(r, [raw_frame(HEADERS, END_HEADERS, 1 + 2 * i, block) + raw_frame(RST, 0, 1 + 2 * i, bytes(4))
                  for i in range(many)])
        flood(r, [raw_frame(HEADERS, END_HEADERS, 1, literal(swapped((":method", "POST"))))] +
              [raw_frame(DATA, 0, 1)] * many)
        flood(r, [raw_frame(HEADERS, 0, 1, block)] + [raw_frame(CONTINUATION, 0, 1, literal([("x", "y" * 50)]))] * many)
        flood(r, [raw_frame(HEADERS, 0, 1, block)] + [raw_frame(CONTINUATION, 0, 1)] * many)
        flood(r, [raw_frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, literal(swapped(("Upper", "1"))))
                  for i in range(many)])
        assert len(b.requests) < 1000


def test_broken_frames_end_the_connection():
    with secured() as (r, b):
        for raw in (b"\x00\x00\x01\x06\x00\x00\x00\x00\x00\x00", raw_frame(DATA, 0, 0, b"x"), raw_frame(HEADERS, 4, 2, literal(BASE)),
                    raw_frame(WINDOW, 0, 0, bytes(4)), raw_frame(SETTINGS, 0, 0, b"x"), raw_frame(CONTINUATION, 4, 1, b""),
                    raw_frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"), raw_frame(PUSH, 4, 1, bytes(4)),
                    b"\xff\xff\xff" + bytes(6), raw_frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))):
            with speak(r) as c:
                c.s.sendall(raw)
                assert c.until(lambda: c.closed), raw
                assert c.goaway and c.goaway[1] != NO_ERROR, raw
        with secure(r, c=context(alpn=("h2",))) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            while s.recv(1000):
                pass
        assert b.requests == [] and r.alive()


def test_a_reset_stream_ends_its_request_at_the_app():
    gone = threading.Event()

    def handler(backend, conn):
        head, _ = read_head(conn)
        backend.requests.append((head, b""))
        if b"/x" in head:
            if not conn.recv(1):
                gone.set()
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with secured(handler) as (r, b), speak(r) as c:
        c.request(1, swapped((":path", "/x")))
        assert wait_for(lambda: b.requests)
        c.frame(RST, 0, 1, struct.pack(">I", CANCEL))
        assert gone.wait(5)
        assert r.log_where('path="/x"', "code=H27", "status=499")
        c.request(3)
        assert c.finish(3)[0] == 200


def test_a_client_that_does_not_read_is_heard():
    gone = threading.Event()

    def handler(backend, conn):
        next(each_request(backend, conn))
        try:
            while True:
                conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1 << 20))
        except OSError:
            gone.set()
    with secured(handler) as (r, b), speak(r, settings=((4, 1 << 30),)) as c:
        c.frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30))
        c.request(1)
        time.sleep(0.5)  # every buffer is full
        assert not gone.is_set()
        c.frame(RST, 0, 1, struct.pack(">I", CANCEL))
        assert gone.wait(5)


def test_a_response_cut_off_is_a_reset_stream():
    def handler(backend, conn):
        head = next(each_request(backend, conn))[0]
        if b"/cut" in head:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif b"/none" in head:
            pass
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    with secured(handler) as (r, b), speak(r) as c:
        c.request(1, swapped((":path", "/cut")))
        assert c.until(lambda: 1 in c.reset) and c.reset[1] == INTERNAL and 1 not in c.ended
        c.request(3, swapped((":path", "/chunks")))
        assert c.until(lambda: 3 in c.reset) and 3 not in c.ended
        c.request(5, swapped((":path", "/none")))
        assert c.finish(5)[0] == 502


def test_interim_responses_come_first():
    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            time.sleep(0.05)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with secured(handler) as (r, b), speak(r) as c:
        c.request(1)
        assert c.finish(1)[2] == b"ok"
        assert [h[":status"] for h in c.heads[1]] == ["103", "200"] and c.heads[1][0]["link"] == "</a>"


def test_trailers_go_both_ways():
    def handler(backend, conn):
        head, rest = read_head(conn)
        _, raw, _ = read_chunked(conn, rest)
        backend.raw.append(raw)
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n"
                     b"X-Sum: 1\r\nX-Em")
        time.sleep(0.05)
        conn.sendall(b"pty:\r\nContent-Length: 7\r\n\r\n")
    with secured(handler) as (r, b), speak(r) as c:
        c.request(1, swapped((":method", "POST")), b"x" * 10, end=False)
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, literal([("x-check", "2"), ("x-forwarded-for", "3"), ("x-b", "")]))
        assert c.finish(1)[2] == b"abc"
        assert b.raw[0].endswith(b"\r\n0\r\nx-check: 2\r\nx-b: \r\n\r\n"), b.raw
        assert c.heads[1][-1] == {"x-sum": "1", "x-empty": ""} and c.heads[1][0][":status"] == "200"


def test_an_early_answer_ends_the_upload():
    def handler(backend, conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        time.sleep(0.2)
    with secured(handler) as (r, b), speak(r) as c:
        stream = 1
        for host, status in (("a.example", 403), ("c.example", 404)):
            for method in ("POST", "HEAD"):
                c.request(stream, swapped((":method", method), (":authority", host)), b"x" * 1000, end=False)
                assert c.finish(stream)[0] == status
                assert c.until(lambda: stream in c.reset) and c.reset[stream] == NO_ERROR
                stream += 2


def test_the_routers_own_answers_come_as_frames():
    with secured(acme=[("tok", "tok.text")], redirect=("b.example",)) as (r, b):
        with speak(r) as c:
            c.request(1, swapped((":authority", "c.example")))
            status, head, body = c.finish(1)
            assert status == 404 and head["content-length"] == str(len(body)) and b"<h1>" in body
            c.request(3, swapped((":authority", "c.example"), (":method", "HEAD")))
            assert c.finish(3)[0] == 404 and 3 not in c.bodies
        with speak(r, tls=False) as c:
            c.request(1, swapped((":path", "/.well-known/acme-challenge/tok")))
            assert c.finish(1)[2] == b"tok.text"
            c.request(3, swapped((":authority", "b.example")))
            assert c.finish(3)[0] == 301 and c.heads[3][0]["location"] == "https://b.example:%d/" % r.tls_port


def websocket(backend, conn):
    head = next(each_request(backend, conn))[0]
    if b"/no" in head:
        conn.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        return
    if b"/200" in head:
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        return
    conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: x\r\n\r\n")
    while True:
        data = conn.recv(65536)
        if not data:
            conn.sendall(b"bye")
            return
        conn.sendall(data[::-1])


def test_websockets_go_over_a_stream():
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "a.example"),
              (":path", "/chat"), ("sec-websocket-version", "13")]
    with secured(websocket) as (r, b), speak(r) as c:
        assert c.until(lambda: c.peer) and c.peer[8] == 1
        c.request(1, fields, end=False)
        assert c.until(lambda: 1 in c.heads) and c.heads[1][0][":status"] == "200"
        head = b.requests[0][0]
        assert head.startswith(b"GET /chat HTTP/1.1\r\n") and field(head, "upgrade") == "websocket"
        assert len(field(head, "sec-websocket-key")) == 24 and field(head, "sec-websocket-version") == "13"
        want = b""
        for word in (b"hello", b"x" * 20000, b"end"):
            c.data(1, word, False)
            want += word[::-1]
            assert c.until(lambda: c.bodies.get(1) == want)
        c.frame(DATA, END_STREAM, 1)
        assert c.finish(1)[2] == want + b"bye"
        fields[4] = (":path", "/no")
        c.request(3, fields, end=False)
        assert c.finish(3)[0] == 403
        fields[4] = (":path", "/200")  # would look like an open tunnel
        c.request(5, fields, end=False)
        assert c.until(lambda: 5 in c.reset) and 5 not in c.heads
        c.request(7, swapped((":path", "/no")))
        assert c.finish(7)[0] == 403


def test_the_end_of_the_router_is_told_and_answers_come_whole():
    gate = threading.Event()

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            if b"/slow" in head:
                gate.wait(5)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300000))
    for signo in (signal.SIGTERM, signal.SIGUSR2):
        gate.clear()
        with secured(handler) as (r, b), speak(r) as c:
            c.keep_window = True
            c.request(1, swapped((":path", "/slow")))
            assert wait_for(lambda: b.requests)
            r.kill(signo)
            assert c.until(lambda: c.goaway) and c.goaway[1] == NO_ERROR
            if signo == signal.SIGUSR2:
                c.request(3)
                assert c.finish(3)[0] == 200
            gate.set()
            assert len(c.finish(1)[2]) == 300000
            assert c.until(lambda: c.closed)
            assert r.wait_exit() and r.status == 0


def test_a_head_that_does_not_end_is_cut():
    with secured() as (r, b), speak(r) as c:
        assert c.until(lambda: c.peer)  # acknowledged: nothing may come between the parts of a head
        c.frame(HEADERS, 0, 1, literal(BASE))
        start = time.monotonic()
        assert c.until(lambda: c.closed, 15)
        assert 8 < time.monotonic() - start < 14


test_a_head_that_does_not_end_is_cut.slow = True


def test_curl_speaks_http_2():
    body = os.urandom(300000)
    with secured(echo_handler) as (r, b):
        def curl(*words):
            return subprocess.run(["curl", "-sk", "--http2", "-w", "%{http_version}", "--resolve",
                                   "a.example:%d:127.0.0.1" % r.tls_port, "https://a.example:%d/chunked" % r.tls_port,
                                   *words], input=body, capture_output=True, timeout=10).stdout
        assert curl("--data-binary", "@-") == body + b"2"
        assert curl("-T", "-", "-X", "POST") == body + b"2"
        assert curl("--http1.1", "--data-binary", "@-") == body + b"1.1"


def test_streams_live_through_switches():
    with secured() as (r, b), speak(r) as c:
        backends = [Backend(), Backend()]
        end, switches, stream, asked = time.monotonic() + 2, 0, 1, 0
        while time.monotonic() < end:
            streams = list(range(stream, stream + 20, 2))
            stream += 20
            for n in streams:
                c.request(n)
            switches += 1
            assert r.send_table([App(7, ["a.example"], [(100 + switches, backends[switches % 2].port, "web.1")])]) == 0
            for n in streams:
                assert c.finish(n)[2] == b"hello"
            asked += len(streams)
        print("# %d streams over %d switches" % (asked, switches), flush=True)
        assert not c.reset and not c.goaway
        assert wait_for(lambda: len(r.drained) == switches)
        assert sum(len(x.requests) for x in backends + [b]) == asked
        for x in backends:
            x.stop()
