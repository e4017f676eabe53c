#!/usr/bin/python3
"""Lines of apps into files: berth-logger beside conmon's k8s-file, svlogd and s6-log. Prints Markdown.

Each logger gets the same apps (tests/bench/logwrite.c), writes to the same file system, with a stamp on every line, and
with rotation where it has one. Its processor time is what the kernel counts for its own threads, read before the apps
write and after each one's last line is in its file. Rounds are interleaved, medians are printed.
"""
import argparse
import fcntl
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

LIMIT_S = 120
SEGMENT = 5 << 20
KEEP = 20
F_SETPIPE_SZ = 1031


def cpu_ns(pids):
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


def is_log(name):
    return name.endswith(".log") or name == "current" or name.startswith("@")


def ends(path):
    """Whether the file, or one of the two newest of a folder, ends with the line END. A logger may rename them."""
    files = [path]
    if os.path.isdir(path):
        times = {}
        for name in filter(is_log, os.listdir(path)):
            try:
                times[os.path.join(path, name)] = os.path.getmtime(os.path.join(path, name))
            except FileNotFoundError:
                pass
        files = sorted(times, key=times.get)[-2:]
    for f in files:
        try:
            with open(f, "rb") as data:
                data.seek(max(0, os.path.getsize(f) - 64))
                if data.read().rstrip().endswith(b"END"):
                    return True
        except FileNotFoundError:
            pass
    return False


class Logger:
    def __init__(self, folder):
        self.folder = folder
        self.children = []
        self.apps = []

    def app(self, n, args, out):
        self.apps.append(subprocess.Popen(args, stdout=out))

    def end(self):
        for p in self.apps:
            p.kill()
            p.wait()
        for p in self.children:
            if p.poll() is None:
                p.terminate()
            p.wait(timeout=20)


class Berth(Logger):
    """berthd's part is played here: descriptors 3, 4 and 5, HELLO, an attach for each app."""

    name = "berth-logger"

    def start(self, n):
        self.fifos = [os.pipe2(os.O_CLOEXEC) for _ in range(n)]
        for _, w in self.fifos:
            fcntl.fcntl(w, F_SETPIPE_SZ, 1 << 20)
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        records, self.records = os.pipe()
        logs = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        fds = [theirs.fileno(), records, logs]

        def place():
            high = [fcntl.fcntl(f, fcntl.F_DUPFD, 50) for f in fds]
            for i, f in enumerate(high):
                os.dup2(f, 3 + i)

        self.children.append(subprocess.Popen([LOGGER], preexec_fn=place, close_fds=False, stderr=subprocess.DEVNULL))
        theirs.close()
        os.close(records)
        os.close(logs)
        self.sock.recv(65536)
        for i, (r, _) in enumerate(self.fifos):
            os.set_blocking(r, False)
            body = struct.pack("<QII64s", i + 1, i + 1, 1, b"web.1")
            head = struct.pack("<IIiI", 110, 0, 0, len(body))
            socket.send_fds(self.sock, [head + body], [r])
            os.close(r)
        time.sleep(0.2)

    def write(self, n, args):
        for i in range(n):
            self.app(i, args, self.fifos[i][1])
            os.close(self.fifos[i][1])

    def pids(self):
        return [self.children[0].pid]

    def outputs(self, n):
        return [os.path.join(self.folder, str(i + 1)) for i in range(n)]


class Piped(Logger):
    def start(self, n):
        self.pipes = []
        for i in range(n):
            folder = os.path.join(self.folder, str(i))
            os.mkdir(folder)
            self.prepare(folder)
            r, w = os.pipe2(os.O_CLOEXEC)
            self.children.append(subprocess.Popen(self.argv(folder), stdin=r, stderr=subprocess.DEVNULL))
            os.close(r)
            self.pipes.append(w)
        time.sleep(0.2)

    def prepare(self, folder):
        pass

    def write(self, n, args):
        for i in range(n):
            self.app(i, args, self.pipes[i])
            os.close(self.pipes[i])

    def pids(self):
        return [p.pid for p in self.children]

    def outputs(self, n):
        return [os.path.join(self.folder, str(i)) for i in range(n)]


class Svlogd(Piped):
    name = "svlogd -ttt"

    def prepare(self, folder):
        with open(os.path.join(folder, "config"), "w") as f:
            f.write(f"s{SEGMENT}\nn{KEEP}\n")

    def argv(self, folder):
        return [SVLOGD, "-ttt", folder]


