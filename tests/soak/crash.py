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
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import actors  # noqa: E402
from live import Bad, Berth, wait_for  # noqa: E402

BACK_S = 15  # after a kill berth answers within that; it says 2 s where one program dies


def note(text):
    print("# " + text, file=sys.stderr, flush=True)


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
    def __init__(self, b, seed):
        self.b, self.checks = b, 0
        self.actors = actors.actors(b, seed)
        self.killer = Killer(b, seed)
        b.must("config:set", "crash-rec", "FIRST=1")  # what the first release of a kind makes is there
        actors.settled(b)
        self.before = b.leftovers()

    def compare(self):
        def difference():
            now = self.b.leftovers()
            return ["%s%d %s (%d before)" % (sign, count, what, self.before[what])
                    for sign, more in (("+", now - self.before), ("-", self.before - now)) for what, count in more.items()]
        wait_for(30, lambda: not difference(), lambda: "berth has other things on this host than before:\n" + "\n".join(difference()))

    def check(self):
        for actor in self.actors:
            actor.pause()
        for actor in self.actors:
            actor.paused()
        actors.settled(self.b)
        for actor in self.actors:
            actor.check()
        actors.settled(self.b)
        actors.database_sound(self.b)
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
        if not isinstance(actor, (actors.Records, actors.Flood)):
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
    actors.destroy(h.b)


if __name__ == "__main__":
    main()
