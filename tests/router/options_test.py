"""What an app's owner has set: limits, pages, redirects, passwords, rates; and proxies that are believed."""
import base64
import contextlib
import gzip
import os
import re
import socket
import struct
import threading
import time
import zlib

from h2_test import BASE, speak, swapped
from harness import *
from tls_test import secured


@contextlib.contextmanager
def optioned(handler=None, n=1, flags=0, flags_=0, **options):
    """An app with options and, as the positive control, b.example without."""
    if flags_:
        options["flags"] = flags_
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
        assert status_of(head) == 413, head
        assert not [q for q in b.requests if q[1]]  # the app saw no whole body


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
                    {"rate": (1, 0)}, {"rate": (0, 1)}, {"rate": (1, 600001)}, {"canonical": b"a b"},
                    {"error_page": b"x" * 65537}, {"maintenance_page": b"x" * 65537}):
            r.apps[0].options = dict(good, **bad)
            assert r.send_table(r.apps) < 0, bad
            assert ask(r, post(b"x" * 1001))[0] == 413  # the old one holds
        r.apps[0].options = dict(good, error_page=b"x" * 65536)
        assert r.send_table(r.apps) == 0


def test_other_names_redirect_to_the_canonical_one():
    with optioned(canonical=b"www.a.example") as (r, b):
        r.apps[0].hosts = ["a.example", "www.a.example", "*.a.example"]
        r.send_table(r.apps)
        for host, path in (("a.example", "/x?y=1"), ("A.Example", "/"), ("old.a.example", "/%20")):
            status, head, _ = ask(r, get(host, path))
            assert (status, field(head, "location")) == (301, "http://www.a.example" + path)
        with r.connect() as s:  # the body of a refused request does not end its connection
            s.sendall(post(b"abc", extra="X: y\r\n").replace(b"Host: a.example", b"Host: a.example:8080"))
            head, rest = read_head(s)
            assert (status_of(head), field(head, "location")) == (308, "http://www.a.example:8080/x")
            body, rest = read_body(s, head, rest)
            s.sendall(get("WWW.a.example"))
            assert status_of(read_head(s, rest)[0]) == 200
        status, head, _ = ask(r, b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert (status, field(head, "location")) == (308, "http://www.a.example")
        long = "/" + "x" * 8000
        assert field(ask(r, get(path=long))[1], "location") == "http://www.a.example" + long
        assert ask(r, get("b.example"))[0] == 200
        assert r.log_where("status=301", "host=old.a.example")


def basic(text):
    return "Authorization: Basic %s\r\n" % base64.b64encode(text).decode()


def test_a_password_is_asked_for_and_checked():
    with optioned(auth=b"ann:s3cret: \xc3\xa9") as (r, b):
        status, head, _ = ask(r, get())
        assert status == 401 and field(head, "www-authenticate") == 'Basic realm="berth", charset="UTF-8"'
        good = basic(b"ann:s3cret: \xc3\xa9")
        for bad in (basic(b"ann:s3cret"), basic(b"bob:s3cret: \xc3\xa9"), basic(b""), "Authorization: Basic\r\n",
                    "Authorization: Bearer x\r\n", "Authorization: Basic %%%\r\n", "X-Authorization: %s" % good[15:],
                    "Authorization: Basic " + "QUFB" * 1000 + "\r\n"):
            assert ask(r, get(extra=bad))[0] == 401, bad
        assert not b.requests
        for ok in (good, good.lower()[:21] + good[21:], "X: y\r\n" + good.replace(": ", ":   ", 1)):
            assert ask(r, get(extra=ok))[0] == 200, ok
        assert ask(r, get("b.example"))[0] == 200
        assert ask(r, get(path="/a b".replace(" ", "%0d%0aAuthorization:")))[0] == 401
        assert not [l for l in r.logs if "s3cret" in l[2] or good[21:40] in l[2]]


def test_a_password_that_was_right_costs_little_and_no_longer_opens_once_changed():
    with optioned(auth=b"ann:one") as (r, b), r.connect() as s:
        rest, start = b"", time.monotonic()
        for _ in range(400):  # far more than may be checked in that time
            s.sendall(get(extra=basic(b"ann:one")))
            head, rest = read_head(s, rest)
            _, rest = read_body(s, head, rest)
            assert status_of(head) == 200
        assert time.monotonic() - start < 5
        r.apps[0].options["auth"] = b"ann:two"
        r.send_table(r.apps)
        assert ask(r, get(extra=basic(b"ann:one")))[0] == 401
        assert ask(r, get(extra=basic(b"ann:two")))[0] == 200


def test_guessing_passwords_takes_no_more_than_its_share():
    with optioned(auth=b"ann:one") as (r, b), r.connect() as s:
        assert ask(r, get(extra=basic(b"ann:one")))[0] == 200
        codes, rest = [], b""
        for i in range(60):
            s.sendall(get(extra=basic(b"ann:%d" % i)))
            head, rest = read_head(s, rest)
            _, rest = read_body(s, head, rest)
            codes.append(status_of(head))
        assert codes[:15] == [401] * 15 and 429 in codes and 200 not in codes, codes
        assert ask(r, get(extra=basic(b"ann:one")))[0] == 200  # who is known is not asked to wait


def test_a_held_request_is_asked_for_its_password_when_the_table_is_new():
    b = Backend()
    r = Router()
    try:
        with r.connect() as s, r.connect() as known:
            s.sendall(get())  # before any table
            known.sendall(get(extra=basic(b"ann:one")))
            time.sleep(0.1)
            r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")], options={"auth": b"ann:one"})])
            assert status_of(read_head(s)[0]) == 401
            assert status_of(read_head(known)[0]) == 200
    finally:
        b.stop()
        assert r.close() == 0


def test_a_client_may_make_so_many_requests():
    with optioned(rate=(5, 60000)) as (r, b), r.connect() as s:
        rest, codes = b"", []
        for _ in range(8):
            s.sendall(get())
            head, rest = read_head(s, rest)
            _, rest = read_body(s, head, rest)
            codes.append(status_of(head))
        assert codes == [200] * 5 + [429] * 3 and len(b.requests) == 5
        assert 1 <= int(field(head, "retry-after")) <= 12
        assert ask(r, get())[0] == 429  # another connection is the same client
        assert ask(r, get("b.example"))[0] == 200
        with socket.create_connection(("127.0.0.1", r.port), 5, ("127.0.0.2", 0)) as other:
            other.sendall(get())
            assert status_of(read_head(other)[0]) == 200


def test_a_rate_refills():
    with optioned(rate=(2, 6000)) as (r, b):
        assert [ask(r, get())[0] for _ in range(3)] == [200, 200, 429]
        time.sleep(6.1)
        assert [ask(r, get())[0] for _ in range(3)] == [200, 200, 429]


test_a_rate_refills.slow = True


FORWARDED = ("X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-For: 10.1.2.3\r\n"
             "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\nForwarded: for=x\r\n")


def test_only_a_trusted_proxy_says_who_asks():
    with optioned() as (r, b):
        ask(r, get(extra=FORWARDED))
        head = b.requests[-1][0]
        assert field(head, "x-forwarded-for") == "127.0.0.1" and field(head, "x-forwarded-proto") == "http"
        assert head.count(b"X-Forwarded-For") == 1
        data = table_bytes(r.apps, nets=["127.0.0.0/8", "10.0.0.0/8"])
        assert r.send_table(data=data) == 0
        ask(r, get(extra=FORWARDED))
        head = b.requests[-1][0]
        assert field(head, "x-forwarded-for") == "203.0.113.9, 198.51.100.7, 10.1.2.3, 127.0.0.1"
        assert field(head, "x-forwarded-proto") == "https" and field(head, "x-forwarded-port") == "8443"
        assert head.lower().count(b"x-forwarded-for") == 1 and b"Forwarded: for" not in head
        assert r.log_where('fwd="198.51.100.7"')  # the last that is no proxy
        ask(r, get(extra="X-Forwarded-For: 203.0.113.9, ::ffff:198.51.100.9, ::ffff:10.1.2.3\r\n"))
        assert r.log_where('fwd="::ffff:198.51.100.9"')  # as a proxy that listens to both families says it
        ask(r, get())
        head = b.requests[-1][0]
        assert field(head, "x-forwarded-for") == "127.0.0.1" and field(head, "x-forwarded-proto") == "http"
        ask(r, get(extra="X-Forwarded-For: 192.0.2.1, bogus\"\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1x\r\n"))
        head = b.requests[-1][0]
        assert field(head, "x-forwarded-proto") == "http" and field(head, "x-forwarded-port") == str(r.port)
        assert wait_for(lambda: sum('fwd="127.0.0.1"' in l[2] for l in r.logs) == 3)
        with socket.create_connection(("127.0.0.1", r.port), 5, ("127.0.0.2", 0)) as s:
            assert r.send_table(data=table_bytes(r.apps, nets=["127.0.0.1/32"])) == 0
            s.sendall(get(extra=FORWARDED))
            read_head(s)
            assert field(b.requests[-1][0], "x-forwarded-for") == "127.0.0.2"


def test_rates_and_redirects_go_by_what_a_trusted_proxy_says():
    with optioned(rate=(1, 60000), canonical=b"www.a.example") as (r, b):
        r.apps[0].hosts.append("www.a.example")
        r.send_table(data=table_bytes(r.apps, nets=["127.0.0.1/32"]))
        for who, want in (("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429), ("2001:db8::1", 200),
                          ("::ffff:192.0.2.3", 200), ("::ffff:192.0.2.4", 200), ("::ffff:192.0.2.1", 429)):
            assert ask(r, get("www.a.example", extra="X-Forwarded-For: %s\r\n" % who))[0] == want, who
        _, head, _ = ask(r, get(extra="X-Forwarded-For: 192.0.2.77\r\nX-Forwarded-Proto: https\r\n"))
        assert field(head, "location") == "https://www.a.example/"


def cookie_of(head):
    got = field(head, "set-cookie")
    return got and re.match(r"(berth_instance=[0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax$", got).group(1)


def test_a_cookie_keeps_a_client_at_its_instance():
    backends = [Backend(lambda b, conn, n=n: ok_handler(b, conn, b"%d" % n)) for n in range(4)]
    r = Router()
    try:
        apps = [App(7, ["a.example"], [(1 + n, b.port, "web.%d" % n) for n, b in enumerate(backends)],
                    options={"sticky_key": 0x1234567890abcdef}),
                App(8, ["b.example"], [(9, backends[0].port, "web.1")])]
        r.send_table(apps)
        assert field(ask(r, get("b.example"))[1], "set-cookie") is None
        seen = {}
        for _ in range(8):
            _, head, body = ask(r, get())
            seen.setdefault(body, set()).add(cookie_of(head))
        assert len(seen) == 4 and all(len(c) == 1 for c in seen.values()), seen  # an instance has one name
        for body, (cookie,) in seen.items():
            for extra in ("Cookie: %s\r\n" % cookie, "Cookie: a=b; %s; c=d\r\n" % cookie):
                for _ in range(4):
                    _, head, got = ask(r, get(extra=extra))
                    assert got == body and field(head, "set-cookie") is None
        for bad in ("berth_instance=", "berth_instance=0000000000000000", "berth_instance=zz", "xberth_instance"):
            assert cookie_of(ask(r, get(extra="Cookie: %s\r\n" % bad))[1])
        (cookie,), gone = seen[b"2"], backends[2]
        gone.stop()  # it refuses: another one takes over, and its name with it
        _, head, body = ask(r, get(extra="Cookie: %s\r\n" % cookie))
        assert body != b"2" and cookie_of(head) in seen[body]
        apps[0].instances = [i for i in apps[0].instances if i[0] != 3]
        r.send_table(apps)
        _, head, body = ask(r, get(extra="Cookie: %s\r\n" % cookie))
        assert body != b"2" and cookie_of(head) in seen[body]
        apps[0].options = {"sticky_key": 1}
        r.send_table(apps)
        assert cookie_of(ask(r, get())[1]) not in set.union(*seen.values())
    finally:
        for b in backends:
            b.stop()
        assert r.close() == 0


TEXT = b"".join(b"line %d of a page that repeats itself\n" % i for i in range(3000))


def answering(head, body, chunked=False):
    """A handler that answers with these."""
    def handler(backend, conn):
        for request, _ in each_request(backend, conn):
            out = b"HTTP/1.1 " + head
            if chunked:
                conn.sendall(out + b"Transfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(body), 30000):
                    conn.sendall(b"%x\r\n%s\r\n" % (len(body[at:at + 30000]), body[at:at + 30000]))
                conn.sendall(b"0\r\nX-Trailer: x\r\n\r\n")
            else:
                conn.sendall(out + b"Content-Length: %d\r\n\r\n" % len(body) + (b"" if request.startswith(b"HEAD") else body))
    return handler


HTML = b"200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
GZIP, TAKES = 1, "Accept-Encoding: br, gzip;q=0.8\r\n"


def test_responses_are_compressed_for_clients_that_take_it():
    for chunked in (False, True):
        with optioned(answering(HTML + b'ETag: "x1"\r\nAccept-Ranges: bytes\r\n', TEXT, chunked), flags_=GZIP) as (r, b), \
                r.connect() as s:
            rest = b""
            for _ in range(3):  # the connection lives on, and each response is whole
                s.sendall(get(extra=TAKES))
                head, rest = read_head(s, rest)
                assert field(head, "content-encoding") == "gzip" and field(head, "content-length") is None
                assert field(head, "etag") == 'W/"x1"' and field(head, "vary") == "Accept-Encoding"
                assert field(head, "accept-ranges") is None and field(head, "connection") is None
                body, _, rest = read_chunked(s, rest)
                assert gzip.decompress(body) == TEXT and len(body) < len(TEXT) / 4
            s.sendall(get())  # a client that does not say so
            head, rest = read_head(s, rest)
            assert field(head, "content-encoding") is None and field(head, "etag") == '"x1"'
            assert field(head, "vary") == "Accept-Encoding"
            body, rest = (read_chunked(s, rest)[::2] if chunked else read_body(s, head, rest))
            assert body == TEXT
            assert r.log_where("status=200", "bytes=%d" % len(TEXT)) or chunked
        assert b.connections == 1


def test_the_longest_head_has_room_before_what_is_compressed():
    start = b"HTTP/1.1 200\r\ncontent-type:text/a\r\n"
    each, more = divmod(32768 - len(start) - 2, 127)  # 128 fields in the 32768 bytes that are taken
    tags = b"".join(b'etag:"%s"\r\n' % (b"t" * (each + (i < more) - 9)) for i in range(127))
    assert len(start + tags) + 2 == 32768

    def handler(backend, conn):
        read_head(conn)
        conn.sendall(start + tags + b"\r\n" + TEXT)

    with optioned(handler, flags_=GZIP, sticky_key=5, canary=(6, 2, 50)) as (r, b):
        for _ in range(3):
            with r.connect() as s:
                s.sendall(get(extra=TAKES))
                head, rest = read_head(s)
                assert head.lower().count(b"\r\netag:") == 1 and head.count(b"\r\nSet-Cookie: ") == 2, head
                assert gzip.decompress(read_chunked(s, rest)[0]) == TEXT


def test_only_what_shrinks_is_compressed():
    small = b"x" * 859
    for what, head, body, status in (
            ("small", HTML, small, 200), ("image", b"200 OK\r\nContent-Type: image/png\r\n", TEXT, 200),
            ("no type", b"200 OK\r\n", TEXT, 200), ("encoded", HTML + b"Content-Encoding: br\r\n", TEXT, 200),
            ("no-transform", HTML + b"Cache-Control: public, No-Transform\r\n", TEXT, 200),
            ("range", HTML.replace(b"200 OK", b"206 Partial Content") + b"Content-Range: bytes 0-9/10\r\n", TEXT, 206)):
        with optioned(answering(head, body), flags_=GZIP) as (r, b):
            got, answer, data = ask(r, get(extra=TAKES))
            assert (got, data) == (status, body) and field(answer, "content-encoding") in (None, "br"), what
    for takes in ("", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: *;q=0\r\n",
                  "Accept-Encoding: gzip; q=0.000, *\r\n"):
        with optioned(answering(HTML, TEXT), flags_=GZIP) as (r, b):
            assert ask(r, get(extra=takes))[2] == TEXT, takes
    for takes in ("Accept-Encoding: *\r\n", "Accept-Encoding: GZIP\r\n", "Accept-Encoding: x-gzip, deflate\r\n"):
        for kind in (b"application/json", b"application/ld+json", b"image/svg+xml", b"TEXT/CSS"):
            with optioned(answering(b"404 Not Found\r\nContent-Type: %s\r\n" % kind, TEXT), flags_=GZIP) as (r, b):
                assert gzip.decompress(ask(r, get(extra=takes))[2]) == TEXT
    with optioned(answering(HTML, TEXT), flags_=GZIP) as (r, b):
        assert ask(r, get("b.example", extra=TAKES))[2] == TEXT  # the app without the option
        _, head, body = ask(r, b"HEAD / HTTP/1.1\r\nHost: a.example\r\n%s\r\n" % TAKES.encode(), is_head=True)
        assert field(head, "content-length") == str(len(TEXT)) and field(head, "content-encoding") is None
        _, head, body = ask(r, b"GET / HTTP/1.0\r\nHost: a.example\r\n%s\r\n" % TAKES.encode())
        assert body == TEXT


def test_a_response_until_the_end_of_its_connection_is_compressed_whole():
    def handler(backend, conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 " + HTML + b"\r\n" + TEXT)

    with optioned(handler, flags_=GZIP) as (r, b):
        with r.connect() as s:
            s.sendall(get(extra=TAKES))
            head, rest = read_head(s)
            assert gzip.decompress(read_chunked(s, rest)[0]) == TEXT


def test_a_compressed_event_stream_stays_a_stream():
    step = threading.Semaphore(0)

    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(20):
                step.acquire()
                event = b"data: %d\n\n" % i
                conn.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            conn.sendall(b"0\r\n\r\n")

    with optioned(handler, flags_=GZIP) as (r, b), r.connect(2) as s:
        s.sendall(get(extra=TAKES))
        head, rest = read_head(s)
        assert field(head, "content-encoding") == "gzip"
        z, got = zlib.decompressobj(31), b""
        for i in range(20):
            step.release()
            while b"data: %d\n\n" % i not in got:  # each comes before the next is sent
                while b"\r\n" not in rest:
                    rest += s.recv(65536)
                line, rest = rest.split(b"\r\n", 1)
                data, rest = read_exact(s, int(line, 16) + 2, rest)
                got += z.decompress(data[:-2])


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1))


def test_slow_clients_of_compressed_responses_hold_no_more_than_a_piece():
    big = os.urandom(1 << 20) * 4  # does not shrink

    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 " + HTML + b"Content-Length: %d\r\n\r\n" % len(big))
            for at in range(0, len(big), 65536):
                conn.sendall(big[at:at + 65536])

    with optioned(handler, flags_=GZIP) as (r, b), r.connect(20) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        before = rss_kb(r.pid)
        s.sendall(get(extra=TAKES))
        time.sleep(1)  # what the sockets take is on its way, the rest waits in the app
        assert rss_kb(r.pid) - before < 1024, (before, rss_kb(r.pid))
        head, rest = read_head(s)
        assert gzip.decompress(read_chunked(s, rest)[0]) == big


def test_more_compressed_responses_than_may_be_go_on_as_they_are():
    go = threading.Event()

    def handler(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 " + HTML + b"Content-Length: %d\r\n\r\n" % len(TEXT) + TEXT[:10])
            go.wait(20)
            conn.sendall(TEXT[10:])

    with optioned(handler, flags_=GZIP) as (r, b):
        socks = [r.connect(20) for _ in range(260)]
        for s in socks:
            s.sendall(get(extra=TAKES))
        heads = [read_head(s) for s in socks]
        kinds = [field(h, "content-encoding") for h, _ in heads]
        assert kinds.count("gzip") == 256 and kinds.count(None) == 4, kinds.count("gzip")
        go.set()
        for s, (head, rest), kind in zip(socks, heads, kinds):
            body = gzip.decompress(read_chunked(s, rest)[0]) if kind else read_body(s, head, rest)[0]
            assert body == TEXT
            s.close()
        assert field(ask(r, get(extra=TAKES))[1], "content-encoding") == "gzip"


def test_an_instance_that_fails_again_and_again_is_second_choice():
    good = Backend(lambda b, conn: ok_handler(b, conn, b"good"))

    def closes(backend, conn):
        for _ in each_request(backend, conn):
            return

    bad = Backend(closes)
    r = Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, good.port, "web.1"), (2, bad.port, "web.2")])])

        def fails(times, at_most):
            """When the last of them was asked."""
            codes = []
            while codes.count(502) < times and len(codes) < at_most:
                began = time.monotonic()
                codes.append(ask(r, get())[0])
            assert codes.count(502) == times, codes
            return began

        def rests(until):
            while time.monotonic() < until:
                code, now = ask(r, get())[0], time.monotonic()
                assert code == 200 or now > until
                time.sleep(0.01)

        since = fails(3, 10)
        rests(since + 0.9)
        time.sleep(0.2)
        since = fails(1, 1000)  # one more chance, then it is left alone for longer
        rests(since + 1.8)
        assert len(bad.requests) in (4, 5)
    finally:
        good.stop()
        bad.stop()
        assert r.close() == 0