class S6(Piped):
    name = "s6-log T"

    def argv(self, folder):
        return [S6LOG, "-b", "T", f"n{KEEP}", f"s{SEGMENT}", folder]


class Conmon(Logger):
    """Its OCI runtime is a script that starts the app with the output that conmon made for the container."""

    name = "conmon k8s-file"

    def start(self, n):
        pass  # one conmon an app, started with it

    def write(self, n, args):
        for i in range(n):
            folder = os.path.join(self.folder, str(i))
            os.mkdir(folder)
            runtime = os.path.join(folder, "runtime")
            with open(runtime, "w") as f:
                f.write('#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" != --pid-file ] || p=$2; shift; done\n'
                        f"{' '.join(args)} </dev/null 3<&- &\nprintf %s $! >\"$p\"\n")
            os.chmod(runtime, 0o755)
            self.children.append(subprocess.Popen(
                ["conmon", "--sync", "-c", f"bench{i}", "-u", f"bench{os.getpid()}-{i}", "-n", f"bench{i}", "-r", runtime,
                 "-b", folder, "-p", os.path.join(folder, "pid"), "--exit-dir", folder, "--socket-dir-path", folder,
                 "-l", f"k8s-file:{folder}/k8s.log", "--log-level", "error", "--no-sync-log"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def pids(self):
        return [p.pid for p in self.children]

    def outputs(self, n):
        return [os.path.join(self.folder, str(i), "k8s.log") for i in range(n)]

    def end(self):
        for p in self.outputs(len(self.children)):
            try:
                with open(os.path.join(os.path.dirname(p), "pid")) as f:
                    os.kill(int(f.read()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        for p in self.children:
            try:
                p.wait(timeout=5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def finished(path):
    return os.path.exists(path) and ends(path)


def one(kind, work, n, lines, length, each, rate):
    folder = os.path.join(work, "run")
    os.mkdir(folder)
    logger = kind(folder)
    try:
        logger.start(n)
        before = cpu_ns(logger.pids()) if logger.children else 0
        began = time.monotonic()
        logger.write(n, [WRITE, str(lines), str(length), str(each), str(rate)])
        waiting = logger.outputs(n)
        while waiting:
            if time.monotonic() - began > LIMIT_S:
                sys.exit(f"{kind.name}: not all is written after {LIMIT_S} s: {waiting[:3]}")
            time.sleep(0.01)
            waiting = [p for p in waiting if not finished(p)]
        wall = time.monotonic() - began
        used = cpu_ns(logger.pids()) - before
    finally:
        logger.end()
        shutil.rmtree(folder)
    return wall, used / 1e9


def bench_write(args):
    kinds = [k for k in (Berth, Conmon, Svlogd, S6) if args.only in k.name]
    per = args.mb << 20
    cases = [  # what, apps, lines of each, length, lines a write, rate
        ("one app, 100 bytes a line, 64 KB a write", 1, per // 100, 100, 650, 0),
        ("one app, a line a write", 1, per // 100, 100, 1, 0),
        ("50 apps, a line a write", 50, per // 5000, 100, 1, 0),
        ("50 apps, 2,000 lines a second each", 50, 10000, 100, 1, 2000),
    ]
    work = os.path.join(args.work, f"berth-bench-logs-{os.getpid()}")
    os.mkdir(work)
    print(f"| {args.rounds} rounds, medians | logger | lines/s | ms of processor a MB | to berth-logger |")
    print("|---|---|---|---|---|")
    try:
        for i, (what, n, lines, length, each, rate) in enumerate(cases):
            if args.cases and str(i) not in args.cases:
                continue
            seen = {k: [] for k in kinds}
            for _ in range(args.rounds):
                for k in kinds:
                    seen[k].append(one(k, work, n, lines, length, each, rate))
            megabytes = n * lines * length / 1e6
            base = statistics.median(u for _, u in seen[kinds[0]]) / megabytes * 1000
            for k in kinds:
                wall = statistics.median(w for w, _ in seen[k])
                cost = statistics.median(u for _, u in seen[k]) / megabytes * 1000
                print(f"| {what} | {k.name} | {n * lines / wall:,.0f} | {cost:.2f} | {cost / base:.2f} |", flush=True)
    finally:
        shutil.rmtree(work)


def fill(folder):
    """A log of 1,000 MB by berth-logger, ten of them END."""
    os.mkdir(folder)
    with open(os.path.join(folder, "limits"), "w") as f:
        f.write(f"1 {2 << 30} 0 0\n")
    logger = Berth(folder)
    logger.start(1)
    write_end = logger.fifos[0][1]
    for i in range(10):
        app = subprocess.Popen([WRITE, "697000", "100", "650", "0"], stdout=write_end)
        began = time.monotonic()
        while count_end(os.path.join(folder, "1")) <= i:
            if time.monotonic() - began > LIMIT_S:
                sys.exit("the log of 1 GB does not come about")
            time.sleep(0.05)
        app.kill()
        app.wait()
    os.close(write_end)
    logger.end()


def count_end(folder):
    """Lines END: each is the last one when it has come."""
    if not os.path.isdir(folder):
        return 0
    newest = sorted(n for n in os.listdir(folder))[-1]
    if not ends(folder):
        return count_end.seen
    key = (newest, os.path.getsize(os.path.join(folder, newest)))
    if key != count_end.key:
        count_end.key = key
        count_end.seen += 1
    return count_end.seen


count_end.seen, count_end.key = 0, None


def ask(argv):
    began = time.monotonic()
    out = subprocess.run(argv, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
    return time.monotonic() - began, out.count(b"\n")


def bench_read(args):
    logs = os.path.join(args.state, "logs")
    work = os.path.join(args.state, "logs-bench")
    fill(work)
    app = subprocess.run(["sqlite3", f"{args.state}/control/berth.db", f"SELECT id FROM app WHERE name='{args.app}'"],
                         stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    owner = os.stat(logs)
    folder = os.path.join(logs, app)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(os.path.join(work, "1"), folder)
    shutil.rmtree(work)
    os.chown(folder, owner.st_uid, owner.st_gid)
    files = sorted(os.path.join(folder, n) for n in os.listdir(folder))
    for f in files:
        os.chown(f, owner.st_uid, owner.st_gid)
        os.chmod(f, 0o640)
    size = sum(os.path.getsize(f) for f in files)
    middle = files[len(files) // 2]
    with open(middle, "rb") as f:
        f.seek(os.path.getsize(middle) // 2)
        f.readline()
        since = f.readline()[:27].decode()
    questions = [
        ("berth logs -n 100", ["berth", "logs", args.app, "-n", "100"]),
        ("berth logs --since, 1,000 lines in the middle", None),
        ("berth logs --grep END (10 lines)", ["berth", "logs", args.app, "-n", "1000000", "--grep", "END"]),
        ("grep -F END", ["grep", "-hF", "END", *files]),
        ("berth logs --grep 'connection refused' (none)",
         ["berth", "logs", args.app, "-n", "1000000", "--grep", "connection refused"]),
        ("grep -F 'connection refused'", ["grep", "-hF", "connection refused", *files]),
    ]
    with open(middle, "rb") as f:
        f.seek(os.path.getsize(middle) // 2)
        for _ in range(1000):
            f.readline()
        until = f.readline()[:27].decode()
    questions[1] = (questions[1][0], ["berth", "logs", args.app, "--since", since, "--until", until])
    seen = {what: [] for what, _ in questions}
    for _ in range(args.rounds + 1):  # the first brings all into memory
        for what, argv in questions:
            seen[what].append(ask(argv))
    print(f"| a log of {size / 1e6:,.0f} MB, in memory; {args.rounds} rounds, medians | ms | lines |")
    print("|---|---|---|")
    for what, _ in questions:
        ms = statistics.median(t for t, _ in seen[what][1:]) * 1000
        print(f"| {what} | {ms:,.1f} | {seen[what][-1][1]:,} |")


def main():
    global LOGGER, WRITE, SVLOGD, S6LOG
    a = argparse.ArgumentParser()
    a.add_argument("what", choices=["write", "read"])
    a.add_argument("--build", default="build")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--mb", type=int, default=200)
    a.add_argument("--work", default="/var/tmp")
    a.add_argument("--only", default="")
    a.add_argument("--cases", default="")
    a.add_argument("--app")
    a.add_argument("--state")
    args = a.parse_args()
    LOGGER = os.path.abspath(f"{args.build}/bin/berth-logger")
    WRITE = os.path.abspath(f"{args.build}/test/bench/logwrite")
    SVLOGD = shutil.which("svlogd") or "/usr/bin/svlogd"
    S6LOG = shutil.which("s6-log") or "/usr/bin/s6-log"
    (bench_write if args.what == "write" else bench_read)(args)


main()
