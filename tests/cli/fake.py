#!/usr/bin/python3
"""A stand-in for berth-control: answers what the tests of berth, berth-shell and berth-hook need.

fake.py SOCKET LOG   Every request becomes one JSON line in LOG: {"key", "method", "path", "body"}.
"""
import array, fcntl, json, os, pty, signal, socket, struct, subprocess, sys, termios, threading, time

SOCKET, LOG = sys.argv[1:3]
LOCK = threading.Lock()
MANY = ["n%d.example" % n for n in range(40)]
CONFIG = {"A": "1", "B": "two words", "C": {"base64": "/w=="}, "N": "l1\nl2"}


def log(entry):
    with LOCK, open(LOG, "a") as f:
        f.write(json.dumps(entry) + "\n")


class Gone(Exception):
    pass


class Conn:
    def __init__(self, sock):
        self.s, self.buf, self.key = sock, b"", None

    def more(self):
        part = self.s.recv(65536)
        if not part:
            raise Gone
        self.buf += part

    def line(self):
        while b"\n" not in self.buf:
            self.more()
        l, self.buf = self.buf.split(b"\n", 1)
        return l.rstrip(b"\r").decode()

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        d, self.buf = self.buf[:n], self.buf[n:]
        return d

    def head(self, status, kind, extra=""):
        self.s.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{extra}\r\n".encode())

    def json(self, value, status=200):
        d = json.dumps(value).encode()
        self.head(status, "application/json", f"Content-Length: {len(d)}\r\n")
        self.s.sendall(d)

    def fail(self, status, code, message, hint="", exit=1):
        self.json({"error": {"code": code, "message": message, "hint": hint, "exit": exit}}, status)

    def stream(self, lines, kind="text/x-berth-stream", cut=False):
        self.head(200, kind, "Transfer-Encoding: chunked\r\n")
        for l in lines:
            d = l.encode() + b"\n"
            # two chunks a line: readers must not take a chunk for a line
            self.s.sendall(b"1\r\n" + d[:1] + b"\r\n")
            if d[1:]:
                self.s.sendall(b"%x\r\n" % len(d[1:]) + d[1:] + b"\r\n")
        if cut:
            raise Gone
        self.s.sendall(b"0\r\n\r\n")


def slow(conn):
    """Lines for a minute; what happens when the asker goes is logged."""
    try:
        yield "o -----> Waiting"
        for _ in range(600):
            time.sleep(0.05)
            conn.s.settimeout(0.001)
            try:
                if conn.s.recv(1, socket.MSG_PEEK) == b"":
                    raise Gone
            except (TimeoutError, socket.timeout):
                pass
            conn.s.settimeout(None)
        yield "x 0"
    except (Gone, OSError):
        log({"cancelled": True})
        raise Gone


def update(conn, app, b):
    ref = b["ref"]
    if app == "refused":
        return conn.stream(["o -----> Building", "o  !     it does not build", "x 1"])
    if app == "cut":
        return conn.stream(["o -----> Building"], cut=True)
    if app == "slow":
        return conn.stream(slow(conn))
    if app == "long":
        def steps():
            for i in range(4):
                time.sleep(0.4)
                yield f"p        working {i}"
            yield "o -----> Done"
            yield "x 0"
        return conn.stream(steps())
    if app == "busy":
        return conn.fail(409, "moved", "main moved to abc1234; fetch and push again")
    if ref.startswith("refs/tags/"):
        return conn.stream(["o        tags do not deploy", "x 0"])
    lines = ["o -----> Building \u00e9", "p        1 s", "o        " + "x" * 3000]
    if b["new"] != "0" * 40 and (app != "race" or ref.endswith("b1")):
        lines += [f"r refs/berth/releases/1 {b['new']}"]
    return conn.stream(lines + ["o -----> Released v1", "d {\"version\":1}", "x 0"])


def run(conn, b):
    if b["command"][0] == "missing":
        return conn.fail(500, "start-failed", "cannot start 'missing': no such file", exit=125)
    if b.get("detach"):
        return conn.json({"name": "run.7"})
    conn.s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: berth-run\r\nConnection: Upgrade\r\n\r\n")
    env = dict(os.environ, TERM=b.get("term") or "dumb", **b.get("env", {}))
    if b["tty"]:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", b["rows"], b["cols"], 0, 0))
        setup = lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        p = subprocess.Popen(b["command"], stdin=slave, stdout=slave, stderr=slave, preexec_fn=setup, env=env)
        os.close(slave)
        fds = [master]
    else:
        p = subprocess.Popen(b["command"], stdin=-1, stdout=-1, stderr=-1, start_new_session=True, env=env)
        fds = [p.stdin.fileno(), p.stdout.fileno(), p.stderr.fileno()]
    conn.s.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    if b["tty"]:
        os.close(master)
    else:
        for f in (p.stdin, p.stdout, p.stderr):
            f.close()
    threading.Thread(target=signals, args=(conn, p), daemon=True).start()
    code = p.wait()
    if os.environ.get("FAKE_NO_EXIT"):
        raise Gone
    conn.s.sendall(b"X" + bytes([code if code >= 0 else 128 - code]))
    raise Gone


