"""A private berth as Python drives it: commands, requests, its processes, and what it has made on the host.

The berth is the one that tests/lib/berth.bash has started: its variables are in the environment.
"""
import collections
import glob
import http.client
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time

ENV = os.environ
COMMAND_S = 90  # no command of a test takes longer; one that does is a finding


class Bad(Exception):
    """What must not be: the sentence that says it."""


def wait_for(seconds, look, what):
    """Polls until look() is true and returns that; raises Bad with what (text, or a function that says it)."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Bad("not within %g s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.05)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def run(*words, cwd=None, seconds=COMMAND_S, stdin=subprocess.DEVNULL, env=None):
    """(status, output); status 124 when the time was over."""
    child = subprocess.Popen(words, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True, env=env)
    try:
        out = child.communicate(timeout=seconds)[0]
        return child.returncode, out.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out = child.communicate()[0]
        return 124, out.decode("utf-8", "replace") + "(ended after %d s)" % seconds


def must(*words, **more):
    status, out = run(*words, **more)
    if status != 0:
        raise Bad("%s: status %d: %s" % (" ".join(words), status, out))
    return out


class Berth:
    def __init__(self):
        self.state, self.run = ENV["BERTH_STATE"], ENV["BERTH_RUN"]
        self.prefix, self.id = ENV["BERTH_PREFIX"], ENV["BERTH_ID"]
        self.port = int(ENV["BERTH_PORT"])
        self.ssh_uid = int(must("id", "-u", ENV["BERTH_SSH_USER"]))
        self.cgroup = re.compile(r"/berth-%s/([0-9a-f]{16})" % self.id)

    # ---- commands and requests ----

    def berth(self, *words, **more):
        return run(self.prefix + "/bin/berth", *words, **more)

    def must(self, *words, **more):
        return must(self.prefix + "/bin/berth", *words, **more)

    def answers(self):
        return self.berth("status", seconds=2)[0] == 0

    def start(self):
        return must("bash", "-c", '. "$BERTH_SOURCE/tests/lib/berth.bash" && berthd_start')

    def get(self, app, path="/", method="GET", seconds=20):
        """(status, body) of a request; (0, reason) when there is no answer."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            c.request(method, path, headers={"Host": app + ".localhost"})
            r = c.getresponse()
            return r.status, r.read().decode()
        except (OSError, http.client.HTTPException) as e:
            return 0, repr(e)
        finally:
            c.close()

    def rows(self, sql, *values):
        db = sqlite3.connect("file:%s/control/berth.db?mode=ro" % self.state, uri=True, timeout=10)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    # ---- processes ----

    def programs(self):
        """{name: [pid]} of berth's own programs: "monitor", "worker", "berth-control", …; "ready" waits for a start."""
        found = collections.defaultdict(list)
        mine = ("BERTH_RUN=" + self.run).encode()
        monitor = read(self.run + "/berthd.pid").decode().strip()
        for exe in glob.glob("/proc/[0-9]*/exe"):
            pid = exe.split("/")[2]
            try:
                name = os.readlink(exe).replace(" (deleted)", "")
            except OSError:
                continue
            if not name.startswith(self.prefix + "/lib/berth/"):
                continue
            name = os.path.basename(name)
            if read("/proc/%s/comm" % pid).strip() == b"berth-ready":
                name = "ready"
            elif name in ("berth-shell", "berth-hook") or mine not in read("/proc/%s/environ" % pid).split(b"\0"):
                continue
            elif name == "berthd":
                name = "monitor" if pid == monitor else "worker"
            found[name].append(int(pid))
        return found

    def sandboxes(self):
        """{sandbox's id: [(pid, name)]}: what runs in berth's control groups."""
        found = collections.defaultdict(list)
        for path in glob.glob("/proc/[0-9]*/cgroup"):
            hit = self.cgroup.search(read(path).decode())
            if hit:
                pid = path.split("/")[2]
                found[int(hit.group(1), 16)].append((int(pid), read("/proc/%s/comm" % pid).decode().strip()))
        return found

    def ssh_pids(self):
        """Processes of the ssh user: sshd's session, berth-shell, git, berth-hook."""
        found = []
        for path in glob.glob("/proc/[0-9]*"):
            try:
                if os.stat(path).st_uid == self.ssh_uid:
                    found.append(int(path[6:]))
            except OSError:
                continue
        return found

    # ---- what it has made on the host ----

    def _plain(self, text):
        """The same text for things that differ in their numbers only."""
        text = text.replace(self.state, "STATE").replace(self.run, "RUN").replace(self.id, "BERTH")
        return re.sub(r"\b[0-9a-f]{16}\b|(?<=[/:.-])[0-9a-f]{4}\b|\d+", "N", text)

    def _mounts(self):
        """Of berth's below its folders, in whichever mount namespace that a process of it has there are most of a kind."""
        seen, most = {}, collections.Counter()
        # This process first: one in a chroot, as a router is, sees no mounts outside of it.
        for pids in [[os.getpid()]] + list(self.programs().values()):
            for pid in pids:
                try:
                    seen.setdefault(os.readlink("/proc/%d/ns/mnt" % pid), pid)
                except OSError:
                    continue
        for pid in seen.values():
            points = [line.split(" ")[4] for line in read("/proc/%d/mountinfo" % pid).decode().splitlines()]
            most |= collections.Counter(self._plain(p) for p in points if p.startswith((self.state + "/", self.run + "/")))
        return most.elements()

    def _nft(self):
        out = run("nft", "-n", "list", "table", "inet", "berth_" + self.id)[1]
        for line in re.sub(r",\s+", ",\n", out).splitlines():
            yield self._plain(line.strip())

    def _processes(self):
        for name, pids in self.programs().items():
            if name != "ready":  # come and go
                yield from [name] * len(pids)
        names = dict(self.rows("SELECT id, kind FROM instance"))
        for number, inside in self.sandboxes().items():
            if any(name != "berth-ready" for _, name in inside):
                yield "sandbox of %s" % names.get(number, "nothing in the database")
        yield from ["process of ssh"] * len(self.ssh_pids())

    def _files(self):
        for top in ("scratch", "trash", "volumes", "snapshots"):
            for path in glob.glob("%s/%s/*" % (self.state, top)):
                yield self._plain(path)
        for path in glob.glob(self.run + "/*") + glob.glob(self.run + "/fifo/*") + glob.glob(self.run + "/instances/*"):
            yield self._plain(path)
        for root, dirs, files in os.walk(self.state):
            if root == self.state:
                dirs[:] = [d for d in dirs if d not in ("layers", "volumes", "cache", "scratch", "trash")]
            for name in dirs + files:
                if re.search(r"\.new$|\.tmp$|\.lock$|^tmp_|incoming", name):
                    yield self._plain(os.path.join(root, name))

    def leftovers(self):
        """Counter of what berth has made on this host, numbers left out: to compare with a later look."""
        look = collections.Counter()
        for kind, list_of in (("mount", self._mounts()), ("nft", self._nft()), ("process", self._processes()),
                              ("file", self._files())):
            for one in list_of:
                look[kind + " " + one] += 1
        for line in run("losetup", "-a")[1].splitlines():
            if self.state in line:
                look["loop device " + self._plain(line.split("(", 1)[1])] += 1
        for path in glob.glob("/sys/fs/cgroup/**/*berth*%s*/**/" % self.id, recursive=True):
            look["cgroup " + self._plain(path)] += 1
        for line in run("ip", "-o", "link")[1].splitlines():
            if " b" + self.id in line:
                look["interface"] += 1
        return look


class Steady:
    """An app that must go on serving: requests without pause, every answer counted."""

    def __init__(self, b, app, method="GET", path="/", pause=0.02):
        self.good, self.failed, self.last = 0, [], ""
        self._stop = threading.Event()
        self._args = (b, app, method, path, pause)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        b, app, method, path, pause = self._args
        while not self._stop.wait(pause):
            status, body = b.get(app, path, method)
            if status == 200:
                self.good += 1
            else:
                self.failed.append("%d %s" % (status, body[:200]))

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self
