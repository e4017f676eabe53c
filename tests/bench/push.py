"""The measuring half of tests/bench/push: pushes, polls, sums up as Markdown. See there."""
import argparse
import datetime
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

# Starts server.js as an instance does, and prints the ms from exec to the first accepted connection.
START_UP = """
const {spawn} = require("child_process"), net = require("net");
const began = process.hrtime.bigint();
const child = spawn(process.execPath, ["server.js"], {env: {...process.env, PORT: "6123"}, stdio: "ignore"});
(function probe() {
  const s = net.connect(6123, "127.0.0.1");
  s.on("connect", () => {
    console.log(Number(process.hrtime.bigint() - began) / 1e6);
    child.kill("SIGKILL");
    process.exit(0);
  });
  s.on("error", () => setTimeout(probe, 1));
})();
"""


class Poller(threading.Thread):
    """Asks for a page over one kept connection about every ms, and notes when a body is first the wanted one."""

    def __init__(self, port, host):
        super().__init__(daemon=True)
        self.port = port
        self.request = ("GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host).encode()
        self.wanted = None  # a function of the body
        self.seen_at = None
        self.found = threading.Event()
        self.over = False
        self.errors = 0

    def want(self, wanted):
        self.found.clear()
        self.seen_at = None
        self.wanted = wanted

    def ask(self, sock):
        sock.sendall(self.request)
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65536)
            if not chunk:
                raise OSError("closed")
            data += chunk
        head, body = data.split(b"\r\n\r\n", 1)
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if size:
            while len(body) < int(size.group(1)):
                body += sock.recv(65536)
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += sock.recv(65536)
            body = b"".join(body.split(b"\r\n")[1::2])
        return int(head.split(b" ", 2)[1]), body

    def run(self):
        sock = None
        while not self.over:
            try:
                if sock is None:
                    sock = socket.create_connection(("127.0.0.1", self.port))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                status, body = self.ask(sock)
                if status != 200:
                    self.errors += 1
                wanted = self.wanted
                if wanted and status == 200 and wanted(body):
                    self.seen_at = time.monotonic()
                    self.wanted = None
                    self.found.set()
            except OSError:
                self.errors += 1
                sock = None
            time.sleep(0.001)


