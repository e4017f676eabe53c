"""What goes on with a berth while something is done to it: apps that record, log and are changed, and what must then be true."""
import json
import math
import os
import random
import re
import shutil
import threading
import time

from live import Bad, ENV, must, run, wait_for

APPS = ["crash-rec", "crash-push", "crash-vol", "crash-flood"]


class Actor:
    """Does one thing after the other until it is paused; remembers what it was told is done.

    check(at) holds what is there against that. at: None for everything so far, all of it ended; else from when to when the
    power went, where what was done before is there, and what was begun before may be.
    """
    name = ""

    def __init__(self, b, seed):
        self.b, self.random = b, random.Random("%s %s" % (seed, self.name))
        self.done = self.undone = 0
        self.bad = None
        self.log, self.tries = [], []
        self._go, self._idle, self._end = threading.Event(), threading.Event(), False
        self.prepare()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end:
            if not self._go.is_set():
                self._idle.set()
                self._go.wait()
                self._idle.clear()
                continue
            try:
                self.step()
            except Exception as e:  # said by the main thread
                self.bad = e
                self._go.clear()

    def go(self):
        self._go.set()

    def pause(self):
        self._go.clear()

    def paused(self):
        if not self._idle.wait(240):
            raise Bad("%s: a command does not end" % self.name)
        if self.bad:
            raise self.bad

    def end(self):
        self._end = True
        self._go.set()
        self._thread.join()

    def say(self, status, out):
        """Counts a command; True when it was done."""
        if status == 0:
            self.done += 1
        else:
            self.undone += 1
            self.log.append(out.strip())
            if status == 124:
                raise Bad("%s: no end: %s" % (self.name, out))
        return status == 0

    def tried(self, value, began, result):
        """One try to get to a value, from begin to now."""
        self.tries.append((value, began, time.monotonic(), self.say(*result)))

    def may(self, at):
        """The values that are right."""
        first, last = at or (math.inf, math.inf)
        found = set()
        for value, began, ended, well in self.tries:
            if well and ended < first:
                found = {value}
            elif began < last:
                found.add(value)
        return found

    def is_now(self, value):
        """From here on that is what was there."""
        self.tries = [(value, 0, 0, True)]

    def prepare(self):
        pass

    def step(self):
        raise NotImplementedError

    def check(self, at=None):
        pass


def repository(name, source):
    """A checkout of an app of tests/e2e/apps, to push as NAME."""
    work = os.path.join(ENV["WORK"], name)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree("%s/tests/e2e/apps/%s" % (ENV["BERTH_SOURCE"], source), work)
    must("git", "init", "-q", cwd=work)
    must("git", "remote", "add", "berth", "berth:" + name, cwd=work)
    commit(work, "first")
    return work


def commit(work, page):
    with open(work + "/page.txt", "w") as f:
        f.write(page + "\n")
    must("git", "add", "-A", cwd=work)
    must("git", "commit", "-qm", page, cwd=work)


class Pushes(Actor):
    """One app pushed again and again: what it serves is what the last accepted push has, or a later one's."""
    name, app = "pushes", "crash-push"

    def prepare(self):
        self.work = repository(self.app, "probe")
        self.n = 0
        self.is_now("first")
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)

    def step(self):
        self.push()
        time.sleep(self.random.random() * 0.5)

    def next(self):
        """One more, which nothing disturbs: what killed ones left is in nobody's way, and goes with it."""
        self.push()
        if not self.tries[-1][3]:
            raise Bad("a push afterwards: " + self.log[-1])
        if self.branch() != "push %d" % self.n:
            raise Bad("the branch is at \"%s\" after a push of \"push %d\"" % (self.branch(), self.n))

    def branch(self):
        head = must("git", "ls-remote", "berth", "refs/heads/main", cwd=self.work).split()[0]
        return must("git", "log", "-1", "--format=%s", head, cwd=self.work).strip()

    def push(self):
        self.n += 1
        page = "push %d" % self.n
        commit(self.work, page)
        self.tried(page, time.monotonic(), run("git", "push", "berth", "HEAD:main", cwd=self.work))

    def check(self, at=None):
        page = wait_for(20, lambda: self.b.get(self.app)[1].strip(), "a page of " + self.app)
        if page not in self.may(at):
            raise Bad("%s serves \"%s\"; it must be one of %s" % (self.app, page, sorted(self.may(at))))
        # Also when git was killed between the switch and its own writing of the branch.
        if self.branch() != page:
            raise Bad("%s serves \"%s\", and its branch is at \"%s\"" % (self.app, page, self.branch()))
        if not at:
            self.is_now(page)
            self.next()
        for version, status in self.b.rows("SELECT version, status FROM release r JOIN app a ON a.id=r.app WHERE a.name=?", self.app):
            if status in ("pending", "building", "starting"):
                raise Bad("%s: v%d is %s for ever" % (self.app, version, status))


