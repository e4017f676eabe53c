"""TLS: certificates by name, versions, resumption, hot change, and what apps and logs are told."""
import contextlib
import functools
import hashlib
import os
import select
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from harness import *


making = threading.Lock()


def made(name, kind="ec", names=None):
    """A self-signed certificate for names, once a run: (chain, key) in PEM."""
    with making:
        return make(name, kind, names)


@functools.lru_cache(None)
def make(name, kind, names):
    with tempfile.TemporaryDirectory() as d:
        key, crt = os.path.join(d, "key"), os.path.join(d, "crt")
        how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["-newkey", "rsa:2048"]
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=" + name, "-keyout", key,
                        "-out", crt, "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names or (name,))] + how,
                       check=True, capture_output=True)
        with open(key, "rb") as k, open(crt, "rb") as c:
            return c.read(), k.read()


def cert(*names, kind="ec"):
    return (names,) + made(names[0], kind, names)


def tickets(n=1):
    return [os.urandom(80) for _ in range(n)]


@contextlib.contextmanager
def secured(handler=None, certs=None, acme=(), keys=None, hosts=("a.example", "b.example", "*.w.example"), redirect=()):
    b = Backend(handler)
    r = Router(tls=True)
    apps = [App(7, list(hosts), [(1, b.port, "web.1")])]
    try:
        assert r.send_certs(certs if certs is not None else [cert("a.example"), cert("b.example", "*.w.example")],
                            tickets() if keys is None else keys, acme) == 0
        assert r.send_table(data=table_bytes(apps, redirect)) == 0
        yield r, b
    finally:
        b.stop()
        status = r.close()
        assert status == 0, (status, r)


def context(trust=None, alpn=("http/1.1",), **options):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust:
        c.load_verify_locations(cadata=trust[1].decode())
    else:
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if alpn:
        c.set_alpn_protocols(list(alpn))
    for key, value in options.items():
        setattr(c, key, value)
    return c


def secure(r, name="a.example", c=None, session=None, timeout=5.0):
    raw = r.connect(timeout, r.tls_port)
    try:
        return (c or context()).wrap_socket(raw, server_hostname=name, session=session)
    except Exception:
        raw.close()
        raise


def test_the_memory_of_a_crowd_that_has_left_is_given_back():
    with secured() as (r, b):
        def client(c=context()):
            s = secure(r, c=c)
            s.sendall(get())
            assert status_of(read_head(s)[0]) == 200
            return s
        client().close()
        before, crowd = rss_kb(r.pid), [client() for _ in range(300)]
        full = rss_kb(r.pid)
        assert full - before > 3000, (before, full)
        for s in crowd:
            s.close()
        assert wait_for(lambda: rss_kb(r.pid) - before < 1500), (before, full, rss_kb(r.pid))
        client().close()


def refused(r, name, c=None):
    """The alert that a handshake ends with, or None when it succeeds."""
    try:
        secure(r, name, c).close()
    except ssl.SSLError as e:
        return e.reason or str(e)
    except ConnectionError as e:
        return repr(e)
    return None


def exchange(s, request):
    s.sendall(request)
    head, rest = read_head(s)
    body, _ = read_body(s, head, rest)
    return head, body