def git(cwd, *args):
    r = subprocess.run(("git",) + args, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        sys.exit("git %s failed:\n%s" % (" ".join(args), r.stdout))
    return r.stdout


class Site:
    """One example in a repository with its remotes. A round changes one line of one file."""

    def __init__(self, args, name, file, pattern):
        self.dir = os.path.join(args.work, name)
        self.file, self.pattern, self.name = os.path.join(self.dir, file), pattern, name
        shutil.copytree(os.path.join(args.examples, name), self.dir)
        git(self.dir, "init", "-q", "-b", "main")
        git(self.dir, "add", "-A")
        git(self.dir, "commit", "-q", "-m", "first")
        self.page = None

    def edit(self, mark):
        with open(self.file, encoding="utf-8") as f:
            text = f.read()
        new, n = re.subn(self.pattern, lambda m: m.group(1) + mark + m.group(3), text, count=1)
        if n != 1:
            sys.exit("no line to change in %s" % self.file)
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(new)
        git(self.dir, "commit", "-q", "-a", "-m", mark)


def push(site, remote):
    began = time.monotonic()
    out = git(site.dir, "push", remote, "HEAD:main")
    return began, time.monotonic(), out


def fetch(port, host):
    p = Poller(port, host)
    with socket.create_connection(("127.0.0.1", port)) as s:
        return p.ask(s)[1]


def redeploy(args, site, remote, mark):
    """ms to the first answer of the new release, ms until git returned."""
    old = fetch(args.port, site.name + ".localhost")
    site.edit(mark)
    # The new page is the old one with the mark exchanged: the whole body is compared.
    want = old.replace(site.mark.encode(), mark.encode())
    if want == old:
        sys.exit("the page of %s does not show the changed line" % site.name)
    site.mark = mark
    site.poller.want(lambda body: body == want)
    began, ended, out = push(site, "%s:%s" % (remote, site.name))
    if not site.poller.found.wait(30):
        sys.exit("the new page of %s never came:\n%s" % (site.name, out))
    return (site.poller.seen_at - began) * 1000, (ended - began) * 1000


def row(values):
    v = sorted(values)
    return "%.0f | %.0f | %.0f" % (statistics.median(v), v[len(v) // 10], v[-1 - len(v) // 10])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--examples", required=True)
    args = p.parse_args()

    static = Site(args, "static-site", "index.html", r"(<title>)([^<]*)()")
    node = Site(args, "node-express", "server.js", r"(res\.send\(['\"`])([^'\"`\n]*)()")
    plain = Site.__new__(Site)
    plain.__dict__.update(static.__dict__)
    plain.dir = os.path.join(args.work, "plain")
    plain.file = os.path.join(plain.dir, "index.html")
    shutil.copytree(static.dir, plain.dir)
    for site in (static, node):
        site.mark = "mark %s first" % site.name
        site.edit(site.mark)
        print("pushing %s for the first time" % site.name, file=sys.stderr, flush=True)
        push(site, "berth:" + site.name)
        site.poller = Poller(args.port, site.name + ".localhost")
    push(plain, "bare:plain")
    for host in ("shared", "bare-shared"):  # the masters: not part of any figure
        push(static if host == "shared" else plain, "%s:%s" % (host, "static-site"))
    for site in (static, node):
        site.poller.start()

    live, ended, bare, start = {}, {}, {}, []
    for n in range(args.rounds):
        for conn, b, r in (("fresh", "bare", "berth"), ("shared", "bare-shared", "shared")):
            plain.edit("mark plain %s %d" % (conn, n))
            began, done, _ = push(plain, b + ":plain")
            bare.setdefault(conn, []).append((done - began) * 1000)
            for site in (static, node):
                l, e = redeploy(args, site, r, "mark %s %s %d" % (site.name, conn, n))
                live.setdefault((site.name, conn), []).append(l)
                ended.setdefault((site.name, conn), []).append(e)
        out = subprocess.run(
            ["berth", "run", "node-express", "--", "node", "-e", START_UP],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        if out.returncode:
            sys.exit("cannot measure the app's start-up: %s%s" % (out.stdout, out.stderr))
        start.append(float(out.stdout.strip().splitlines()[-1]))
        print("round %d of %d" % (n + 1, args.rounds), file=sys.stderr, flush=True)

    cpus = os.cpu_count()
    print("### Push to live, %s\n" % datetime.date.today().isoformat())
    print("%d processors, Linux %s; %d interleaved rounds; milliseconds: median, tenth and ninetieth percentile.\n"
          % (cpus, platform.release(), args.rounds))
    print("| what | connection | median | 10 % | 90 % |")
    print("|---|---|---|---|---|")
    for conn in ("fresh", "shared"):
        print("| bare `git push`, empty update hook | %s | %s |" % (conn, row(bare[conn])))
        for site in (static, node):
            print("| %s: first answer of the new release | %s | %s |" % (site.name, conn, row(live[site.name, conn])))
            print("| %s: `git push` returns | %s | %s |" % (site.name, conn, row(ended[site.name, conn])))
    print("| node server.js: exec to first accept, alone in the same sandbox | - | %s |" % row(start))
    print("\nDifference to the bare push of the same round, and what is left after the app's own start-up:\n")
    print("| what | connection | median | 10 % | 90 % | must | |")
    print("|---|---|---|---|---|---|---|")
    own = statistics.median(start)
    bad = 0
    for conn in ("fresh", "shared"):
        for site, less in ((static, 0.0), (node, own)):
            d = [l - b - less for l, b in zip(live[site.name, conn], bare[conn])]
            good = statistics.median(d) <= 100
            bad += not good
            print("| %s - bare%s | %s | %s | 100 | %s |" % (
                site.name, " - start-up" if less else "", conn, row(d), "met" if good else "NOT met"))
    for site in (static, node):
        site.poller.over = True
        print("\n%s: %d polls went wrong during all rounds." % (site.name, site.poller.errors))
        bad += site.poller.errors > 0
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