class Changes(Actor):
    """Config of the recorder, which it gets by a new instance."""
    name, app = "config changes", "crash-rec"

    def prepare(self):
        self.n = 0
        self.is_now(None)

    def step(self):
        self.n += 1
        value = str(self.n)
        self.tried(value, time.monotonic(), self.b.berth("config:set", self.app, "NUMBER=" + value))
        time.sleep(self.random.random() * 2)

    def check(self, at=None):
        told = self.b.berth("config:get", self.app, "NUMBER")
        stored = told[1].strip() if told[0] == 0 else None

        def env():
            hit = re.search(r"^NUMBER=(\d+)$", self.b.get(self.app, "/env")[1], re.M)
            return hit and hit.group(1) == stored or stored is None
        if stored not in self.may(at):
            raise Bad("%s has NUMBER=%s; it must be one of %s" % (self.app, stored, self.may(at)))
        wait_for(20, env, lambda: "%s runs with NUMBER=%s: %s" % (self.app, stored, self.b.get(self.app, "/env")))
        if not at:
            self.is_now(stored)


class Volumes(Actor):
    """Volumes made, mounted, written, taken off and removed, of every kind there is."""
    name, app = "volume commands", "crash-vol"

    def prepare(self):
        self.work = repository(self.app, "probe")
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)
        self.n, self.made = 0, {}
        self.sized = "--size" in self.b.berth("volumes:create", "--help")[1]
        self.snapshots = self.b.berth("volumes:snapshot", "--help")[0] == 0

    def step(self):
        self.n += 1
        name, path = "crash-v%d" % self.n, "/data/%d" % self.n
        size = ["--size", "16M"] if self.sized and self.n % 2 else []
        if not self.say(*self.b.berth("volumes:create", name, *size)):
            return
        if self.say(*self.b.berth("volumes:mount", self.app, name + ":" + path)):
            self.b.get(self.app)  # held until it is up
            if self.snapshots:
                self.say(*self.b.berth("volumes:snapshot", name))
        self.away(name)

    def on_disk(self):
        """The ids of those that are folders or images."""
        return {n[:16] for n in os.listdir(self.b.state + "/volumes") if re.fullmatch(r"[0-9a-f]{16}(\.img)?", n)}

    def away(self, name):
        if name in self.b.berth("volumes:list", "--app", self.app)[1].split():
            if not self.say(*self.b.berth("volumes:unmount", self.app, name)):
                return
        self.say(*self.b.berth("volumes:destroy", name, "--force"))

    def check(self, at=None):
        mine = [n for n, in self.b.rows("SELECT name FROM volume WHERE name LIKE 'crash-v%'")]
        lost = self.b.rows("SELECT name, id FROM volume WHERE whole")
        lost = [name for name, number in lost if not self.on_disk() & {"%016x" % number}]
        if lost:
            raise Bad("volumes that are listed and not there: %s" % lost)
        for name in mine:
            if self.b.rows("SELECT 1 FROM volume_mount m JOIN volume v ON v.id=m.volume WHERE v.name=?", name):
                self.b.must("volumes:unmount", self.app, name)
            self.b.must("volumes:destroy", name, "--force")
        there = {"%016x" % n for n, in self.b.rows("SELECT id FROM volume")}
        if not self.on_disk() <= there:
            raise Bad("volumes that no row names: %s" % (self.on_disk() - there))


