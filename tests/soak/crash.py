#!/usr/bin/python3
"""Random kill -9 of everything that berth runs, at random moments, while apps write, log, and are changed.

usage: crash.py --rounds N [--seed S] [--every N]      over a berth that tests/lib/berth.bash has started

A round kills one or two of berth's programs or of an app's processes. Every so many rounds all commands are let end, and
then each of them is done or undone, no acknowledged record is lost, the log has every line in order and whole, and berth
has on the host what it had at first. Prints rows of a Markdown table; exit status 1 and the reason when one of that fails.
"""
import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from live import Bad, Berth, ENV, must, run, wait_for  # noqa: E402

BACK_S = 15  # after a kill berth answers within that; it says 2 s where one program dies


def note(text):
    print("# " + text, file=sys.stderr, flush=True)


class Actor:
    """Does one thing after the other until it is paused; knows what it was told is done."""
    name = ""

    def __init__(self, b, seed):
        self.b, self.random = b, random.Random("%s %s" % (seed, self.name))
        self.done = self.undone = 0
        self.bad = None
        self.log = []
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

    def prepare(self):
        pass

    def step(self):
        raise NotImplementedError

    def check(self):
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
        self.n, self.may = 0, {"first"}
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)

    def step(self):
        self.n += 1
        page = "push %d" % self.n
        commit(self.work, page)
        status, out = run("git", "push", "berth", "HEAD:main", cwd=self.work)
        if self.say(status, out):
            self.may = {page}
        else:
            self.may.add(page)
        time.sleep(self.random.random() * 0.5)

    def check(self):
        page = wait_for(20, lambda: self.b.get(self.app)[1].strip(), "a page of " + self.app)
        if page not in self.may:
            raise Bad("%s serves \"%s\"; it must be one of %s" % (self.app, page, sorted(self.may)))
        head = must("git", "ls-remote", "berth", "refs/heads/main", cwd=self.work).split()[0]
        there = must("git", "log", "-1", "--format=%s", head, cwd=self.work).strip()
        if there != page:
            raise Bad("%s serves \"%s\", and its branch is at \"%s\"" % (self.app, page, there))
        self.may = {page}
        for version, status in self.b.rows("SELECT version, status FROM release r JOIN app a ON a.id=r.app WHERE a.name=?", self.app):
            if status in ("pending", "building", "starting"):
                raise Bad("%s: v%d is %s for ever" % (self.app, version, status))


class Changes(Actor):
    """Config of the recorder, which it gets by a new instance."""
    name, app = "config changes", "crash-rec"

    def prepare(self):
        self.n, self.may = 0, {None}

    def step(self):
        self.n += 1
        value = str(self.n)
        if self.say(*self.b.berth("config:set", self.app, "NUMBER=" + value)):
            self.may = {value}
        else:
            self.may.add(value)
        time.sleep(self.random.random() * 2)

    def check(self):
        told = self.b.berth("config:get", self.app, "NUMBER")
        stored = told[1].strip() if told[0] == 0 else None

        def env():
            hit = re.search(r"^NUMBER=(\d+)$", self.b.get(self.app, "/env")[1], re.M)
            return hit and hit.group(1) == stored or stored is None
        if stored not in self.may:
            raise Bad("%s has NUMBER=%s; it must be one of %s" % (self.app, stored, self.may))
        wait_for(20, env, lambda: "%s runs with NUMBER=%s: %s" % (self.app, stored, self.b.get(self.app, "/env")))
        self.may = {stored}


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

    def away(self, name):
        if name in self.b.berth("volumes:list", "--app", self.app)[1].split():
            if not self.say(*self.b.berth("volumes:unmount", self.app, name)):
                return
        self.say(*self.b.berth("volumes:destroy", name, "--force"))

    def check(self):
        mine = [n for n, in self.b.rows("SELECT name FROM volume WHERE name LIKE 'crash-v%'")]
        for name in mine:
            if self.b.rows("SELECT 1 FROM volume_mount m JOIN volume v ON v.id=m.volume WHERE v.name=?", name):
                self.b.must("volumes:unmount", self.app, name)
            self.b.must("volumes:destroy", name, "--force")
        there = {"%016x" % n for n, in self.b.rows("SELECT id FROM volume")}
        on_disk = {n for n in os.listdir(self.b.state + "/volumes") if re.fullmatch("[0-9a-f]{16}", n)}
        if not on_disk <= there:
            raise Bad("volumes that no row names: %s" % (on_disk - there))


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
            self.acked.append((run_, int(number)))
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

    def missing(self, files, logged):
        """The first line that is lost, as a sentence; None when the log is whole. Counts repeats and lines."""
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
            if last and want <= last - (i < len(files) - 1):
                return "run %s: %d to %d are not in the log" % (run_, want, last)
            self.unsaid += last and want == last
        return None

    def check(self):
        files = self.files()
        spans = {run_: (first, last) for run_, first, last in files}
        for run_, number in self.acked:
            first, last = spans.get(run_, (0, -1))
            if not first <= number <= last:
                raise Bad("record %s %d was acknowledged and is gone" % (run_, number))
        self.acked = self.acked[-1000:]
        wait_for(10, lambda: self.missing(files, self.in_log()) is None, lambda: self.missing(files, self.in_log()))


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

    def check(self):
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


