"""The real berth-control before a real router: a state folder with many apps, and a stand-in for berthd that says they all run."""
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import struct
import tempfile
import threading

from router_peers import LOAD_CPU, PROXY_CPU, ROOT, harness

HELLO, LIST, LAYER_LIST, HOST = 1, 17, 20, 31
SECRET_SIZE = 32  # the database's key, behind the numbered descriptors
BOTH = "%d,%d" % (LOAD_CPU, PROXY_CPU)  # it and two workers: together they make a route
BODIES = {LAYER_LIST: 16 + 8 * 1024, HOST: 24 + 128 + 256 + 128}  # bytes of answers that are more than a status


def fill(path, site):
    """Each app has a release that is live, a running instance and its hostnames; all listen on the backend's port."""
    db = sqlite3.connect(path, isolation_level=None)
    apps = range(1, site.n_apps + 1)
    db.execute("BEGIN")
    db.executemany("INSERT INTO app(id, name, created_us, live_version, last_version) VALUES(?, ?, 1, 1, 1)",
                   ((a, "app%d" % a) for a in apps))
    db.executemany("INSERT INTO image(id, app, layers, processes, env, pack, commit_id, created_us)"
                   " VALUES(?, ?, '[]', '{\"web\": \"true\"}', '{}', 'static', '0', 1)", ((a, a) for a in apps))
    db.executemany("INSERT INTO release(app, version, image, config, status, description, actor, created_us)"
                   " VALUES(?, 1, ?, '{}', 'live', '', '', 1)", ((a, a) for a in apps))
    db.executemany("INSERT INTO instance(id, app, kind, type, number, version, state, started_us)"
                   " VALUES(?, ?, 'app', 'web', 1, 1, 'running', 1)", ((a, a) for a in apps))
    db.executemany("INSERT INTO domain(name, app) VALUES(?, ?)", ((h, a) for a in apps for h in site.hosts_of(a - 1)))
    db.execute("INSERT INTO setting(app, topic, key, value) VALUES(0, 'ports', 'web', ?)", (str(site.backend_port),))
    db.execute("COMMIT")
    db.close()


class Control:
    """berth-control with its API; routers get the other ends of pairs."""

    def __init__(self, site, workers=1):
        self.site = site
        self.folder = tempfile.mkdtemp(prefix="berth-bench-control-")
        os.chmod(self.folder, 0o755)
        os.mkdir(os.path.join(self.folder, "control"))
        self.berthd, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(workers)]
        self.ends = [p[1] for p in pairs]
        self.api = os.path.join(self.folder, "api.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.api)
        listener.listen(16)
        log = os.open(os.devnull, os.O_WRONLY)
        self.errors = open(os.path.join(self.folder, "stderr"), "w+b")
        threading.Thread(target=self.serve, daemon=True).start()
        key = os.memfd_create("key")
        os.write(key, os.urandom(SECRET_SIZE))
        numbers = [child.fileno(), log, listener.fileno()]
        self.pid = self.spawn(numbers, key)  # makes the database
        made = harness.wait_for(self.answers, 30)
        os.kill(self.pid, signal.SIGTERM)
        if os.waitpid(self.pid, 0)[1] or not made:
            raise RuntimeError("berth-control makes no database")
        fill(os.path.join(self.folder, "control/berth.db"), site)
        self.pid = self.spawn(numbers + [p[0].fileno() for p in pairs], key)
        for s in [child, listener] + [p[0] for p in pairs]:
            s.close()
        os.close(log)
        os.close(key)

    def spawn(self, numbers, key):
        env = dict(os.environ, BERTH_NFDS=str(len(numbers)), BERTH_SECRET_FD=str(3 + len(numbers)), BERTH_STATE=self.folder, BERTH_RUN=self.folder, BERTH_HTTP="127.0.0.1:80",
                   BERTH_HTTPS="", BERTH_NTLS="0")
        high = [os.dup2(n, 200 + at, inheritable=False) for at, n in enumerate(numbers + [key])]
        actions = [(os.POSIX_SPAWN_DUP2, n, 3 + at) for at, n in enumerate(high)]
        actions.append((os.POSIX_SPAWN_DUP2, self.errors.fileno(), 2))
        program = os.environ.get("CONTROL", os.path.join(ROOT, "build/bin/berth-control"))
        try:
            return os.posix_spawnp("nice", ["nice", "-n", "-20", "taskset", "-c", BOTH, program], env, file_actions=actions)
        finally:
            for n in high:
                os.close(n)

    def serve(self):
        """What berthd says: all instances run, everything else is done."""
        while True:
            try:
                data = self.berthd.recv(65536)
            except OSError:
                return
            if not data:
                return
            kind, seq, _, _ = harness.HEAD.unpack(data[:16])
            if kind == HELLO:
                continue
            body = self.listed(data[16:]) if kind == LIST else bytes(BODIES.get(kind, 0))
            self.berthd.send(harness.HEAD.pack(kind, seq, 0, len(body)) + body)

    def listed(self, ask):
        after = struct.unpack("<Q", ask)[0] if ask else 0
        rows = range(after + 1, min(after + 512, self.site.n_apps) + 1)
        more = bool(rows) and rows[-1] < self.site.n_apps
        body = struct.pack("<II", len(rows), more) + b"".join(struct.pack("<QII", a, a, 1) for a in rows)
        return body.ljust(8 + 512 * 16, b"\0")

    def request(self, method, path, body=None):
        """The API's answer, decoded."""
        c = http.client.HTTPConnection("localhost")
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(self.api)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            answer = c.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError("%s %s: %d %r" % (method, path, answer.status, text))
            return json.loads(text)
        finally:
            c.close()

    def answers(self):
        try:
            return self.request("GET", "/v1/version")
        except (OSError, RuntimeError):
            return None

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        status = os.waitpid(self.pid, 0)[1]
        for s in [self.berthd] + self.ends:
            s.close()
        if status:
            self.errors.seek(0)
            print(self.errors.read().decode(errors="replace"))
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)
