#!/usr/bin/python3
"""A full disk at every write path: commands are refused in words or done whole, apps go on, and with space all works again.

usage: full.py [--short]      over a berth whose state lies on a small disk, its run folder on a small tmpfs (tests/soak/full)

The state's disk is filled to the last block, then its inodes are used up, then the run folder is filled. Each time every
command that writes is tried; meanwhile two apps are asked without pause. After each filling all of them are tried again,
nothing having been restarted. Prints a Markdown table; exit status 1 and the reason when something is not as it must be.
"""
import argparse
import glob
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import actors  # noqa: E402
from live import Bad, Berth, ENV, Steady, must, run, wait_for  # noqa: E402

APP = "crash-push"
WORDS = re.compile(r"space|disk|full|inode|room", re.I)


def note(text):
    print("# " + text, file=sys.stderr, flush=True)


class Filler:
    """Uses up what a file system has, and gives it back."""

    def __init__(self, folder):
        self.folder = folder + "/filler"
        os.mkdir(self.folder, 0o700)

    def blocks(self):
        n = 0
        for size in (1 << 24, 1 << 20, 1 << 12):
            while True:
                n += 1
                path = "%s/%d" % (self.folder, n)
                try:
                    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
                except OSError:
                    break
                try:
                    os.posix_fallocate(fd, 0, size)
                except OSError:
                    os.close(fd)
                    os.unlink(path)
                    break
                os.close(fd)

    def inodes(self):
        n = 0
        try:
            while True:
                n += 1
                os.close(os.open("%s/i%d" % (self.folder, n), os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError:
            return

    def empty(self):
        for path in glob.glob(self.folder + "/*"):
            os.unlink(path)


class Paths:
    """The commands that write, each with a way to see whether it was done whole or not at all."""

    def __init__(self, b, short):
        self.b, self.n, self.short = b, 0, short
        self.work = actors.repository(APP, "probe")
        must("git", "push", "-q", "berth", "HEAD:main", cwd=self.work)
        b.must("volumes:create", "crash-full")
        b.must("volumes:mount", APP, "crash-full:/data")
        b.must("domains:add", APP, "full.example.com")
        self.archive = ENV["BERTH_TEST"] + "/image.tar"
        must("sh", "-c", 'exec berth images:export "$1" --format docker >"$2"', "sh", APP + ":v1", self.archive)
        self.cert = ENV["BERTH_TEST"] + "/full.crt"
        self.key = ENV["BERTH_TEST"] + "/full.key"
        must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
             "-subj", "/CN=full.example.com", "-addext", "subjectAltName=DNS:full.example.com", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", self.key, "-out", self.cert)

    def has(self, *topic):
        return self.b.berth(*topic, "--help")[0] == 0

    def all(self):
        """(name, command, true when it is done)."""
        self.n += 1
        n, b, names = self.n, self.b, lambda *w: b.berth(*w)[1].split()
        yield "push", self.push, None
        yield "config:set", lambda: b.berth("config:set", APP, "N=%d" % n), lambda: names("config:get", APP, "N") == [str(n)]
        yield "apps:create", lambda: b.berth("apps:create", "full-%d" % n), lambda: "full-%d" % n in names("apps:list")
        yield "domains:add", lambda: b.berth("domains:add", APP, "h%d.example.com" % n), lambda: "h%d.example.com" % n in names("domains:report", APP)
        yield "volumes:create", lambda: b.berth("volumes:create", "full-v%d" % n), lambda: "full-v%d" % n in names("volumes:list")
        if "--size" in b.berth("volumes:create", "--help")[1]:
            yield ("volumes:create --size", lambda: b.berth("volumes:create", "full-s%d" % n, "--size", "32M"),
                   lambda: "full-s%d" % n in names("volumes:list"))
        if self.has("volumes:snapshot"):
            yield "volumes:snapshot", lambda: b.berth("volumes:snapshot", "crash-full"), None
        if self.has("backup:create"):
            yield "backup:create", lambda: b.berth("backup:create", "--to", ENV["BERTH_TEST"] + "/backup/", "--no-encryption"), None
        yield "ps:restart", lambda: b.berth("ps:restart", APP), None
        yield "run", lambda: b.berth("run", APP, "--", "true"), None
        yield "certs:add", lambda: b.berth("certs:add", APP, self.cert, self.key), None
        if not self.short:
            yield "images:import", lambda: b.berth("images:import", self.archive, "--as", "full:t%d" % n), None
            yield "ps:rebuild", lambda: b.berth("ps:rebuild", APP), None

    def push(self):
        page = "page %d" % self.n
        actors.commit(self.work, page)
        before = self.b.get(APP)[1]
        status, out = run("git", "push", "berth", "HEAD:main", cwd=self.work)
        now = self.b.get(APP)[1].strip()
        if now != (page if status == 0 else before.strip()):
            raise Bad("after a push with status %d %s serves %r: %s" % (status, APP, now, out))
        return int(status != 0), out


def attempt(b, paths, full):
    """Tries all; rows of (name, what it said)."""
    for name, command, done in paths.all():
        began = time.monotonic()
        status, out = command()
        if status != 0 and not full:
            raise Bad("%s with space again: %s" % (name, out))
        if status not in (0, 125 if name == "run" else 1):
            raise Bad("%s: status %d: %s" % (name, status, out))
        if status and not WORDS.search(out):
            raise Bad("%s does not say why: %s" % (name, out))
        if done and done() != (status == 0):
            raise Bad("%s: status %d, and it is %sdone: %s" % (name, status, "" if done() else "not ", out))
        said = [re.sub(r"^(remote:)?\s*!\s+", "", line).strip() for line in out.splitlines() if " ! " in line]
        yield name, "done" if status == 0 else " ".join(said) or out.strip().splitlines()[-1], time.monotonic() - began


def round_of(b, paths, what, fill, filler):
    steady = [Steady(b, app) for app in (APP, "crash-rec")]
    fill()
    said = []
    for name, words, took in attempt(b, paths, True):
        said.append((name, words))
        note("%s: %s: %s" % (what, name, words))
    state = b.berth("status")
    if state[0] != 0:
        raise Bad("%s: status: %s" % (what, state[1]))
    for line in re.findall(r".*(?:disk|space|full).*", state[1]):
        note("status says: " + line.strip())
    filler.empty()
    again = dict((name, took) for name, _, took in attempt(b, paths, False))
    for name, words in said:
        print("| %s | %s | %s | done, %.1f s |" % (what, name, words.replace("|", "/"), again[name]), flush=True)
    for one in steady:
        one.stop()
        if one.failed:
            raise Bad("%s: %d requests failed, the first: %s" % (what, len(one.failed), one.failed[0]))
    print("| %s | requests meanwhile | %d, none failed | |" % (what, sum(one.good for one in steady)), flush=True)
    actors.database_sound(b)
    log_goes_on(b)


def log_goes_on(b):
    before = b.must("logs", "crash-rec", "-n", "1", "-p", "web")
    wait_for(10, lambda: b.must("logs", "crash-rec", "-n", "1", "-p", "web") != before, "the log goes on")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--short", action="store_true")
    a = p.parse_args()
    b = Berth()
    recorder = actors.Records(b, "full")
    paths = Paths(b, a.short)
    disk, runs = Filler(b.state), Filler(b.run)
    rounds = [("disk full", disk.blocks, disk), ("no inodes", disk.inodes, disk), ("run folder full", runs.blocks, runs)]
    print("| what | command | said | with space again |\n|---|---|---|---|", flush=True)
    try:
        for what, fill, filler in rounds:
            round_of(b, paths, what, fill, filler)
        recorder.files()
    except Bad as e:
        print("bad: %s" % e, file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    main()