class Killer:
    """Chooses whom and when; starts berthd where both of its processes are gone, as the host's service manager does."""
    KINDS = ["monitor", "worker", "both of berthd", "berth-control", "berth-logger", "berth-router", "a build", "a push",
             "an app", "berth-init of an app", "berth-ready", "others"]

    def __init__(self, b, seed):
        self.b, self.random = b, random.Random("%s killer" % seed)
        self.kills, self.slowest, self.started = {}, 0, 0

    def _sandboxed(self, builds, init):
        kinds = {n: (kind, app) for n, kind, app in
                 self.b.rows("SELECT i.id, i.kind, a.name FROM instance i JOIN app a ON a.id=i.app WHERE i.state<>'exited'")}
        for number, inside in self.b.sandboxes().items():
            kind, app = kinds.get(number, ("", ""))
            if app.startswith("crash-") and (kind == "build") == builds:
                yield from (pid for pid, name in inside if builds or (name == "berth-init") == init)

    def _victims(self, kind):
        if kind in ("a build", "an app", "berth-init of an app"):
            return list(self._sandboxed(kind == "a build", kind.startswith("berth-init")))
        if kind == "a push":
            return self.b.ssh_pids()
        programs = self.b.programs()
        if kind == "both of berthd":
            return programs["monitor"] + programs["worker"]
        if kind == "others":
            return [p for n, pids in programs.items() if n not in self.KINDS and n not in ("ready", "berth-build") for p in pids]
        return programs[{"berth-ready": "ready"}.get(kind, kind)]

    def _kill(self, kind):
        pids = sorted(self._victims(kind))
        if kind != "both of berthd":
            pids = self.random.sample(pids, 1) if pids else []
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        if pids:
            self.kills[kind] = self.kills.get(kind, 0) + 1
        return bool(pids)

    def _patient(self, kind):
        """Builds and pushes are there now and then only: looks for a while."""
        end = time.monotonic() + 1
        while not self._kill(kind):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def round(self):
        """What was killed, as text."""
        time.sleep(self.random.random())
        weights = [3 if kind in ("a build", "a push") else 1 for kind in self.KINDS]
        kinds = self.random.choices(self.KINDS, weights, k=self.random.choice([1, 1, 2]))
        killed = [kind for kind in kinds if self._patient(kind)]
        began = time.monotonic()

        def back():
            programs = self.b.programs()
            if not programs["monitor"] + programs["worker"]:
                self.started += 1
                self.b.start()
            return self.b.answers()
        wait_for(BACK_S, back, "an answer of berth after the death of " + " and ".join(killed))
        self.slowest = max(self.slowest, time.monotonic() - began)
        return " and ".join(killed) or "nothing was there to kill"