def test_a_request_over_tls_reaches_the_app_and_the_log():
    for version, word in ((ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")):
        c = context(cert("a.example"), minimum_version=version, maximum_version=version)
        with secured() as (r, b), secure(r, c=c) as s:
            assert s.version() == "TLSv" + word and s.selected_alpn_protocol() == "http/1.1"
            for i in range(3):
                head, body = exchange(s, get(path="/%d" % i))
                assert status_of(head) == 200 and body == b"hello"
            head = b.requests[0][0]
            assert field(head, "x-forwarded-proto") == "https"
            assert field(head, "x-forwarded-port") == str(r.tls_port)
            assert r.log_where('path="/2"', "protocol=http/1.1 tls=" + word)


def test_each_name_gets_its_own_certificate():
    first, second = cert("a.example"), cert("b.example", "*.w.example", kind="rsa")
    with secured(certs=[first, second]) as (r, b):
        for name, own, other in (("a.example", first, second), ("b.example", second, first),
                                 ("x.w.example", second, first), ("A.EXAMPLE", first, second)):
            secure(r, name, context(own)).close()
            assert refused(r, name, context(other)) == "CERTIFICATE_VERIFY_FAILED"


def test_an_unknown_or_missing_name_is_refused():
    with secured() as (r, b):
        assert refused(r, "a.example") is None
        for name in ("c.example", "w.example", "y.x.w.example", None):
            assert refused(r, name) == "TLSV1_UNRECOGNIZED_NAME", name
        assert r.send_certs([cert("a.example")]) == 0
        assert refused(r, "b.example") == "TLSV1_UNRECOGNIZED_NAME"
        assert r.alive()


def test_old_versions_and_weak_ciphers_are_refused():
    with secured() as (r, b):
        c = context()
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version = c.maximum_version = ssl.TLSVersion.TLSv1_1
        assert refused(r, "a.example", c)
        for words in ("AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
            c = context(maximum_version=ssl.TLSVersion.TLSv1_2)
            c.set_ciphers(words + ":@SECLEVEL=0")
            assert refused(r, "a.example", c), words
        c = context(maximum_version=ssl.TLSVersion.TLSv1_2)
        c.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert refused(r, "a.example", c) is None


def test_no_common_protocol_is_refused_and_none_offered_is_http_1():
    with secured() as (r, b):
        assert refused(r, "a.example", context(alpn=("spdy/3",)))
        with secure(r, c=context(alpn=None)) as s:
            assert s.selected_alpn_protocol() is None
            assert exchange(s, get())[1] == b"hello"


def resumed(r, c, session, name="a.example"):
    """Whether another connection takes the session up; and its own session."""
    with secure(r, name, c, session) as s:
        exchange(s, get())
        return s.session_reused, s.session


def test_sessions_resume_until_their_key_is_dropped():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(minimum_version=version, maximum_version=version)
        old, new, certs = tickets()[0], tickets()[0], [cert("a.example"), cert("b.example")]
        with secured(certs=certs, keys=[old]) as (r, b):
            fresh, session = resumed(r, c, None)
            assert not fresh and resumed(r, c, session)[0]
            assert r.send_certs(certs, [new, old]) == 0
            assert resumed(r, c, session)[0]
            assert r.send_certs(certs, [new]) == 0
            assert not resumed(r, c, session)[0]
        with secured(certs=certs, keys=[]) as (r, b):
            _, session = resumed(r, c, None)
            assert session is None or not resumed(r, c, session)[0]


def test_another_worker_with_the_same_keys_resumes():
    keys, certs, c = tickets(), [cert("a.example")], context()
    with secured(certs=certs, keys=keys) as (r, b), secured(certs=certs, keys=keys) as (r2, b2):
        _, session = resumed(r, c, None)
        assert resumed(r2, c, session)[0]


def test_a_changed_certificate_serves_new_connections_and_keeps_old_ones():
    old, new = made("a.example"), made("a.example", "rsa")
    assert old != new
    with secured(certs=[(("a.example",),) + old]) as (r, b), secure(r) as s:
        assert exchange(s, get())[1] == b"hello"
        for i in range(20):
            assert r.send_certs([(("a.example",),) + (old, new)[i % 2]], tickets()) == 0
            assert exchange(s, get())[1] == b"hello"
            with secure(r) as t:
                assert t.getpeercert(True) == ssl.PEM_cert_to_DER_cert((old, new)[i % 2][0].decode())


def test_malformed_certificates_are_refused_and_the_old_ones_stay():
    with secured() as (r, b):
        good = certs_bytes([cert("a.example")], tickets())
        for data in (good[:-1], b"x" + good[1:], good[:40], good + b"x", bytes(200)):
            assert r.send_certs(data=data) == -errno.EBADMSG
        assert r.send_certs(data=good, seal=False) == -errno.EPERM
        assert refused(r, "b.example") is None
        assert r.send_certs(data=good) == 0
        assert refused(r, "b.example")


def test_one_bad_certificate_harms_no_other():
    a, other = cert("a.example"), made("c.example")
    pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bad = [(("x1.example",), pem, a[2]), (("x2.example",), a[1], other[1]), (("x3.example",), a[1], pem)]
    with secured(certs=[a] + bad) as (r, b):
        for name in ("x1.example", "x2.example", "x3.example"):
            assert refused(r, name) == "TLSV1_ALERT_INTERNAL_ERROR", name
        assert refused(r, "a.example") is None
        assert r.stderr().count("cannot be used") == 3


def test_http_is_redirected_where_there_is_a_certificate():
    with secured(redirect=("a.example", "*.w.example")) as (r, b):
        for host, name in (("a.example", "a.example"), ("A.example:80", "A.example"), ("x.w.example", "x.w.example")):
            for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)):
                request = "%s /p/a%%20th?q=1 HTTP/1.1\r\nHost: %s\r\n\r\n" % (method, host)
                got, head, body = ask(r, request.encode(), method == "HEAD")
                assert got == status and body == b"", (method, got)
                assert field(head, "location") == "https://%s:%d/p/a%%20th?q=1" % (name, r.tls_port), head
        assert ask(r, b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n")[0] == 308
        assert b.requests == []
        assert ask(r, get("b.example"))[0] == 200
        with secure(r) as s:
            assert status_of(exchange(s, get())[0]) == 200


def test_acme_challenges_are_answered_first():
    with secured(acme=[("tok-1", "tok-1.Thumb_print"), ("tok-2", "x" * 512)], redirect=("a.example",)) as (r, b):
        path = "/.well-known/acme-challenge/"
        for host in ("a.example", "b.example"):
            status, head, body = ask(r, get(host, path + "tok-1"))
            assert (status, body) == (200, b"tok-1.Thumb_print")
        assert ask(r, get("a.example", path + "tok-2"))[2] == b"x" * 512
        assert ask(r, get("c.example", path + "tok-1"))[0] == 404
        assert ask(r, get("a.example", path + "tok-3"))[0] == 301
        assert ask(r, get("b.example", path + "tok-3"))[0] == 200  # the app's own
        assert len(b.requests) == 1
        assert r.send_certs() == 0
        assert ask(r, get("a.example", path + "tok-1"))[0] == 301


class BothWays:
    """A connection that sends while it is read from: by one thread, as OpenSSL serves one connection to no two at once."""

    def __init__(self, s, out):
        self.s, self.out = s, memoryview(out)
        s.setblocking(False)

    def recv(self, size):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return self.s.recv(size)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if self.out:
                    self.out = self.out[self.s.send(self.out[:1 << 16]):]
                    continue
            select.select([self.s], [self.s] if self.out else [], [], 1)
        raise TimeoutError("nothing came within 10 s, %d bytes are not sent" % len(self.out))


def test_large_bodies_both_ways():
    body = os.urandom(3 << 20)
    with secured(echo_handler) as (r, b), secure(r) as s:
        both = BothWays(s, b"POST /chunked HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head, rest = read_head(both)
        got, _ = read_body(both, head, rest)
        assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()


def test_a_slow_reader_gets_everything():
    body = os.urandom(4 << 20)
    with secured(lambda b, c: ok_handler(b, c, body)) as (r, b), secure(r, timeout=20) as s:
        s.sendall(get())
        head, rest = read_head(s)
        parts, n = [rest], len(rest)
        while n < len(body):
            if len(parts) < 20:
                time.sleep(0.02)
            got = s.recv(16384)
            assert got
            parts.append(got)
            n += len(got)
        assert b"".join(parts) == body
        assert exchange(s, get(path="/again"))[1] == body


def test_the_end_of_a_response_without_length_is_told():
    def handler(backend, conn):
        next(each_request(backend, conn))
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    with secured(handler) as (r, b), secure(r, c=context()) as s:
        s.suppress_ragged_eofs = False
        s.sendall(get())
        head, rest = read_head(s)
        while True:
            got = s.recv(100)  # an end without close_notify would raise
            if not got:
                break
            rest += got
        assert rest == b"until the end"


def test_websockets_pass_through():
    def handler(backend, conn):
        next(each_request(backend, conn))
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while True:
            data = conn.recv(65536)
            if not data:
                conn.sendall(b"bye")
                return
            conn.sendall(data[::-1])
    with secured(handler) as (r, b), secure(r) as s:
        s.sendall(get(extra="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        head, rest = read_head(s)
        assert status_of(head) == 101
        for word in (b"hello", b"x" * 30000):
            s.sendall(word)
            got, rest = read_exact(s, len(word), rest)
            assert got == word[::-1]


def test_pipelined_requests_in_one_record_are_answered():
    with secured() as (r, b), secure(r) as s:
        s.sendall(b"".join(get(path="/%d" % i) for i in range(100)))
        rest = b""
        for i in range(100):
            head, rest = read_head(s, rest)
            body, rest = read_body(s, head, rest)
            assert body == b"hello"


def test_what_is_no_handshake_is_closed():
    with secured() as (r, b):
        for data in (get(), b"\x16\x03\x01\xff\xff" + bytes(100), bytes(1000), b"\x80\x2e\x01\x03\x01", os.urandom(3000)):
            with r.connect(port=r.tls_port) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
        assert b.requests == [] and refused(r, "a.example") is None


def test_malformed_requests_are_refused_over_tls_too():
    with secured() as (r, b):
        for request, status in ((b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", 400),
                                (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a.example\r\n\r\n", 414)):
            with secure(r) as s:
                head, _ = exchange(s, request)
                assert status_of(head) == status
        assert b.requests == []


def test_a_renegotiation_is_refused():
    with secured() as (r, b):
        p = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % r.tls_port, "-servername", "a.example",
                              "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            time.sleep(0.3)
            p.stdin.write(b"R\n")
            p.stdin.flush()
            out = p.communicate(timeout=5)[0]
        finally:
            p.kill()
            p.wait()
        assert b"no renegotiation" in out.lower(), out[-400:]


def test_a_handshake_that_does_not_end_is_cut():
    with secured() as (r, b), r.connect(20, r.tls_port) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        start = time.monotonic()
        try:
            while s.recv(4096):
                pass
        except ConnectionError:
            pass
        assert 8 < time.monotonic() - start < 13


test_a_handshake_that_does_not_end_is_cut.slow = True


def test_a_successor_takes_over_tls_connections():
    with secured() as (r, b), secure(r) as s:
        assert exchange(s, get())[1] == b"hello"
        r.kill(signal.SIGUSR2)
        assert wait_for(lambda: r.left)
        head, body = exchange(s, get(path="/last"))
        assert status_of(head) == 200 and field(head, "connection") == "close"
        assert r.wait_exit() and r.status == 0


def test_the_end_of_an_idle_connection_is_told():
    with secured() as (r, b), secure(r) as s:
        s.suppress_ragged_eofs = False
        assert exchange(s, get())[1] == b"hello"
        r.kill()
        assert s.recv(10) == b""  # an end without close_notify would raise
        assert r.wait_exit() and r.status == 0


def test_an_idle_tls_connection_costs_little():
    with secured() as (r, b), contextlib.ExitStack() as stack:
        def more(n):
            for _ in range(n):
                s = stack.enter_context(secure(r, timeout=20))
                assert exchange(s, get())[1] == b"hello"
        more(50)  # what the first ones make is kept
        before = rss_kb(r.pid)
        more(400)
        time.sleep(0.2)
        each = (rss_kb(r.pid) - before) / 400
        print("# an idle connection of TLS: %.1f kB" % each, flush=True)
        assert each < 20 or "ROUTER" in os.environ, each  # other builds may be instrumented
