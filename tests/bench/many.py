"""The measuring half of tests/bench/many: see there."""
import argparse
import datetime
import os
import platform
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from live import ENV, Berth, must, read, wait_for  # noqa: E402

ROUNDS = 21


def ms(work):
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def rounds(work, n=ROUNDS):
    took = sorted(ms(work) for _ in range(n))
    return statistics.median(took), took[0], took[-1]


def say(text):
    print("# " + text, file=sys.stderr, flush=True)


class Host:
    def __init__(self):
        self.b, self.n = Berth(), 0
        self.work = ENV["WORK"] + "/many"
        must("cp", "-r", ENV["BERTH_SOURCE"] + "/examples/static-site", self.work)
        must("git", "init", "-q", "-b", "main", cwd=self.work)
        self.commit()

    def commit(self):
        self.n += 1
        with open(self.work + "/index.html", "a") as f:
            f.write("<p>%d\n" % self.n)
        must("git", "add", "-A", cwd=self.work)
        must("git", "commit", "-q", "-m", str(self.n), cwd=self.work)

    def push(self, app):
        must("git", "push", "-q", "shared:" + app, "HEAD:main", cwd=self.work)

    def pushes(self):
        took = []
        for _ in range(ROUNDS):
            self.commit()
            took.append(ms(lambda: self.push("many-1")))
        return statistics.median(took), min(took), max(took)

    def hostname(self):
        """A hostname comes and goes: the command returns when every worker of the router has the new table."""
        self.b.must("domains:add", "many-1", "new.example.com")
        self.b.must("domains:remove", "many-1", "new.example.com")

    def figures(self):
        return {
            "`berth status`, ms": rounds(lambda: self.b.must("status")),
            "`berth apps:list`, ms": rounds(lambda: self.b.must("apps:list")),
            "a hostname added and removed: two commands, two tables, ms": rounds(self.hostname),
            "the command of the row before without a change: `domains:report`, ms": rounds(lambda: self.b.must("domains:report", "many-1")),
            "a push of a changed page, shared connection, ms": self.pushes(),
        }

    def memory(self):
        """PSS of berth's own programs, kB; of the awake instances' berth-init not."""
        found = {}
        for name, pids in self.b.programs().items():
            if name in ("ready", "berth-init"):
                continue
            for pid in pids:
                kb = re.search(rb"^Pss:\s+(\d+)", read("/proc/%d/smaps_rollup" % pid), re.M)
                found[name] = found.get(name, 0) + (int(kb.group(1)) if kb else 0)
        return found


def restart(h, awake):
    """Everything is stopped, apps too, and started: until the API answers, and until every app that is awake does."""
    must("bash", "-c", '. "$BERTH_SOURCE/tests/lib/berth.bash" && berthd_stop')
    began = time.monotonic()
    h.b.start()
    wait_for(60, h.b.answers, "the API")
    api = time.monotonic() - began
    for n in range(1, awake + 1):
        wait_for(60, lambda: h.b.get("many-%d" % n)[0] == 200, "many-%d" % n)
    return api, time.monotonic() - began


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--apps", type=int, default=1000)
    p.add_argument("--awake", type=int, default=50)
    a = p.parse_args()
    h = Host()
    h.push("many-1")
    say("one app")
    one, memory_one = h.figures(), h.memory()
    say("pushing %d more" % (a.apps - 1))
    began = time.monotonic()
    for n in range(2, a.apps + 1):
        h.push("many-%d" % n)
        if n > a.awake:
            h.b.must("ps:sleep", "many-%d" % n)
    filled = time.monotonic() - began
    say("%d apps after %d s" % (a.apps, filled))
    many, memory_many = h.figures(), h.memory()
    wakes = [ms(lambda: h.b.get("many-%d" % n)) for n in range(a.apps - 10, a.apps + 1)]
    api, ready = restart(h, a.awake)
    after = h.memory()

    print("### %s, %d apps of which %d run, %d processors, Linux %s\n" % (
        datetime.date.today(), a.apps, a.awake, os.cpu_count(), platform.release()))
    print("| median of %d (least to most) | one app | %d apps | ratio |\n|---|---|---|---|" % (ROUNDS, a.apps))
    for what in one:
        print("| %s | %.1f (%.1f to %.1f) | %.1f (%.1f to %.1f) | %.2f |" % (what, *one[what], *many[what], many[what][0] / one[what][0]))
    print("| memory of berth's programs in all (PSS), MB | %.1f | %.1f | |" % (sum(memory_one.values()) / 1024, sum(memory_many.values()) / 1024))
    print("| the same after a start, MB | | %.1f | |" % (sum(after.values()) / 1024))
    print("| all stopped and started: the API answers, s | | %.2f | |" % api)
    print("| and every app that is awake does, s | | %.2f | |" % ready)
    print("| first request to an app that is asleep, median of 11, ms | | %.1f | |" % statistics.median(wakes))
    print("\nMemory by program with %d apps, MB: %s. Pushing and putting to sleep took %.0f s." % (
        a.apps, ", ".join("%s %.1f" % (name, kb / 1024) for name, kb in sorted(memory_many.items())), filled))


main()