class Harness:
    APPS = ["crash-rec", "crash-push", "crash-vol", "crash-flood"]

    def __init__(self, b, seed):
        self.b = b
        self.destroy()
        self.actors = [kind(b, seed) for kind in (Records, Pushes, Volumes, Flood, Changes)]
        self.killer = Killer(b, seed)
        self.settled()
        self.before = b.leftovers()
        self.checks = 0

    def destroy(self):
        for app in self.APPS:
            self.b.berth("apps:destroy", app, "--force")
        for name, in self.b.rows("SELECT name FROM volume WHERE name LIKE 'crash-%'"):
            self.b.berth("volumes:destroy", name, "--force")

    def settled(self):
        """Every app answers, nothing starts, is built or removed."""
        for app in self.APPS:
            wait_for(40, lambda: self.b.get(app)[0] == 200, lambda: "%s: %s" % (app, self.b.get(app)))

        def quiet():
            starting = re.search(r"starting:\s+(\d+)", self.b.berth("status")[1])
            builds = self.b.rows("SELECT id FROM instance WHERE kind='build' AND state<>'exited'")
            return starting and starting.group(1) == "0" and not builds and not self.b.ssh_pids()
        wait_for(40, quiet, lambda: "it still starts, builds or takes a push: %s, processes %s" % (self.b.berth("status")[1], self.b.ssh_pids()))

        def clean():
            host = self.b.berth("disk:report", "--format", "json")[1]
            return '"unfinished_bytes": 0' in re.sub(r'":\s*', '": ', host) and '"removing_bytes": 0' in re.sub(r'":\s*', '": ', host)
        wait_for(60, clean, lambda: "half-made or removed things stay on disk: " + self.b.berth("disk:report")[1])

    def database_sound(self):
        for question in ("pragma integrity_check", "pragma foreign_key_check"):
            answer = self.b.rows(question)
            if answer not in ([("ok",)], []):
                raise Bad("the database: %s" % answer)

    def compare(self):
        def difference():
            now = self.b.leftovers()
            return ["%s%d %s" % (sign, count, what) for sign, more in (("+", now - self.before), ("-", self.before - now))
                    for what, count in more.items()]
        wait_for(30, lambda: not difference(), lambda: "berth has other things on this host than before:\n" + "\n".join(difference()))

    def check(self):
        for actor in self.actors:
            actor.pause()
        for actor in self.actors:
            actor.paused()
        self.settled()
        for actor in self.actors:
            actor.check()
        self.settled()
        self.database_sound()
        self.compare()
        self.checks += 1

    def go(self):
        for actor in self.actors:
            actor.go()

    def end(self):
        for actor in self.actors:
            actor.end()


def table(h, rounds, seed, took):
    records = h.actors[0]
    kills = ", ".join("%s %d" % (kind, n) for kind, n in sorted(h.killer.kills.items(), key=lambda k: -k[1]))
    yield "%d rounds, seed %s, %d s" % (rounds, seed, took), "killed: %s; berthd started %d times; API back after at most %d ms" % (
        kills, h.killer.started, h.killer.slowest * 1000)
    for actor in h.actors:
        if not isinstance(actor, (Records, Flood)):
            yield actor.name, "%d done, %d refused or cut off" % (actor.done, actor.undone)
    yield "records that were acknowledged to requests, and lost", "%d, 0" % records.done
    yield "lines of the recorder's log; lost, torn, out of order", "%d; 0, 0, 0 (%d read again after a kill of the logger)" % (
        records.lines, records.repeats)
    yield "looks at all of it: commands done or undone, no mount, loop device, control group, interface, file left over", "%d, all sound" % h.checks


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    p.add_argument("--every", type=int, default=10, help="rounds from check to check")
    a = p.parse_args()
    note("seed %s: tests/soak/crash %d %s runs the same choices again" % (a.seed, a.rounds, a.seed))
    began = time.monotonic()
    h, history = Harness(Berth(), a.seed), []
    try:
        h.go()
        for n in range(1, a.rounds + 1):
            history.append("round %d: %s" % (n, h.killer.round()))
            if n % a.every == 0 or n == a.rounds:
                h.check()
                note("%d rounds, %d s: sound" % (n, time.monotonic() - began))
                if n < a.rounds:
                    h.go()
    except Bad as e:
        note("seed %s, after these kills:\n%s" % (a.seed, "\n".join(history[-a.every:])))
        for actor in h.actors:
            note("%s: %d done, %d not; the last: %s" % (actor.name, actor.done, actor.undone, "\n---\n".join(actor.log[-3:])))
        print("bad: %s" % e, file=sys.stderr, flush=True)
        os._exit(1)
    for name, result in table(h, a.rounds, a.seed, time.monotonic() - began):
        print("| %s | %s |" % (name, result))
    h.end()
    h.destroy()


if __name__ == "__main__":
    main()