class Records(Actor):
    """Records asked for by requests: an answer is a promise."""
    name, app = "records asked for", "crash-rec"

    def prepare(self):
        self.work = repository(self.app, "recorder")
        self.b.must("apps:create", self.app)
        self.b.must("volumes:create", "crash-rec")
        self.b.must("volumes:mount", self.app, "crash-rec:/data")
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)
        self.acked, self.repeats, self.lines, self.unsaid = [], 0, 0, 0

    def step(self):
        status, body = self.b.get(self.app, "/record", "POST")
        if self.say(status != 200, body):
            run_, number = body.split()
            self.acked.append((run_, int(number), time.monotonic()))
        time.sleep(0.02)

    def files(self):
        status, body = self.b.get(self.app, "/records")
        if status != 200:
            raise Bad("%s answers %d: %s" % (self.app, status, body))
        if " bad " in body:
            raise Bad("what %s wrote is not what it reads: %s" % (self.app, body))
        return [(w[0], int(w[1]), int(w[2])) for w in (line.split() for line in body.splitlines())]

    def in_log(self):
        """{run: [numbers as they stand in the log]}"""
        found = {}
        for line in self.b.must("logs", self.app, "-n", "10000000", "-p", "web").splitlines():
            hit = re.fullmatch(r"\S+ app\[web\.\d+\]: record (\d{6}) (\d+)", line)
            if not hit:
                raise Bad("a torn line in the log of %s: %r" % (self.app, line))
            found.setdefault(hit.group(1), []).append(int(hit.group(2)))
        return found

    def missing(self, files, logged, at):
        """The first line that is lost, as a sentence; None when the log is whole. Counts repeats and lines."""
        tail = math.inf if at else 0  # what was last said before a power cut is not promised
        self.repeats = self.lines = self.unsaid = 0
        for i, (run_, first, last) in enumerate(files):
            want = first or 1
            for number in logged.get(run_, []):
                self.lines += 1
                if number > want:
                    return "run %s: %d to %d are not in the log, %d is" % (run_, want, number - 1, number)
                if number == want:
                    want += 1
                else:
                    self.repeats += 1
            # A killed one had perhaps written its last record, and not yet said so.
            if last and want + tail <= last - (i < len(files) - 1):
                return "run %s: %d to %d are not in the log" % (run_, want, last)
            self.unsaid += last and want == last
        return None

    def check(self, at=None):
        files = self.files()
        spans = {run_: (first, last) for run_, first, last in files}
        for run_, number, when in self.acked:
            first, last = spans.get(run_, (0, -1))
            if not first <= number <= last and when < (at[0] if at else math.inf):
                raise Bad("record %s %d was acknowledged and is gone" % (run_, number))
        if not at:
            self.acked = self.acked[-1000:]
        wait_for(10, lambda: self.missing(files, self.in_log(), at) is None, lambda: self.missing(files, self.in_log(), at))


class Flood(Actor):
    """An app that prints 500 lines a second; each instance of it counts from 1."""
    name, app = "lines of the flood", "crash-flood"

    def prepare(self):
        self.work = repository(self.app, "probe")
        self.b.must("apps:create", self.app)
        self.b.must("config:set", self.app, "TICK_MS=2")
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)

    def step(self):
        time.sleep(0.5)

    def check(self, at=None):
        self.done, want = 0, 0
        for line in self.b.must("logs", self.app, "-n", "20000", "-p", "web").splitlines():
            hit = re.fullmatch(r"\S+ app\[web\.\d+\]: (?:tick (\d+)|listening on 5000)", line)
            if not hit:
                raise Bad("a torn line in the log of %s: %r" % (self.app, line))
            if not hit.group(1):
                continue
            number = int(hit.group(1))
            if want and number > want:
                raise Bad("%s: %d to %d are not in the log, %d is" % (self.app, want, number - 1, number))
            self.done += 1
            want = number + 1 if number >= want or number == 1 else want


def actors(b, seed):
    """All of them, the apps that they use made and pushed; they wait until go()."""
    destroy(b)
    return [kind(b, seed) for kind in (Records, Pushes, Volumes, Flood, Changes)]


def destroy(b):
    for app in APPS:
        b.berth("apps:destroy", app, "--force")
    for name, in b.rows("SELECT name FROM volume WHERE name LIKE 'crash-%'"):
        b.berth("volumes:destroy", name, "--force")


def settled(b):
    """Every app answers, nothing starts, is built or removed."""
    for app in APPS:
        wait_for(40, lambda: b.get(app)[0] == 200, lambda: "%s: %s" % (app, b.get(app)))

    def quiet():
        starting = re.search(r"starting:\s+(\d+)", b.berth("status")[1])
        builds = b.rows("SELECT id FROM instance WHERE kind='build' AND state<>'exited'")
        return starting and starting.group(1) == "0" and not builds and not b.ssh_pids()
    wait_for(40, quiet, lambda: "it still starts, builds or takes a push: %s, processes %s" % (b.berth("status")[1], b.ssh_pids()))

    def clean():
        status, out = b.berth("disk:report", "--format", "json")
        host = json.loads(out)["host"] if status == 0 else {}
        return host and host["unfinished_bytes"] == 0 and host["removing_bytes"] == 0
    b.berth("images:prune")  # what a killed build left goes with the next cleaning
    wait_for(60, clean, lambda: "half-made or removed things stay on disk: " + b.berth("disk:report")[1])


def database_sound(b):
    for question in ("pragma integrity_check", "pragma foreign_key_check"):
        answer = b.rows(question)
        if answer not in ([("ok",)], []):
            raise Bad("the database: %s" % answer)