def test_rates_count_requests_of_http_2():
    with optioned(rate=(5, 60000)) as (r, b), speak(r, tls=False) as c:
        streams = range(1, 17, 2)
        for n in streams:  # at once, and one connection
            c.request(n, BASE)
        answers = [c.finish(n)[:2] for n in streams]
        assert sorted(status for status, _ in answers) == [200] * 5 + [429] * 3 and len(b.requests) == 5
        assert all(1 <= int(head["retry-after"]) <= 12 for status, head in answers if status == 429)
        assert ask(r, get())[0] == 429  # the same client by HTTP/1.1
        c.request(17, swapped((":authority", "b.example")))
        assert c.finish(17)[0] == 200 and not c.goaway and not c.reset


def test_redirects_to_the_canonical_name_over_http_2():
    with optioned(canonical=b"www.a.example") as (r, b), speak(r, tls=False) as c:
        r.apps[0].hosts = ["a.example", "www.a.example"]
        r.send_table(r.apps)
        for stream, method, authority, status, location in (
                (1, "GET", "a.example", 301, "http://www.a.example/x?y=1"),
                (3, "HEAD", "A.Example:8080", 301, "http://www.a.example:8080/x?y=1"),
                (5, "POST", "a.example", 308, "http://www.a.example/x?y=1")):
            c.request(stream, swapped((":method", method), (":authority", authority), (":path", "/x?y=1")),
                      b"abc" if method == "POST" else None)
            got, head, body = c.finish(stream)
            assert (got, head["location"], "connection" in head) == (status, location, False), head
            assert bool(body) == (method != "HEAD")
        assert not b.requests
        for stream, authority in ((7, "WWW.a.example"), (9, "b.example")):
            c.request(stream, swapped((":authority", authority)))
            assert c.finish(stream)[2] == b"hello"
        assert r.log_where("status=301", "host=a.example", "protocol=http/2")
    with secured() as (r, b), speak(r) as c:
        r.send_table([App(7, ["a.example", "www.a.example"], [(1, b.port, "web.1")], options={"canonical": b"www.a.example"})])
        c.request(1, swapped((":path", "/x")))
        assert c.finish(1)[1]["location"] == "https://www.a.example/x"


def test_options_hold_for_http_2_as_well():
    for chunked in (False, True):
        with optioned(answering(HTML + b'ETag: "x1"\r\n', TEXT, chunked), flags_=GZIP, sticky_key=5, auth=b"ann:one") as (r, b), \
                speak(r, tls=False) as c:
            c.request(1, BASE)
            status, head, _ = c.finish(1)
            assert status == 401 and head["www-authenticate"].startswith("Basic")
            login = ("authorization", basic(b"ann:one")[15:].strip())
            c.request(3, BASE + [login, ("accept-encoding", "gzip")])
            status, head, body = c.finish(3)
            assert status == 200 and gzip.decompress(body) == TEXT and "transfer-encoding" not in head
            assert (head["content-encoding"], head["vary"], head["etag"]) == ("gzip", "Accept-Encoding", 'W/"x1"')
            assert "content-length" not in head and head["set-cookie"].startswith("berth_instance=")
            c.request(5, BASE + [login, ("cookie", "a=b"), ("cookie", head["set-cookie"].split(";")[0])])
            status, head, body = c.finish(5)
            assert body == TEXT and "content-encoding" not in head and "set-cookie" not in head