def signals(conn, p):
    try:
        while True:
            d = conn.take(2)
            log({"signal": d[1]})
            if d[:1] == b"S":
                p.send_signal(d[1])
    except (Gone, OSError):
        log({"closed": True})
        if p.poll() is None:
            p.kill()


APPS = [{"name": "blog", "release": 3, "state": "running", "url": "http://blog.localhost", "instances": 2},
        {"name": "a-long-name", "release": None, "state": "new", "url": "http://a-long-name.localhost", "instances": 0}]
RELEASES = [{"version": 2, "status": "live", "created": "2026-01-02T03:04:05Z", "description": "Deploy abc1234",
             "commit": "abc1234" + "0" * 33, "current": True, "by": "key:1"},
            {"version": 3, "status": "canary", "percent": 10, "created": "2026-01-01T03:04:05Z", "description": "Deploy 2222222",
             "commit": "2" * 40, "current": False, "by": "root"},
            {"version": 1, "status": "failed", "created": "2026-01-01T03:04:05Z", "description": "Deploy 1111111",
             "commit": "1" * 40, "current": False, "by": "root"}]
PS = {"processes": [{"type": "web", "command": "npm start", "quantity": 2}, {"type": "worker", "command": "w", "quantity": 0}],
      "instances": [{"name": "web.1", "type": "web", "state": "up", "release": 2, "since": "2026-01-02T03:04:05Z",
                     "restarts": 0, "reason": "", "memory_bytes": 1048576}]}


def app_route(conn, method, app, rest, query, b):
    if app == "nope":
        return conn.fail(404, "no-such-app", "there is no app 'nope'", "berth apps:list shows them", 20)
    get = method == "GET"
    if rest == "" and method == "DELETE":
        return conn.stream(["o -----> Destroyed " + app, "x 0"])
    if rest == "config" and get:
        return conn.json(CONFIG)
    if rest == "state" and get:
        return conn.json({"config": {"WORKER_THREADS": "1", "worker/THREADS": "2", "worker/X": "3"}})
    if rest == "ps" and get:
        return conn.json(PS)
    if rest == "releases" and get:
        return conn.json(RELEASES)
    if rest == "canary" and get:
        return conn.json({"release": 3, "percent": 10, "instances": 1})
    if rest == "domains" and get:
        return conn.json({"domains": ["www.example.com"], "global": ["example.com"]})
    if rest == "domains":
        return conn.json({"domains": ["x"], "global": []})
    if rest == "logs":
        return conn.stream(slow(conn) if app == "quiet" else [f"line {i}" for i in range(3)], "text/plain")
    if rest == "builds/1":
        return conn.json({"id": 1, "commit": "c" * 40, "status": "ok", "created": "2026-01-01T03:04:05Z", "seconds": 1.5,
                          "output": "-----> built\n"})
    if rest.startswith("settings/") and get:
        return conn.json({"deploy-branch": {"app": "main", "global": None, "computed": "main"},
                          "overlap": {"app": None, "global": None, "computed": True}})
    if rest == "resources" and get:
        limit = lambda own, computed, **more: {"type": own, "app": None, "default": 65536, "computed": computed, **more}
        return conn.json({"web": {"memory": limit(268435456, 268435456), "cpu": limit(50, 50), "io_read": limit(None, None),
                                  "nofile": limit(None, 4096, note="65536 wanted, 4096 allowed by this host")}})
    if rest == "webhooks" and get:
        return conn.json([{"id": "w1", "url": "http://x/\033[1m", "events": ["deploy"], "app": app}])
    if rest in ("run", "enter"):
        return run(conn, b)
    if rest == "certs" or rest.startswith("certs/"):
        cert = {"state": "valid", "names": ["a.example"], "issuer": "CA", "expires": "2026-01-02T03:04:05Z", "serves": []}
        if rest == "certs":
            return conn.json({"enabled": True, "without": [], "certificates": {"default": cert, "x": cert},
                              "warnings": ["expires soon"]})
        return conn.json({**cert, "chain": "-----BEGIN CERTIFICATE-----\nx\n"} if get else {})
    if rest == "tls" or rest == "tls/disable":
        return conn.json({"enabled": True, "state": "valid", "names": MANY, "last_error": None})
    if rest in ("lock", "unlock", "drains", "webhooks") or rest.startswith("settings/"):
        return conn.json({})
    if app == "broken":
        return conn.stream(["o -----> Trying", "o  !     it failed", "x 1"])
    if app == "cut":
        return conn.stream(["o -----> Trying"], cut=True)
    if rest == "" and get:
        return conn.json({"name": app, "id": 1, "release": 2, "url": "http://x", "domains": ["a", "b"], "locked": False,
                          "processes": {"web": 1}})
    return conn.stream(["p working", "o -----> Released v3", "d {\"version\":3}", "x 0"])


