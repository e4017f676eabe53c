"""The measuring half of tests/bench/build: pushes, asks the database, sums up as Markdown. See there."""
import argparse
import datetime
import json
import os
import platform
import random
import re
import shutil
import sqlite3
import stat
import statistics
import subprocess
import sys
import time

ROWS = ("line", "tree", "deps", "disk")
WORDS = ("request", "return", "const", "value", "the", "of", "table", "window", "layer", "(a, b)", "=>", "{", "}", ";\n")
MS = 1e3  # microseconds


def run(*args, **more):
    r = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if r.returncode:
        sys.exit("%s failed:\n%s" % (" ".join(args), r.stdout))
    return r.stdout


def note(text):
    print(text, file=sys.stderr, flush=True)


def words(r, size):
    out = []
    while size > 0:
        out.append(r.choice(WORDS) if r.random() < 0.7 else "%x" % r.getrandbits(32))
        size -= len(out[-1]) + 1
    return " ".join(out) + "\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def fill(top, seed, n, mean, folders):
    """n files of about mean bytes, the same ones each time; their paths."""
    r = random.Random(seed)
    paths = []
    for i in range(n):
        folder = "src" if folders < 2 else "lib/p%d/s%d" % (i % folders // 10, i % folders)
        paths.append("%s/file%d.js" % (folder, i))
        size = min(int(r.lognormvariate(0, 1) * mean / 1.65), 40 * mean)
        write(os.path.join(top, paths[-1]), words(r, size))
    return paths


class Berth:
    """What berth's database says, read while it works."""

    def __init__(self, state):
        self.state = state
        self.db = sqlite3.connect("file:%s/control/berth.db?mode=ro" % state, uri=True)

    def one(self, sql, *args):
        return self.db.execute(sql, args).fetchone()

    def build(self, app):
        """The last build of the app: what it ran, in ms, and which layers it made."""
        for _ in range(200):
            b = self.one(
                "SELECT b.created_us, b.finished_us, i.created_us, a.id FROM build b JOIN app a ON a.id=b.app"
                " JOIN release r ON r.app=b.app AND r.version=b.version JOIN image i ON i.id=r.image"
                " WHERE a.name=? AND b.status='succeeded'"
                " AND b.id=(SELECT max(id) FROM build WHERE app=a.id)", app)
            steps = b and self.db.execute(
                "SELECT type, exited_us-started_us, state FROM instance WHERE app=? AND kind='build'"
                " AND started_us>=? ORDER BY id", (b[3], b[0])).fetchall()
            if b and all(s[2] == "exited" for s in steps):
                break
            time.sleep(0.01)
        else:
            sys.exit("no finished build of %s" % app)
        return {"build": (b[2] - b[0]) / MS, "rest": (b[1] - b[2]) / MS,
                "steps": {s[0]: s[1] / MS for s in steps},
                "layers": [k for k, in self.db.execute("SELECT kind FROM layer WHERE created_us>=? ORDER BY id", (b[0],))]}

    def settled(self):
        """Layers are counted and on disk some seconds after they were made."""
        layers = os.path.join(self.state, "layers")
        for _ in range(600):
            if all(os.path.lexists(os.path.join(layers, d, "synced")) for d in os.listdir(layers) if re.fullmatch("[0-9a-f]{16}", d)):
                os.sync()
                return
            time.sleep(0.1)
        sys.exit("the layers were not written to disk")


class App:
    """A repository, pushed as an app of its name over a shared connection."""

    def __init__(self, bench, name, source=None):
        self.bench, self.name = bench, name
        self.dir = os.path.join(bench.args.work, name)
        if source:
            shutil.copytree(source, self.dir)
        else:
            os.mkdir(self.dir)
        self.git("init", "-q", "-b", "main")
        self.git("config", "gc.auto", "0")

    def git(self, *args):
        return run("git", *args, cwd=self.dir)

    def write(self, path, text):
        write(os.path.join(self.dir, path), text)

    def commit(self, text):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", text)

    def edit(self, path, mark, commit=True):
        """Changes one line of the file."""
        path = os.path.join(self.dir, path)
        with open(path, encoding="utf-8") as f:
            lines = f.readlines()
        comment = "# %s\n" if path.endswith((".pl", ".sh")) else "<!-- %s -->\n" if path.endswith(".html") else "// %s\n"
        if lines[-1].startswith(comment[:2]):
            lines.pop()
        lines.append(comment % mark)
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(lines)
        if commit:
            self.commit(mark)

    def push(self, *options):
        """Wall time in ms, and what was printed."""
        began = time.monotonic()
        out = self.git("push", *options, "shared:" + self.name, "HEAD:main")
        return (time.monotonic() - began) * 1000, out

    def repository(self):
        return os.path.join(self.bench.args.state, "repos", self.name + ".git")


class Bench:
    def __init__(self, args):
        self.args = args
        self.berth = Berth(args.state)
        self.bad = []
        # On the file system of the layers.
        self.peer = os.path.join(os.path.dirname(args.state), "peer")
        os.mkdir(self.peer)

    def must(self, ok, text):
        if not ok:
            self.bad.append(text)
        return "met" if ok else "NOT met"

    def unpack(self, app):
        """`git archive | tar x` of the app's commit, out of the repository that berth has: ms."""
        to = os.path.join(self.peer, app.name)
        os.mkdir(to)
        commit = app.git("rev-parse", "HEAD").strip()
        command = "git -c safe.directory=* -C \"$0\" archive \"$1\" | tar x -C \"$2\""
        began = time.monotonic()
        run("bash", "-o", "pipefail", "-ec", command, app.repository(), commit, to)
        took = (time.monotonic() - began) * 1000
        shutil.rmtree(to)
        return took


def spread(values):
    v = sorted(values)
    return "%.0f | %.0f | %.0f" % (statistics.median(v), v[len(v) // 10], v[-1 - len(v) // 10])


def size(n):
    return "%.1f MB" % (n / 1e6) if n >= 1e6 else "%.1f kB" % (n / 1e3)


# ---- one line changed ----

def node_app(bench, name, n):
    app = App(bench, name, os.path.join(bench.args.examples, "node-express"))
    files = fill(app.dir, 1, n, 2500, 1)
    app.commit("first")
    return app, "server.js", files


def static_app(bench, name, n):
    app = App(bench, name, os.path.join(bench.args.examples, "static-site"))
    files = fill(app.dir, 2, n, 2500, 1)
    app.commit("first")
    return app, "index.html", files


def plain_app(bench, name, n):
    app = App(bench, name, bench.args.probe)
    files = fill(app.dir, 3, n, 2500, 1)
    app.commit("first")
    return app, "serve.pl", files


def rows_line(bench, rounds):
    plain = App(bench, "plain")
    plain.write("file", "one\n")
    plain.commit("first")
    apps = [node_app(bench, "line-node", 96), static_app(bench, "line-static", 97), plain_app(bench, "line-plain", 97)]
    titles = {"line-node": "node, dependencies by a lock file", "line-static": "static site", "line-plain": "a Procfile, no build step"}
    plain.git("push", "bare:plain", "HEAD:main")
    for app, _, _ in apps:
        note("pushing %s for the first time" % app.name)
        app.push()
    got = {}
    for n in range(-1, rounds):  # the first is to warm up
        plain.write("file", "%d\n" % n)
        plain.commit("change")
        began = time.monotonic()
        plain.git("push", "bare:plain", "HEAD:main")
        bare = (time.monotonic() - began) * 1000
        for app, file, _ in apps:
            app.edit(file, "line %d" % n)
            wall, out = app.push()
            b = bench.berth.build(app.name)
            archive = bench.unpack(app)
            if set(b["steps"]) != {"source"} or b["layers"] != ["source"] or "Installing" in out:
                sys.exit("%s: a line was changed, and this ran: %s, and these layers were made: %s\n%s" % (
                    app.name, " ".join(b["steps"]), " ".join(b["layers"]), out))
            if n < 0:
                continue
            g = got.setdefault(app.name, {})
            for key, value in (("build", b["build"]), ("source", b["steps"]["source"]), ("archive", archive),
                               ("wall", wall - bare - b["rest"])):
                g.setdefault(key, []).append(value)
    print("\n#### One line changed, 100 files, dependencies unchanged\n")
    print("In %d pushes of each app berth ran the source step and no other, and made one layer (asserted). The build phase is from its start to the"
          " recorded image. The push less a bare push and what follows the build is the same seen from outside. Milliseconds.\n" % rounds)
    print("| app | what | median | 10 % | 90 % | must | |")
    print("|---|---|---|---|---|---|---|")
    for app, _, _ in apps:
        g = got[app.name]
        limit = 50 + statistics.median(g["archive"])
        print("| %s | build phase | %s | %.0f | %s |" % (
            titles[app.name], spread(g["build"]), limit,
            bench.must(statistics.median(g["build"]) <= limit, "the build phase of %s" % app.name)))
        print("| | its source step | %s | | |" % spread(g["source"]))
        print("| | push - bare push - what follows the build | %s | | |" % spread(g["wall"]))
        print("| | peer: `git archive \\| tar x` of its files | %s | | |" % spread(g["archive"]))


# ---- ten thousand files ----

def big_app(bench, name):
    app = App(bench, name, bench.args.probe)
    files = fill(app.dir, 4, 10000, 9000, 600)
    app.commit("first")
    return app, files


def checkout(bench, app):
    """The files that differ, into a work tree that is there: ms."""
    tree = os.path.join(bench.peer, "kept")
    os.makedirs(tree, exist_ok=True)
    env = dict(os.environ, GIT_INDEX_FILE=os.path.join(bench.peer, "index"))
    commit = app.git("rev-parse", "HEAD").strip()
    began = time.monotonic()
    run("git", "-c", "safe.directory=*", "--git-dir", app.repository(), "--work-tree", tree, "checkout", "-q", "-f", commit, "--", ".",
        env=env)
    return (time.monotonic() - began) * 1000


def rows_tree(bench, rounds):
    note("pushing 10,000 files")
    app, files = bench.big
    app.push()
    checkout(bench, app)
    bench.berth.settled()
    got = {"whole": [], "one": [], "archive": [], "checkout": [], "phase": []}
    for n in range(rounds):
        app.edit("serve.pl", "whole %d" % n)
        app.push("-o", "no-cache")
        whole = bench.berth.build(app.name)["steps"]["source"]
        bench.berth.settled()
        archive = bench.unpack(app)
        os.sync()
        checkout(bench, app)
        app.edit(files[n], "line %d" % n)
        app.push()
        one = bench.berth.build(app.name)
        bench.berth.settled()
        for key, value in (("whole", whole), ("archive", archive), ("one", one["steps"]["source"]),
                           ("phase", one["build"]), ("checkout", checkout(bench, app))):
            got[key].append(value)
        note("round %d of %d" % (n + 1, rounds))
    bytes_all = sum(os.path.getsize(os.path.join(app.dir, f)) for f in files)
    print("\n#### %d files, %s\n" % (len(files), size(bytes_all)))
    print("The source step (a git tree to a layer that a plan was made on) beside git's own ways into a folder of the same file system."
          " Milliseconds.\n")
    print("| what | median | 10 % | 90 % | to its peer |")
    print("|---|---|---|---|---|")
    m = {k: statistics.median(v) for k, v in got.items()}
    print("| all files anew: `git archive \\| tar x` | %s | |" % spread(got["archive"]))
    print("| all files anew: berth's source step | %s | %.2f |" % (spread(got["whole"]), m["whole"] / m["archive"]))
    print("| one file changed: `git checkout` into a kept folder | %s | |" % spread(got["checkout"]))
    print("| one file changed: berth's source step | %s | %.2f, of the archive %.3f |" % (
        spread(got["one"]), m["one"] / m["checkout"], m["one"] / m["archive"]))
    print("| one file changed: berth's build phase | %s | |" % spread(got["phase"]))


# ---- dependencies ----

def lock_change(app, folder=""):
    """One package of the lock file moves to another version that fits."""
    path = os.path.join(app.dir, folder, "package-lock.json")
    with open(path, encoding="utf-8") as f:
        lock = json.load(f)
    entry = lock["packages"]["node_modules/object-inspect"]
    entry["version"] = "1.13.4"
    entry.pop("integrity")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(lock, f, indent=2)


def hand_app(bench, n):
    """`npm ci` by hand in a build's sandbox: a build script times it, without and with what npm kept."""
    app = App(bench, "hand-%d" % n)
    shutil.copytree(os.path.join(bench.args.examples, "node-express"), os.path.join(app.dir, "hand"))
    app.write("package.json", json.dumps({"name": "hand", "private": True, "engines": {"node": ">=18"},
                                          "scripts": {"build": "sh hand.sh", "start": "node hand/server.js"}}))
    app.write("hand.sh", "cd hand && began=$(date +%s%3N) && npm ci --omit=dev --cache /cache/hand &&\n"
              "echo \"by hand: $(($(date +%s%3N) - began)) ms\"\n")
    app.commit("first")
    return app


def by_hand(app):
    _, out = app.push()
    found = re.search(r"by hand: (\d+) ms", out)
    if not found:
        sys.exit("npm ci by hand did not run:\n%s" % out)
    return float(found.group(1))


def by_berth(bench, app):
    _, out = app.push()
    steps = bench.berth.build(app.name)["steps"]
    if "deps" not in steps or "npm ci" not in out:
        sys.exit("%s: no packages were installed:\n%s" % (app.name, out))
    return steps["deps"]


def rows_deps(bench, rounds):
    got = {"hand cold": [], "hand warm": [], "cold": [], "warm": []}
    for n in range(-1, rounds):
        hand = hand_app(bench, n + 1)
        app = App(bench, "deps-%d" % (n + 1), os.path.join(bench.args.examples, "node-express"))
        app.write("package.json", open(os.path.join(app.dir, "package.json"), encoding="utf-8").read().replace(
            "Hello from", "Hello %d from" % n))
        app.commit("first")
        cold = by_hand(hand), by_berth(bench, app)
        lock_change(hand, "hand")
        hand.commit("lock")
        lock_change(app)
        app.commit("lock")
        warm = by_hand(hand), by_berth(bench, app)
        if n >= 0:  # the first round also brings Node.js
            got["hand cold"].append(cold[0])
            got["cold"].append(cold[1])
            got["hand warm"].append(warm[0])
            got["warm"].append(warm[1])
        for a in (hand, app):
            run("berth", "apps:destroy", a.name, "--force")
        note("round %d of %d" % (n + 2, rounds + 1))
    print("\n#### The packages of a node app: express and what it needs\n")
    print("By hand: `npm ci` in the build script of another app, so the same sandbox, limits, network and Node.js; its clock runs for npm"
          " alone. berth: the whole step, sandbox and layer included. Cold: nothing kept. Warm: the lock file moves one package, what npm kept"
          " is there. Milliseconds.\n")
    print("| what | median | 10 % | 90 % | to by hand |")
    print("|---|---|---|---|---|")
    for kind in ("cold", "warm"):
        print("| %s, by hand | %s | |" % (kind, spread(got["hand " + kind])))
        print("| %s, berth | %s | %.2f |" % (kind, spread(got[kind]),
                                             statistics.median(got[kind]) / statistics.median(got["hand " + kind])))


# ---- disk ----

def disk(path):
    """Below path: bytes in files, and blocks of files and folders in bytes, each once."""
    seen, content, blocks = set(), 0, 0
    for top, folders, files in os.walk(path):
        for name in folders + files + ["."]:
            try:
                st = os.lstat(os.path.join(top, name))
            except OSError:
                continue
            if st.st_ino not in seen:
                seen.add(st.st_ino)
                blocks += st.st_blocks * 512
                content += st.st_size if stat.S_ISREG(st.st_mode) else 0
    return content, blocks


def grow(bench, app, files, releases, each):
    """Pushes releases that each change a line of so many files; what changed (bytes, blocks), layers and repository grew."""
    app.push()
    bench.berth.settled()
    places = [os.path.join(bench.args.state, "layers"), app.repository()]
    before = [disk(p) for p in places]
    changed = [0, 0]
    for n in range(releases):
        for file in files[n * each:(n + 1) * each]:
            app.edit(file, "disk %d" % n, commit=False)
            st = os.stat(os.path.join(app.dir, file))
            changed[0] += st.st_size
            changed[1] += st.st_blocks * 512
        app.commit("disk %d" % n)
        app.push()
        kinds = bench.berth.build(app.name)["layers"]
        if kinds != ["source"]:
            sys.exit("%s: these layers were made: %s" % (app.name, " ".join(kinds)))
    bench.berth.settled()
    return [changed] + [[x - y for x, y in zip(disk(p), b)] for p, b in zip(places, before)]


def rows_disk(bench, releases):
    big, paths = bench.big
    static, _, static_files = static_app(bench, "disk-static", 97)
    node, _, node_files = node_app(bench, "disk-node", 96)
    print("\n#### Disk for %d further releases, one line changed in each file\n" % releases)
    print("Each release changes other files. A file takes whole blocks here (of 4 kB), and so does a folder: a layer has two of its own, and those on the way to what it"
          " holds, of which /app takes two blocks.\n")
    print("| app | files changed by a release | changed: bytes, blocks | layers grew: bytes, blocks | blocks to blocks changed (aim: 2) | repository grew | a release, in all | the whole tree each time |")
    print("|---|---|---|---|---|---|---|---|")
    for app, files, each, title in ((static, static_files, 1, "static site, 100 files"), (node, node_files, 1, "node, dependencies, 100 files"),
                                    (big, paths[100:], 1, "10,000 files"), (big, paths[200:], 20, "10,000 files")):
        note("disk: %s" % title)
        changed, layers, repository = grow(bench, app, files, releases, each)
        tree = disk(app.dir)[1] - disk(os.path.join(app.dir, ".git"))[1]
        print("| %s | %d | %s, %s | %s, %s | %.1f | %s | %s | %s |" % (
            title, each, size(changed[0]), size(changed[1]), size(layers[0]), size(layers[1]), layers[1] / changed[1],
            size(repository[1]), size((layers[1] + repository[1]) / releases), size(tree)))


def main():
    p = argparse.ArgumentParser(prog="tests/bench/build")
    p.add_argument("--rounds", type=int, help="of the rows line and tree; a third of it for deps")
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--short", action="store_true")
    p.add_argument("--work", required=True)
    p.add_argument("--state", required=True)
    p.add_argument("--examples", required=True)
    p.add_argument("--probe", required=True)
    args = p.parse_args()
    rows = args.rows.split(",")
    if not set(rows) <= set(ROWS):
        p.error("the rows are %s" % ", ".join(ROWS))
    rounds = args.rounds or (5 if args.short else 15)
    bench = Bench(args)
    if {"tree", "disk"} & set(rows):
        note("writing 10,000 files")
        bench.big = big_app(bench, "big")
    print("### Builds, %s\n\n%d processors, Linux %s; interleaved rounds: %d of one line, %d of the tree, %d of packages; median, tenth and ninetieth percentile."
          % (datetime.date.today().isoformat(), os.cpu_count(), platform.release(), rounds, max(rounds // 3, 2), max(rounds // 5, 2)))
    if "line" in rows:
        rows_line(bench, rounds)
    if "tree" in rows:
        rows_tree(bench, max(rounds // 3, 2))
    if "deps" in rows:
        rows_deps(bench, max(rounds // 5, 2))
    if "disk" in rows:
        rows_disk(bench, 10)
    for text in bench.bad:
        print("\nNOT met: %s." % text)
    sys.exit(1 if bench.bad else 0)


if __name__ == "__main__":
    main()
