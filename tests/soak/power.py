#!/usr/bin/python3
"""Power cuts at random moments while everything runs: the disk is copied as it is at that instant, and each copy is booted.

usage: power.py [--cuts N] [--seed S]      over a berth whose state lies on a disk of tests/lib/disk.py

On the copies nothing survives that was not flushed: of the rest all, none, or a random part is there. Each is mounted where
the state was, checked before and after by e2fsck, and berthd is started on it with an empty run folder. Prints a Markdown
table; exit status 1 and the reason when something is lost that was acknowledged before the cut.
"""
import argparse
import os
import random
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import actors  # noqa: E402
import disk  # noqa: E402
from live import Bad, Berth, ENV, must, read, run, wait_for  # noqa: E402

HOW = ("some", "none", "some", "all")


def note(text):
    print("# " + text, file=sys.stderr, flush=True)


def image():
    return ENV["BERTH_TEST"] + "/disk"


def cut(n, how, seed):
    """Takes one copy: (its name, how, what was lost, when it began, when it ended)."""
    copy = "%s.%d" % (image(), n)
    began = time.monotonic()
    lost = disk.cut(image(), copy, how, seed)
    return copy, how, lost, (began, time.monotonic())


def halt(b):
    """The host goes down: no process is left, the run folder is empty, the disk is not mounted."""
    run(b.prefix + "/sbin/berthd", "--stop-all", "--state", b.state, "--run", b.run)
    for line in read("/proc/mounts").decode().splitlines():
        if line.split()[1].startswith(b.run + "/"):
            must("umount", line.split()[1])
    shutil.rmtree(b.run, ignore_errors=True)
    wait_for(20, lambda: run("umount", b.state)[0] == 0, "the state folder can be unmounted")
    wait_for(20, lambda: image() not in run("losetup", "-a")[1], "nobody has the disk mounted any more")


def boot(b, device):
    """Mounts it and starts berthd: what berthd said, and after how many seconds every app answered."""
    must("mount", "-o", "loop", device, b.state)
    # This host's kernel did not start anew: berthd must not think that what it has written since is in its memory.
    with open(b.state + "/layers/boot", "w") as f:
        f.write("1")
    log = os.path.getsize(ENV["BERTH_TEST"] + "/berthd.log")
    began = time.monotonic()
    b.start()
    for app in actors.APPS:
        wait_for(60, lambda: b.get(app)[0] == 200, lambda: "%s: %s" % (app, b.get(app)))
    took = time.monotonic() - began
    with open(ENV["BERTH_TEST"] + "/berthd.log", "rb") as f:
        f.seek(log)
        return f.read().decode("utf-8", "replace"), took


def file_system(copy):
    status, out = run("e2fsck", "-fn", copy)
    if status != 0:
        raise Bad("the file system of %s is not clean: %s" % (copy, out))


def check(b, team, n, copy, how, lost, at):
    told, took = boot(b, copy)
    actors.settled(b)
    for actor in team:
        actor.check(at)
    actors.database_sound(b)
    records = team[0]
    before = len([1 for _, _, when in records.acked if when < at[0]])
    halt(b)
    file_system(copy)
    warned = re.findall(r"warning: (.*)", told)
    for line in warned:
        note("cut %d: berthd: %s" % (n, line))
    print("| %d | %s: %s | %d | %d | %.1f s | %d |" % (n, how, lost, before, records.lines, took, len(warned)), flush=True)
    os.unlink(copy)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--cuts", type=int, default=12)
    p.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    a = p.parse_args()
    note("seed %s" % a.seed)
    b, chance = Berth(), random.Random(a.seed)
    team = actors.actors(b, a.seed)
    for actor in team:
        actor.go()
    cuts = []
    for n in range(1, a.cuts + 1):
        time.sleep(1 + chance.random() * 3)
        cuts.append((n, *cut(n, HOW[n % len(HOW)], "%s %d" % (a.seed, n))))
    for actor in team:
        actor.pause()
    for actor in team:
        actor.paused()
    note("%d cuts; meanwhile %s" % (a.cuts, ", ".join("%d %s (%d refused)" % (x.done, x.name, x.undone) for x in team if x.done)))
    halt(b)
    print("| cut | of what was not flushed | records acknowledged before it | log lines after it | all apps answer after | warnings |")
    print("|---|---|---|---|---|---|", flush=True)
    try:
        for one in cuts:
            check(b, team, *one)
    except Bad as e:
        print("bad: cut %d (%s: %s): %s" % (one[0], *one[2:4], e), file=sys.stderr, flush=True)
        os._exit(1)
    finally:
        if not os.path.ismount(b.state):
            must("mount", "-o", "loop", image() + ".disk", b.state)
            b.start()


if __name__ == "__main__":
    main()
