"""What an app's owner has set: limits, pages."""
import contextlib
import socket
import struct
import threading
import time

from harness import *


@contextlib.contextmanager
def optioned(handler=None, n=1, flags=0, **options):
    """An app with options and, as the positive control, b.example without."""
    b = Backend(handler)
    r = Router()
    instances = [(1 + i, b.port, "web.%d" % (1 + i)) for i in range(n)]
    r.apps = [App(7, ["a.example"], instances, flags=flags, options=options),
              App(8, ["b.example"], [(99, b.port, "web.1")])]
    try:
        assert r.send_table(r.apps) == 0
        yield r, b
    finally:
        b.stop()
        status = r.close()
        assert status == 0, (status, r)


def post(body, host="a.example", chunked=False, extra=""):
    head = "POST /x HTTP/1.1\r\nHost: %s\r\n%s" % (host, extra)
    if not chunked:
        return (head + "Content-Length: %d\r\n\r\n" % len(body)).encode() + body
    out = (head + "Transfer-Encoding: chunked\r\n\r\n").encode()
    for at in range(0, len(body), 7):
        piece = body[at:at + 7]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + b"0\r\n\r\n"


def test_a_body_up_to_the_apps_limit_passes_and_a_longer_one_is_413():
    with optioned(echo_handler, body_max=1000) as (r, b):
        for chunked in (False, True):
            status, _, body = ask(r, post(b"x" * 1000, chunked=chunked))
            assert (status, len(body)) == (200, 1000), (status, chunked)
            status, head, _ = ask(r, post(b"x" * 1001, chunked=chunked))
            assert status == 413 and field(head, "connection") == "close"
        assert len([q for q in b.requests if len(q[1]) > 1000]) == 0
        # the same body where nothing is set
        assert ask(r, post(b"x" * 1001, host="b.example"))[0] == 200


def test_a_long_body_is_refused_before_it_is_sent():
    with optioned(echo_handler, body_max=1000) as (r, b), r.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        head, _ = read_head(s)
        assert status_of(head) == 413 and not b.requests
        assert r.log_where("status=413", "host=a.example")


def test_a_chunk_that_would_pass_the_limit_ends_a_body_under_way():
    with optioned(body_max=100000) as (r, b), r.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
        s.sendall(b"3\r\nabc\r\n")
        assert wait_for(lambda: b.connections)
        s.sendall(b"186a0\r\nx")
        head, _ = read_head(s)
        assert status_of(head) == 413 and not b.requests


def test_a_limit_may_lie_above_the_default():
    with optioned(body_max=1 << 40) as (r, b), r.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        assert wait_for(lambda: b.connections)  # it went on
    with optioned() as (r, b):
        assert ask(r, b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % (1 << 40))[0] == 413


def test_maintenance_shows_the_owners_page_and_needs_no_instance():
    page = b"<h1>Back at nine</h1>" * 2000
    with optioned(n=0, flags=MAINTENANCE, maintenance_page=page, error_page=b"<h1>oops</h1>") as (r, b):
        with r.connect() as s:
            rest = b""
            for _ in range(2):  # the connection stays open
                s.sendall(get())
                head, rest = read_head(s, rest)
                body, rest = read_body(s, head, rest)
                assert status_of(head) == 503 and body == page
                assert field(head, "content-type") == "text/html; charset=utf-8"
        status, head, _ = ask(r, b"HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n", is_head=True)
        assert status == 503 and field(head, "content-length") == str(len(page))
        assert r.log_where("code=H80", "status=503", "bytes=%d" % len(page))
        assert not b.requests
        r.apps[0].flags, r.apps[0].instances = 0, [(1, b.port, "web.1")]
        assert r.send_table(r.apps) == 0  # and is over at once
        assert ask(r, get())[0] == 200


def test_the_owners_error_page_is_for_the_routers_errors_alone():
    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            if b" /own " in head:
                conn.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nown")
            else:
                return
    with optioned(handler, error_page=b"<h1>sorry</h1>") as (r, b):
        assert ask(r, get(path="/own"))[::2] == (500, b"own")
        assert ask(r, get())[::2] == (502, b"<h1>sorry</h1>")
        status, _, body = ask(r, get("b.example"))
        assert status == 502 and b"sorry" not in body
        status, _, body = ask(r, get("c.example"))
        assert status == 404 and b"sorry" not in body
        r.apps[0].instances = []
        r.send_table(r.apps)
        assert ask(r, get())[::2] == (503, b"<h1>sorry</h1>")


def test_more_waiting_requests_than_the_queue_takes_are_503():
    go = threading.Event()

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            go.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with optioned(handler, n=2, queue_max=3) as (r, b):
        waiting = [r.connect() for _ in range(3)]
        for s in waiting:
            s.sendall(get())
        assert wait_for(lambda: len(b.requests) == 3)
        for _ in range(3):
            assert ask(r, get())[0] == 503
        assert r.log_where("code=H11", 'desc="Backlog too deep"')
        other = r.connect()
        other.sendall(get("b.example"))
        assert wait_for(lambda: len(b.requests) == 4)  # others are not touched
        waiting[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        waiting[0].close()  # who leaves makes room
        late = r.connect()
        assert r.log_where("code=H27")
        late.sendall(get())
        assert wait_for(lambda: len(b.requests) == 5)
        go.set()
        for s in waiting[1:] + [late, other]:
            assert status_of(read_head(s)[0]) == 200
            s.close()
        for _ in range(10):  # each answer made room
            assert ask(r, get())[0] == 200


def test_held_requests_count_in_the_queue():
    with optioned(n=0, flags=HOLD, queue_max=2) as (r, b):
        r.apps[0].hold_ms = 10000
        r.send_table(r.apps)
        held = [r.connect() for _ in range(2)]
        for s in held:
            s.sendall(get())
        time.sleep(0.1)
        assert ask(r, get())[0] == 503
        r.apps[0].instances = [(1, b.port, "web.1")]
        r.send_table(r.apps)
        for s in held:
            assert status_of(read_head(s)[0]) == 200
            s.close()
        assert ask(r, get())[0] == 200


def test_options_change_under_waiting_requests():
    go = threading.Event()

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            go.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with optioned(handler, queue_max=2) as (r, b):
        socks = [r.connect() for _ in range(2)]
        for s in socks:
            s.sendall(get())
        assert wait_for(lambda: len(b.requests) == 2)
        r.apps[0].options = None
        assert r.send_table(r.apps) == 0
        more = r.connect()
        more.sendall(get())
        assert wait_for(lambda: len(b.requests) == 3)
        r.apps[0].options = {"queue_max": 2}
        assert r.send_table(r.apps) == 0
        assert ask(r, get())[0] == 503  # the two of before still count
        go.set()
        for s in socks + [more]:
            assert status_of(read_head(s)[0]) == 200
            s.close()
        assert ask(r, get())[0] == 200


def test_a_bad_option_refuses_the_whole_table():
    with optioned(body_max=1000) as (r, b):
        good = dict(r.apps[0].options)
        for bad in ({"body_max": (1 << 40) + 1}, {"queue_max": 65537}, {"flags": 1 << 31},
                    {"error_page": b"x" * 65537}, {"maintenance_page": b"x" * 65537}):
            r.apps[0].options = dict(good, **bad)
            assert r.send_table(r.apps) < 0, bad
            assert ask(r, post(b"x" * 1001))[0] == 413  # the old one holds
        r.apps[0].options = dict(good, error_page=b"x" * 65536)
        assert r.send_table(r.apps) == 0