def route(conn, method, path, query, b):
    p = path.split("/")[2:]
    if p[0] == "git":
        if p[1] == "denied":
            return conn.fail(403, "denied", "key 'x' may not push to denied", "ask its owner")
        return conn.json({"created": True}) if p[2] == "access" else update(conn, p[1], b)
    if p[0] == "apps" and len(p) == 1:
        return conn.json(APPS) if method == "GET" else conn.json({"name": b["name"], "url": "u", "git": "g"}, 201)
    if p[0] == "apps" and p[-1] != "diff":
        return app_route(conn, method, p[1], "/".join(p[2:]), query, b)
    if p[0] == "events":  # at once: a reader that is gone finds all of it in berth's buffer
        body = b"".join(b'f\r\n{"what":"push"}\r\n1\r\n\n\r\n' for _ in range(3)) + b"0\r\n\r\n"
        return conn.s.sendall(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    if p[0] == "top":
        return conn.json([{"app": "blog", "per_second": 0.27, "p50_ms": 1.28, "p99_ms": 35, "requests": 12, "status_4xx": 1,
                           "status_5xx": 0, "bytes": 2048}])
    if p[0] == "version":
        return conn.json({"version": "0.1"})
    if p[0] == "certs":
        return conn.json([{"app": "blog", "name": "default", "state": "valid", "expires": None, "names": MANY}])
    if p[0] == "ssh-keys" and method == "GET":
        return conn.json([{"name": "k", "fingerprint": "SHA256:x", "type": "ssh-ed25519", "id": 1}])
    if p[0] == "stacks" and method == "POST":
        return conn.stream(["p 10%", "o done", "x 0"])
    if p[-1] == "diff":
        return conn.json({"files": {"added": [{"path": "new", "size": 1}, {"path": "\033[2Jx\n  ~ y", "size": 1}], "removed": [],
                                    "changed": [], "counts": {"added": 1, "removed": 0, "changed": 0}},
                          "packages": {"added": [{"name": "p\033c", "version": "1\a"}], "removed": [], "changed": []},
                          "processes": {"added": [], "removed": [], "changed": [{"name": "web", "from": "a", "to": "b"},
                                                                                {"name": "w", "from": "a\033]0;t\a", "to": "\u009b1m"}]}})
    if p[0] == "volumes" and p[-1] == "export":
        return run(conn, {"command": ["echo", "x"], "tty": False})
    if p in (["images", "export"], ["images", "import"]):
        return conn.fail(404, "missing", "no image")
    if p[0] == "images":
        row = {"id": 4, "name": "blog:v2", "use": "live", "made_by": "build step", "layers": 3, "size": 2048,
               "digest": "sha256:" + "a" * 64, "created": None}
        if method == "GET":
            return conn.json({"name": "blog:v2", "layers": [row]} if p[1:] == ["history"] else [row])
        return conn.json({"name": "b:latest", "count": 1, "bytes": 2048, "layers": [row], "dry_run": True})
    return conn.json([] if method == "GET" else {})


def serve(sock):
    conn = Conn(sock)
    try:
        while True:
            first = conn.line()
            if first.startswith("KEY ") and conn.key is None:
                conn.key = first[4:]
                continue
            method, target, _ = first.split(" ")
            size = 0
            while (h := conn.line()):
                name, value = h.split(":", 1)
                if name.lower() == "content-length":
                    size = int(value)
            body = json.loads(conn.take(size)) if size else None
            log({"key": conn.key, "method": method, "path": target, "body": body})
            path, _, query = target.partition("?")
            route(conn, method, path, query, body)
    except (Gone, OSError):
        pass
    finally:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()


signal.signal(signal.SIGPIPE, signal.SIG_IGN)
listener = socket.socket(socket.AF_UNIX)
listener.bind(SOCKET)
listener.listen(16)
while True:
    s, _ = listener.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
