"""A stand-in for berthd and berth-control around one real berth-router, and backends that record.

The descriptors, messages and the table are exactly those of lib/proto.h. Sockets "inside the
instance" are plain host sockets: an instance is a port on loopback, or a unix socket, whose
backend is known by a port that nobody listens on. ROUTER_UNIX=1 makes all backends such.
"""
import array
import errno
import fcntl
import hashlib
import ipaddress
import mmap
import os
import signal
import socket
import struct
import tempfile
import threading
import time

HELLO, ROUTER_SOCKETS, ROUTER_WAKE, ROUTER_LEAVES, TABLE, TABLE_ACK, DRAINED, IDLE, BUSY, WAKE, CERTS, CERTS_ACK = \
    1, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97
HOLD, MAINTENANCE, ASLEEP = 1, 2, 4
HEAD = struct.Struct("<IIiI")
METRICS, STAYS = 98, 99
SLOT = "<QIIIIQQQQ5Q88Q"  # struct metrics_slot
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("ROUTER", os.path.join(ROOT, "build/bin/berth-router"))


UNIX = {}  # the port that a unix backend is known by -> its address
HELD = []  # what keeps those ports from being given to another


def wait_for(what, seconds=20.0):
    """Polls a condition; the value once true, else what it last gave."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.002)


class App:
    """A row of the table: hosts, and instances as (id, port, name) or (id, port, name, release)."""

    def __init__(self, app_id, hosts, instances, flags=0, hold_ms=0, timeout_ms=0, idle_ms=0,
                 idle_after_ms=0, options=None):
        self.id, self.hosts, self.instances = app_id, hosts, instances
        self.flags, self.hold_ms, self.timeout_ms, self.idle_ms = flags, hold_ms, timeout_ms, idle_ms
        self.idle_after_ms = idle_after_ms
        self.options = options  # a dict of Options' fields


OPTIONS = {"body_max", "queue_max", "flags", "maintenance_page", "error_page", "canonical", "rate", "auth", "sticky_key", "canary"}
SALT, ROUNDS = b"0123456789abcdef", 2000


def options_bytes(o, add):
    """A struct table_options; add puts a text into the strings and gives its struct table_text."""
    assert not set(o) - OPTIONS, o
    auth = o.get("auth")
    key = hashlib.pbkdf2_hmac("sha256", auth, SALT, ROUNDS) if auth else b"\0" * 32
    return struct.pack("<QII", o.get("body_max", 0), o.get("queue_max", 0), o.get("flags", 0)) + \
        add(o.get("maintenance_page", b"")) + add(o.get("error_page", b"")) + add(o.get("canonical", b"")) + \
        struct.pack("<IIII", *o.get("rate", (0, 0)), ROUNDS if auth else 0, 0) + SALT + key + \
        struct.pack("<QQII", o.get("sticky_key", 0), *o.get("canary", (0, 0, 0)))


def net_bytes(net):
    """A struct table_net of "10.0.0.0/8"."""
    net = ipaddress.ip_network(net)
    return struct.pack("<16sII", net.network_address.packed, {4: socket.AF_INET, 6: socket.AF_INET6}[net.version], net.prefixlen)


class Table(bytes):
    paths = {}  # instance -> its unix socket


def table_bytes(apps, tls=(), nets=()):
    """tls: hosts that have a certificate."""
    strings, hosts, rows, instances, options = b"", [], b"", b"", b""
    n = n_options = 0

    def add(text):
        nonlocal strings
        at = struct.pack("<II", len(strings), len(text))
        strings += text
        return at

    for index, app in enumerate(apps):
        if app.options is not None:
            options += options_bytes(app.options, add)
            n_options += 1
        rows += struct.pack("<10I", app.id, app.flags, n, len(app.instances), app.hold_ms,
                            app.timeout_ms, app.idle_ms, app.idle_after_ms,
                            n_options if app.options is not None else 0, 0)
        for iid, port, name, *release in app.instances:
            raw = name.encode()
            instances += struct.pack("<QIIII", iid, 0 if port in UNIX else port, len(strings), len(raw), *(release or [1]))
            strings += raw
            n += 1
        for host in app.hosts:
            wild = host.startswith("*.")
            hosts.append(((host[1:] if wild else host).encode(), index,
                          (1 if wild else 0) | (2 if host in tls else 0)))
    hosts.sort()
    packed = b""
    for name, index, flags in hosts:
        packed += struct.pack("<IIII", len(strings), len(name), index, flags)
        strings += name
    trusted = b"".join(net_bytes(net) for net in nets)
    size = 32 + len(packed) + len(rows) + len(instances) + len(options) + len(trusted) + len(strings)
    head = struct.pack("<8I", 0x62727462, size, len(hosts), len(apps), n, len(strings), n_options, len(nets))
    data = Table(head + packed + rows + instances + options + trusted + strings)
    data.paths = {iid: UNIX[port] for app in apps for iid, port, *_ in app.instances if port in UNIX}
    return data


def certs_bytes(certs=(), tickets=(), acme=()):
    """certs: (names, chain, key) with PEM texts; tickets: 80 random bytes each; acme: (token, text)."""
    strings, rows, names, tokens = b"", b"", [], b""

    def put(raw):
        nonlocal strings
        strings += raw
        return struct.pack("<II", len(strings) - len(raw), len(raw))

    for index, (hosts, chain, key) in enumerate(certs):
        rows += put(chain) + put(key)
        names += [((h[1:] if h.startswith("*.") else h).encode(), index, int(h.startswith("*."))) for h in hosts]
    names.sort()
    packed = b"".join(put(name) + struct.pack("<II", index, flags) for name, index, flags in names)
    for token, text in sorted(acme):
        tokens += put(token.encode()) + put(text.encode())
    size = 32 + 80 * len(tickets) + len(rows) + len(packed) + len(tokens) + len(strings)
    head = struct.pack("<IIIIIIII", 0x62726374, size, len(tickets), len(certs), len(names), len(acme), len(strings), 0)
    return head + b"".join(tickets) + rows + packed + tokens + strings


def sealed(data, seal=True):
    fd = os.memfd_create("table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seal:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK |
                    fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd


class Router:
    running = set()  # those that a failed test left behind are ended by the runner

    def __init__(self, listeners=None, program=None, log_reader=True, nofile=0, tls=False, control=None):
        """control: the worker's end of a pair to a real berth-control, the caller's; else it is played here."""
        self.nofile = nofile
        self.log_thread = None
        self.berthd, berthd_child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control, control_child = (None, control) if control else socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log_r, log_w = os.pipe()
        self.log_w = log_w
        self.listener = listeners or socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.tls_listener = socket.create_server(("127.0.0.1", 0), backlog=1024) if tls else None
        self.tls_port = self.tls_listener.getsockname()[1] if tls else 0
        self.certs_version, self.certs_acks = 0, []
        self.children = (berthd_child, control_child)
        self.version = 0
        self.gone = set()       # instances that berthd does not know
        self.mute = False       # berthd that does not answer
        self.asked = []         # (id, n, family)
        self.paths = {}         # instance -> its unix socket
        self.hellos = []        # who got one
        self.wakes = []         # instances that berthd was asked to thaw, as (id, seq)
        self.wake_status = 0    # of the answer; None: no answer
        self.on_wake = None     # called before it
        self.acks, self.drained = [], []
        self.said = []          # (IDLE or BUSY or WAKE, app, when)
        self.logs, self.raw_logs = [], b""
        self.stays = []         # (instance, when): the worker made way, and has requests there
        self.metrics_fds = []   # of what its workers count, one after each HELLO
        self.changed = threading.Condition()
        self.run = tempfile.mkdtemp(prefix="router-test-")
        os.chmod(self.run, 0o755)
        os.mkdir(os.path.join(self.run, "empty"))
        self.errors = open(os.path.join(self.run, "stderr"), "w+b")
        self.program = program or PROGRAM
        self.status = None
        self.pid = self._spawn(self._descriptors())
        Router.running.add(self)
        for target in (self._berthd_loop,) + (() if control else (self._control_loop,)):
            threading.Thread(target=target, daemon=True).start()
        if log_reader:
            self.read_logs()

    def read_logs(self):
        self.log_thread = threading.Thread(target=self._log_loop, daemon=True)
        self.log_thread.start()

    def _descriptors(self):
        own = [self.children[0], self.log_w, self.children[1], self.listener]
        return own + ([self.tls_listener] if self.tls_listener else [])

    def _spawn(self, fds):
        numbers = [f if isinstance(f, int) else f.fileno() for f in fds]
        env = {"BERTH_NFDS": str(len(numbers)), "BERTH_RUN": self.run, "BERTH_STATE": self.run,
               "BERTH_NTLS": "1" if self.tls_listener else "0"}
        for key in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "BERTH_NO_SECCOMP"):
            if key in os.environ:
                env[key] = os.environ[key]
        words = os.environ.get("ROUTER_PREFIX", "").split() + [self.program]
        if self.nofile:
            words = ["prlimit", "--nofile=%d:%d" % (self.nofile, self.nofile)] + words
        if words[0] != self.program:
            env["PATH"] = os.environ["PATH"]
        # the sources stand above the targets, or one dup2 would overwrite the next one's source
        high = [fcntl.fcntl(n, fcntl.F_DUPFD_CLOEXEC, 100) for n in numbers + [self.errors.fileno()]]
        actions = [(os.POSIX_SPAWN_DUP2, n, 3 + at) for at, n in enumerate(high[:-1])]
        actions.append((os.POSIX_SPAWN_DUP2, high[-1], 2))
        try:
            return os.posix_spawnp(words[0], words, env, file_actions=actions)
        finally:
            for n in high:
                os.close(n)

    left = 0  # so often it said that it reads from its pairs no more

    def restart(self):
        """Another worker process on the same pairs and listener."""
        self.pid = self._spawn(self._descriptors())
        self.status = None

    def _berthd_loop(self):
        while True:
            try:
                data = self.berthd.recv(65536)
            except OSError:
                return
            if not data:
                return
            kind, seq, _, _ = HEAD.unpack(data[:16])
            if kind == HELLO:
                self.hellos.append("berthd")
            elif kind == ROUTER_LEAVES:
                self.left += 1
            elif kind == ROUTER_SOCKETS:
                iid, n, family = struct.unpack("<QII", data[16:])
                self.asked.append((iid, n, family))
                if not self.mute:
                    self.answer(seq, iid, n, family)
            elif kind == ROUTER_WAKE:
                iid = struct.unpack("<Q", data[16:])[0]
                if self.on_wake:
                    self.on_wake(iid)
                self.wakes.append((iid, seq))
                if self.wake_status is not None:
                    self.answer_wake(iid, seq, self.wake_status)

    def answer(self, seq, iid, n, family):
        body = struct.pack("<QII", iid, n, family)
        if iid in self.gone:
            self.berthd.send(HEAD.pack(ROUTER_SOCKETS, seq, -errno.ESRCH, len(body)) + body)
            return
        socks, status = [], 0
        for _ in range(n):
            s = socket.socket(family, socket.SOCK_STREAM)
            s.setblocking(False)
            if family != socket.AF_UNIX:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                status = -s.connect_ex(self.paths[iid])
            if status:
                s.close()
                break
            socks.append(s)
        if not socks:
            self.berthd.send(HEAD.pack(ROUTER_SOCKETS, seq, status, len(body)) + body)
            return
        self.berthd.sendmsg([HEAD.pack(ROUTER_SOCKETS, seq, 0, len(body)) + body], [(
            socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno() for s in socks]))])
        for s in socks:
            s.close()

    def answer_wake(self, iid, seq, status=0):
        body = struct.pack("<Q", iid)
        self.berthd.send(HEAD.pack(ROUTER_WAKE, seq, -errno.ESRCH if iid in self.gone else status, len(body)) + body)

    def _control_loop(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.control, 65536, 4)
            except OSError:
                return
            if not data:
                return
            kind, _, status, _ = HEAD.unpack(data[:16])
            with self.changed:
                if kind == HELLO:
                    self.hellos.append("control")
                elif kind == METRICS:
                    self.metrics_fds += fds
                elif kind == TABLE_ACK:
                    self.acks.append((struct.unpack("<Q", data[16:])[0], status))
                elif kind == CERTS_ACK:
                    self.certs_acks.append((struct.unpack("<Q", data[16:])[0], status))
                elif kind == STAYS:
                    self.stays.append((struct.unpack("<Q", data[16:])[0], time.monotonic()))
                elif kind == DRAINED:
                    self.drained.append(struct.unpack("<Q", data[16:])[0])
                elif kind in (IDLE, BUSY, WAKE):
                    self.said.append((kind, struct.unpack("<II", data[16:])[0], time.monotonic()))
                self.changed.notify_all()

    def _log_loop(self):
        raw = b""
        while True:
            try:
                got = os.read(self.log_r, 65536)
            except OSError:
                return
            if not got:
                return
            raw += got
            while len(raw) >= 4:
                magic, size = struct.unpack("<HH", raw[:4])
                assert magic == 0x6c72 and 48 <= size <= 4096, (magic, size)
                if len(raw) < size:
                    break
                app, when = struct.unpack("<IQ", raw[4:16])
                source = raw[16:48].rstrip(b"\0").decode()
                self.logs.append((app, source, raw[48:size].decode(), when))
                raw = raw[size:]

    def hello(self, which):
        sock = self.berthd if which == "berthd" else self.control
        body = struct.pack("<QII", time.time_ns(), os.getpid(), 0)
        sock.send(HEAD.pack(HELLO, 0, 0, len(body)) + body)

    def send_table(self, apps=None, version=None, data=None, seal=True, wait=True):
        """Sends a table; the status of its acknowledgement."""
        self.version = self.version + 1 if version is None else version
        data = table_bytes(apps) if data is None else data
        self.paths.update(getattr(data, "paths", {}))
        fd = sealed(data, seal)
        body = struct.pack("<Q", self.version)
        with self.changed:
            before = len(self.acks)
        self.control.sendmsg([HEAD.pack(TABLE, self.version & 0xffff, 0, len(body)) + body], [(
            socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
        if not wait:
            return None
        with self.changed:
            self.changed.wait_for(lambda: len(self.acks) > before, 20)
            return self.acks[-1][1] if len(self.acks) > before else None

    def send_certs(self, certs=(), tickets=(), acme=(), data=None, seal=True):
        """Sends certificates; the status of their acknowledgement."""
        self.certs_version += 1
        fd = sealed(certs_bytes(certs, tickets, acme) if data is None else data, seal)
        body = struct.pack("<Q", self.certs_version)
        with self.changed:
            before = len(self.certs_acks)
            self.control.sendmsg([HEAD.pack(CERTS, self.certs_version, 0, len(body)) + body], [(
                socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            os.close(fd)
            self.changed.wait_for(lambda: len(self.certs_acks) > before, 20)
            return self.certs_acks[-1][1] if len(self.certs_acks) > before else None

    def connect(self, timeout=20.0, port=None):
        s = socket.create_connection(("127.0.0.1", port or self.port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def log_where(self, *parts, seconds=10.0):
        """The first line that has all the parts, waiting for it."""
        found = wait_for(lambda: [l for l in list(self.logs) if all(p in l[2] for p in parts)], seconds)
        return found[0] if found else None

    def alive(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is None

    def kill(self, signo=signal.SIGTERM):
        os.kill(self.pid, signo)

    def metrics(self):
        """What the newest worker has counted: (app, instance) -> dict."""
        map = mmap.mmap(self.metrics_fds[-1], 0, prot=mmap.PROT_READ)
        magic, used, seq = struct.unpack_from("<IIQ", map, 0)
        assert magic == 0x62726d74 and seq % 2 == 0
        rows = {}
        for at in range(used):
            row = struct.unpack_from(SLOT, map, 16 + at * struct.calcsize(SLOT))
            if row[1]:
                assert (row[1], row[0]) not in rows
                rows[row[1], row[0]] = {"recent": row[3] + row[4], "requests": row[5], "errors": row[6], "bytes": row[7],
                                        "sum_us": row[8], "status": row[9:14], "latency": row[14:]}
        return rows

    def wait_exit(self, seconds=15):
        return wait_for(lambda: not self.alive(), seconds)

    def stderr(self):
        with open(os.path.join(self.run, "stderr"), "rb") as f:
            return f.read().decode(errors="replace")

    def close(self):
        """Ends it; the exit status."""
        Router.running.discard(self)
        if self.alive():
            self.kill()
            if not self.wait_exit():
                self.kill(signal.SIGKILL)
                self.wait_exit()
        status = self.status
        for s in (self.berthd, self.control, self.listener, self.tls_listener) + self.children:
            if s:
                s.close()
        os.close(self.log_w)
        if self.log_thread:
            self.log_thread.join(5)  # its descriptor's number must not be reused under it
        os.close(self.log_r)
        said = self.stderr()
        if status or "ERROR: " in said or "runtime error" in said:
            print("".join("# %s\n" % l for l in said.splitlines()[:60]), end="", flush=True)
            status = status or -1
        for fd in self.metrics_fds:
            os.close(fd)
        self.errors.close()
        os.unlink(os.path.join(self.run, "stderr"))
        os.rmdir(os.path.join(self.run, "empty"))
        os.rmdir(self.run)
        return status


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        return int([line for line in f if line.startswith("VmRSS:")][0].split()[1])


def read_head(conn, rest=b""):
    """Bytes up to the empty line, and what came after; (None, rest) at an early end."""
    while b"\r\n\r\n" not in rest:
        got = conn.recv(65536)
        if not got:
            return None, rest
        rest += got
    head, rest = rest.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def field(head, name):
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.lower().encode():
            return value.strip().decode()
    return None


def read_exact(conn, n, rest=b""):
    parts, have = [rest], len(rest)
    while have < n:
        got = conn.recv(min(1 << 20, n - have + 65536))
        if not got:
            break
        parts.append(got)
        have += len(got)
    data = b"".join(parts)
    return data[:n], data[n:]


def read_chunked(conn, rest=b""):
    """(payload, raw, rest after) of a chunked body; payload None when it ended early."""
    raw, payload = b"", b""

    def need(n):
        nonlocal rest
        while len(rest) < n:
            got = conn.recv(1 << 18)
            if not got:
                return False
            rest += got
        return True

    while True:
        while b"\r\n" not in rest:
            if not need(len(rest) + 1):
                return None, raw, rest
        line, _ = rest.split(b"\r\n", 1)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while b"\r\n\r\n" not in rest:
                if not need(len(rest) + 1):
                    return None, raw, rest
            end = rest.index(b"\r\n\r\n") + 4
            return payload, raw + rest[:end], rest[end:]
        total = len(line) + 2 + size + 2
        if not need(total):
            return None, raw + rest, b""
        payload += rest[len(line) + 2:total - 2]
        raw += rest[:total]
        rest = rest[total:]


def read_body(conn, head, rest=b"", is_head=False):
    """(body, rest) of a response (or request) whose head is given."""
    code = head.split(b" ")[1] if head.startswith(b"HTTP/") else b""
    if is_head or code in (b"204", b"304") or code.startswith(b"1"):
        return b"", rest
    if field(head, "transfer-encoding"):
        payload, _, rest = read_chunked(conn, rest)
        return payload, rest
    length = field(head, "content-length")
    if length is not None:
        return read_exact(conn, int(length), rest)
    if not head.startswith(b"HTTP/"):
        return b"", rest
    while True:
        got = conn.recv(1 << 18)
        if not got:
            return rest, b""
        rest += got


def status_of(head):
    return int(head.split(b" ")[1]) if head else None


def hold_port(host, port):
    """A port that nobody listens on, as long as it is held; None when somebody has it."""
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((host, port))
    except OSError as e:  # without IPv6 nobody listens there either
        if e.errno == errno.EADDRINUSE:
            s.close()
            return None
    return s


class Backend:
    """Listens on loopback; each connection runs handler(backend, conn) in a thread of its own.

    unix: on a unix socket instead, and port is only what the table knows it by."""

    def __init__(self, handler=None, family=socket.AF_INET, port=0, unix="ROUTER_UNIX" in os.environ, backlog=1024):
        self.handler = handler or ok_handler
        self.host, self.held = "::1" if family == socket.AF_INET6 else "127.0.0.1", None
        while not self.held:  # the router asks both families of a port: nobody else has the other
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((self.host, port))
            self.port = self.sock.getsockname()[1]
            self.held = hold_port("127.0.0.1" if family == socket.AF_INET6 else "::1", self.port)
        self.unix = None
        if unix:
            HELD.append(self.sock)
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind("")  # an abstract address of the kernel's choice
            self.unix = UNIX[self.port] = self.sock.getsockname()
        self.sock.listen(backlog)
        self.requests = []      # heads and bodies, as (head, body)
        self.raw = []           # for recording handlers: bytes of each connection
        self.conns, self.connections = set(), 0
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            if not self.unix:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.conns.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            self.handler(self, conn)
        except OSError:
            pass
        finally:
            conn.close()
            self.conns.discard(conn)

    def stop(self):
        """No longer listens, and every connection ends."""
        self.stopped = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.held = self.held, hold_port(self.host, self.port)
        for conn in list(self.conns):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def each_request(backend, conn):
    """Requests of a keep-alive connection, recorded."""
    rest = b""
    while True:
        head, rest = read_head(conn, rest)
        if head is None:
            return
        body, rest = read_body(conn, head, rest)
        backend.requests.append((head, body))
        yield head, body


def ok_handler(backend, conn, body=b"hello"):
    for head, _ in each_request(backend, conn):
        out = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        conn.sendall(out + (b"" if head.startswith(b"HEAD ") else body))


def echo_handler(backend, conn):
    for head, body in each_request(backend, conn):
        path = head.split(b" ")[1]
        if path.startswith(b"/chunked"):
            out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            conn.sendall(out)
            for at in range(0, len(body), 50000):
                piece = body[at:at + 50000]
                conn.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            conn.sendall(b"0\r\n\r\n")
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def record_handler(backend, conn):
    """Keeps every byte, and answers when a head is complete."""
    got = b""
    at = len(backend.raw)
    backend.raw.append(b"")
    while True:
        data = conn.recv(65536)
        if not data:
            return
        got += data
        backend.raw[at] += data
        if got.endswith(b"\r\n\r\n"):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            got = b""


def ask(router, request, is_head=False, timeout=20.0):
    """One request on a new connection: (status, head, body)."""
    with router.connect(timeout) as s:
        s.sendall(request)
        head, rest = read_head(s)
        if head is None:
            return None, b"", rest
        body, _ = read_body(s, head, rest, is_head)
        return status_of(head), head, body


def get(host="a.example", path="/", extra=""):
    return ("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, host, extra)).encode()
