"""The rounds of the router's benchmark, and its tables. See tests/bench/router."""
import argparse
import glob
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from router_control import Control
from router_peers import ALL, HERE, LOAD_CPU, PROXY_CPU, ROOT, Site, answers, free_port, harness, host_name, program, spawn, environment

BIN = os.path.join(ROOT, "build/test/bench")


class Row:
    def __init__(self, name, title, hosts, tool, path="/64", conns=64, tls=False, close=False, must=None, cold=False, unix=None):
        self.name, self.title, self.hosts, self.tool, self.path = name, title, hosts, tool, path
        self.conns, self.tls, self.close = conns, tls, close
        self.must = must    # (at most this ratio, to which peer; None: the best)
        self.unix = unix    # who reaches the backend over a unix socket: None, "berth" or "all" that can
        self.cold = cold    # the connections to each app are made first


ROUTE_S = 30  # who has no new route by then is told so
ROUTES = [("50 apps", 50, 50), ("5,000 apps", 5000, 5000), ("5,000 apps, 10,000 hostnames", 5000, 10000)]
ROWS = [
    Row("64", "64 B, keep-alive", 1, "wrk", must=(0.85, None)),
    Row("10k", "10 KB, keep-alive", 1, "wrk", "/10k", must=(0.92, None)),
    Row("1m", "1 MB, keep-alive, 8 connections", 1, "wrk", "/1m", 8, must=(0.8, "nginx")),
    Row("new", "64 B, a new connection each", 1, "wrk", close=True),
    Row("u64", "64 B, berth over a unix socket, the peers over TCP", 1, "wrk", must=(0.7, None), unix="berth"),
    Row("u10k", "10 KB, berth over a unix socket, the peers over TCP", 1, "wrk", "/10k", unix="berth"),
    Row("uu64", "64 B, all over a unix socket", 1, "wrk", unix="all"),
    Row("uu10k", "10 KB, all over a unix socket", 1, "wrk", "/10k", unix="all"),
    Row("512", "64 B, 512 connections", 1, "wrk", conns=512),
    Row("ws", "WebSocket message of 64 B there and back", 1, "messages"),
    Row("tls", "TLS 1.3, HTTP/1.1, 64 B", 1, "wrk", tls=True, must=(1.0, "nginx")),
    Row("tls10k", "TLS 1.3, HTTP/1.1, 10 KB", 1, "wrk", "/10k", tls=True),
    Row("tlsnew", "TLS 1.3, a full handshake each", 1, "wrk", conns=32, tls=True, close=True),
    Row("h2", "TLS 1.3, HTTP/2, 64 B, 8 connections of 16 streams", 1, "h2load", conns=8, tls=True, must=(1.0, None)),
    Row("h50", "64 B, 50 hostnames", 50, "wrk"),
    Row("h5000", "64 B, 5,000 hostnames", 5000, "wrk", must=(0.75, None), cold=True),
    Row("h10000", "64 B, 10,000 hostnames of 5,000 apps", 10000, "wrk", cold=True),
]


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_ns(proxy):
    total = 0
    for pid in proxy.pids():
        for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
            try:
                with open(path) as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
    return total


def rss_kb(proxy):
    total = 0
    for pid in proxy.pids():
        with open("/proc/%d/status" % pid) as f:
            total += int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
    return total


def to_us(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def on_load_cpu(words, folder):
    done = subprocess.run(["nice", "-n", "-20", "taskset", "-c", str(LOAD_CPU)] + words, capture_output=True, text=True,
                          env=environment(folder), timeout=120)
    return done.stdout + done.stderr


def by_wrk(row, port, seconds, folder):
    scheme = "https" if row.tls else "http"
    words = ["wrk", "-t1", "-c%d" % row.conns, "-d%ds" % seconds, "--latency"]
    if row.hosts > 1:
        words += ["-s", os.path.join(folder, "hosts-%d.lua" % row.hosts)]
    else:
        words += ["-H", "Host: localhost"] + (["-H", "Connection: close"] if row.close else [])
    out = on_load_cpu(words + ["%s://localhost:%d%s" % (scheme, port, row.path)], folder)
    n, seconds_taken = int(re.search(r"(\d+) requests in", out)[1]), float(re.search(r"requests in ([\d.]+)s", out)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    lost = int(bad[1]) if bad else 0
    if errors:  # a server that closes after each answer gives read errors of no weight
        lost += int(errors[1]) + (0 if row.close else int(errors[2])) + int(errors[3])
    return n, n / seconds_taken, to_us(re.search(r"\n\s+50%\s+(\S+)", out)[1]), to_us(re.search(r"\n\s+99%\s+(\S+)", out)[1]), lost


def by_h2load(row, port, seconds, folder):
    log = os.path.join(folder, "h2load.log")
    open(log, "w").close()
    out = on_load_cpu([program("h2load"), "-t1", "-c%d" % row.conns, "-m16", "-D%d" % seconds, "--log-file=" + log,
                       "https://localhost:%d%s" % (port, row.path)], folder)
    if "Application protocol: h2" not in out:
        raise RuntimeError("no HTTP/2: " + out[:400])
    done, failed, errored = (int(n) for n in re.search(r"(\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored", out).groups())
    failed += int(re.search(r"2xx, (\d+) 3xx, \d+ 4xx", out)[1])
    rate = float(re.search(r"finished in.*?, ([\d.]+) req/s", out)[1])
    with open(log) as f:
        times = sorted(int(line.split()[2]) for line in f)
    if not times:
        raise RuntimeError("no answer by HTTP/2: " + out[-300:])
    return done, rate, times[len(times) // 2], times[len(times) * 99 // 100], failed + errored


def by_messages(row, port, seconds, folder):
    out = on_load_cpu([os.path.join(BIN, "messages"), str(port), "localhost", str(row.conns), str(seconds)], folder)
    m = re.fullmatch(r"(\d+) (\d+) (\d+)\n", out)
    if not m:
        raise RuntimeError("messages: " + out)
    return int(m[1]), int(m[1]) / seconds, float(m[2]), float(m[3]), 0


TOOLS = {"wrk": by_wrk, "h2load": by_h2load, "messages": by_messages}


def lua(hosts):
    """Requests for each host in turn."""
    return ("local r, i = {}, 0\n"
            "init = function(args)\n for k = 1, %d do\n"
            "  r[k] = wrk.format('GET', nil, {['Host'] = k == 1 and 'localhost' or 'app' .. (k - 1) .. '.test'})\n end\nend\n"
            "request = function() i = i %% #r + 1; return r[i] end\n" % hosts)


def certificate(folder):
    chain, key, both = (os.path.join(folder, n) for n in ("chain.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-keyout", key, "-out", chain,
                    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext",
                    "subjectAltName=DNS:localhost,DNS:*.test"], check=True, capture_output=True)
    with open(both, "w") as out:
        for name in (chain, key):
            with open(name) as f:
                out.write(f.read())
    return chain, key, both


def speaks(port, protocol):
    """Whether a TLS listener agrees to an application protocol."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.set_alpn_protocols([protocol])
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as raw, c.wrap_socket(raw, server_hostname="localhost") as s:
            return s.selected_alpn_protocol() == protocol
    except OSError:
        return False


class Bench:
    def __init__(self, options, folder):
        self.o, self.folder, self.results, self.notes = options, folder, {}, []
        self.cert = certificate(folder)
        self.backend_port = free_port()
        self.backend_path = os.path.join(folder, "backend")
        self.backend = spawn([os.path.join(BIN, "backend"), str(self.backend_port), self.backend_path], LOAD_CPU, folder)
        assert harness.wait_for(lambda: answers(self.backend_port)), "the backend does not start"
        self.kinds = [k for k in ALL if k.name in options.peers]

    def close(self):
        self.backend.terminate()
        self.backend.wait()

    def start(self, kind, hosts, apps=5000, master=False, unix=None):
        site = Site(hosts, self.backend_port, self.cert, apps)
        site.unix = self.backend_path if unix in ("all", kind.name) else None
        return kind(site, self.folder, master)

    def connect_all(self, row, port):
        """Each of many apps is connected to once, and every program keeps that; berth gets its sockets from a slow stand-in for berthd."""
        n = turn = 0
        while n < 20 * row.hosts and turn < 12:
            n += TOOLS[row.tool](row, port, 2, self.folder)[0]
            turn += 1

    def measure(self, row, proxy):
        port = proxy.tls_port if row.tls else proxy.port
        if row.cold:
            self.connect_all(row, port)
        elif self.o.warm:
            TOOLS[row.tool](row, port, 1, self.folder)
        before, sent = cpu_ns(proxy), time.monotonic()
        n, rate, p50, p99, lost = TOOLS[row.tool](row, port, self.o.seconds, self.folder)
        took = time.monotonic() - sent
        used = cpu_ns(proxy) - before
        if n < 100:
            raise RuntimeError("only %d requests in a round: the load got no processor" % n)
        return {"us": used / 1000 / n, "rate": rate, "p50": p50, "p99": p99, "lost": lost, "busy": used / 1e9 / took}

    def can(self, row, proxy):
        if row.tool == "h2load":
            return proxy.h2 and speaks(proxy.tls_port, "h2")
        return proxy.tls or not row.tls

    def group(self, hosts, unix, rows):
        """All rows with so many hosts over the same sockets: every program is started once, and stands still while another is measured."""
        with open(os.path.join(self.folder, "hosts-%d.lua" % hosts), "w") as f:
            f.write(lua(hosts))
        proxies = []
        try:
            for kind in self.kinds:
                say("# %d hostnames: starting %s" % (hosts, kind.title))
                proxies.append(self.start(kind, hosts, unix=unix))
            able = {(r.name, p.name) for p in proxies for r in rows if self.can(r, p)}
            for p in proxies:
                p.pause(True)
            for turn in range(self.o.rounds):
                for row in rows:
                    for p in proxies[turn % len(proxies):] + proxies[:turn % len(proxies)]:
                        if (row.name, p.name) in able:
                            self.one(row, p, turn)
        finally:
            for p in proxies:
                p.close()

    def one(self, row, proxy, turn):
        proxy.pause(False)
        try:
            got = self.measure(row, proxy)
        except (RuntimeError, TypeError, subprocess.TimeoutExpired) as e:
            self.notes.append("%s, %s: %s" % (row.title, proxy.title, str(e)[:200]))
            return
        finally:
            proxy.pause(True)
        self.results.setdefault((row.name, proxy.name), []).append(got)
        say("# round %d %-7s %-8s %8.2f us %9.0f/s p50 %6.0f p99 %7.0f us, busy %.2f, lost %d" % (
            turn + 1, row.name, proxy.name, got["us"], got["rate"], got["p50"], got["p99"], got["busy"], got["lost"]))

    # memory and routes

    def memory(self):
        found = {}
        for kind in self.kinds:
            say("# memory of %s" % kind.title)
            p = self.start(kind, 1)
            try:
                for _ in range(20):
                    get(p.port)
                idle = rss_kb(p)
                held = [held_open(p.port) for _ in range(5000)]
                crowd = rss_kb(p)
                for s in held:
                    s.close()
            finally:
                p.close()
            p = self.start(kind, 5000)
            try:
                get(p.port)
                found[kind.name] = (idle, crowd, rss_kb(p))
            finally:
                p.close()
        return found

    def until_served(self, title, port, name, tell):
        """Seconds from telling a program of one more hostname until it serves it; and whether it did."""
        began = time.monotonic()
        tell()
        late = False
        while not late and get(port, name.encode()) != 200:
            late = time.monotonic() - began > ROUTE_S
        took = time.monotonic() - began
        say("# %s: %s after %.1f ms" % (title, "no route yet" if late else "a new route", took * 1000))
        return took, not late

    def route(self, kind, apps, hosts, times):
        took = []
        p = self.start(kind, hosts, apps, master=True)
        try:
            for n in range(times):
                site = Site(hosts + 1 + n, self.backend_port, self.cert, apps + 1 + n if apps == hosts else apps)
                p.write(site)
                seconds, done = self.until_served(kind.title, p.port, host_name(hosts + n), p.reload)
                took.append(seconds)
                if not done:
                    break
        finally:
            p.close()
        return statistics.median(took)

    def own_route(self, apps, hosts, times):
        """The whole way: domains:add at berth-control's API, its table, two workers. And of that the command itself."""
        took, commands = [], []
        control = Control(Site(hosts, self.backend_port, self.cert, apps), workers=2)
        routers = [harness.Router(control=end) for end in control.ends]
        for r in routers:
            os.sched_setaffinity(r.pid, {LOAD_CPU, PROXY_CPU})
            os.setpriority(os.PRIO_PROCESS, r.pid, -20)

        def add(name):
            began = time.monotonic()
            control.request("PATCH", "/v1/apps/app7/domains", {"add": [name]})
            commands.append(time.monotonic() - began)

        try:
            if not harness.wait_for(control.answers, 30):
                raise RuntimeError("berth-control does not answer")
            for n in range(times + 1):
                name = "new%d.test" % n
                seconds, done = self.until_served("berth", routers[n % 2].port, name, lambda n=name: add(n))
                if not done:
                    raise RuntimeError("berth does not serve a new hostname")
                took.append(seconds)
        finally:
            for r in routers:
                r.close()
            control.close()
        return statistics.median(took[1:]), statistics.median(commands[1:])  # without the first: code that never ran

    def routes(self, times):
        """(what, {program: seconds}, of berth's the command) of each size."""
        found = []
        for title, apps, hosts in ROUTES:
            say("# routes: %s" % title)
            values = {k.name: self.route(k, apps, hosts, times) for k in self.kinds if k.reloads}
            command = 0
            if "berth" in self.o.peers:
                values["berth"], command = self.own_route(apps, hosts, 10 * times)
            found.append((title, values, command))
        return found


def get(port, host=b"localhost"):
    """The status of one request on a connection of its own; 0 when there is no answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(b"GET /64 HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
            head = s.recv(4096)
            return int(head[9:12]) if head else 0
    except OSError:
        return 0


def held_open(port):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.sendall(b"GET /64 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"x" * 64):
        more = s.recv(4096)
        assert more, got
        got += more
    return s


def median(results, key):
    return statistics.median(r[key] for r in results)


def spread(results, key):
    values = [r[key] for r in results]
    return "%.1f (%.1f–%.1f)" % (statistics.median(values), min(values), max(values))


def best_of(values):
    peers = {k: v for k, v in values.items() if k != "berth"}
    return min(peers, key=peers.get) if peers else None


def ratio_cells(values, must):
    """What berth is to the best peer, and whether that is what it must be."""
    best = best_of(values)
    if "berth" not in values or not best:
        return "–", "–"
    against = must[1] if must and must[1] in values else best
    ratio = values["berth"] / values[against]
    cell = "%.2f (%s)" % (values["berth"] / values[best], best)
    if not must:
        return cell, ""
    return cell, "%s %.2f%s" % ("met:" if ratio <= must[0] else "**missed**:", ratio,
                                " ≤ %.2f of %s" % (must[0], must[1] or "the best"))


def print_costs(bench, rows):
    kinds = bench.kinds
    print("\nProcessor time of the program, µs a request (a message, for WebSocket): median, and the extremes.\n")
    print("| | %s | berth to the best | must |" % " | ".join(k.title for k in kinds))
    print("|---|%s---|---|" % ("---|" * len(kinds)))
    for row in rows:
        found = {k.name: bench.results.get((row.name, k.name)) for k in kinds}
        values = {k: median(v, "us") for k, v in found.items() if v}
        cells = [spread(found[k.name], "us") if found[k.name] else "–" for k in kinds]
        print("| %s | %s | %s | %s |" % ((row.title, " | ".join(cells)) + ratio_cells(values, row.must)))
    print("\nRequests a second; 50th and 99th percentile of the time of one, ms. The proxy has one processor, backend and load the "
          "other: where the load is the bottleneck (busy below 1), the rate says little.\n")
    print("| | %s |" % " | ".join(k.title for k in kinds))
    print("|---|%s" % ("---|" * len(kinds)))
    for row in rows:
        cells = []
        for k in kinds:
            found = bench.results.get((row.name, k.name))
            cells.append("%.0f/s; %.2f, %.2f; busy %.2f%s" % (
                median(found, "rate"), median(found, "p50") / 1000, median(found, "p99") / 1000, median(found, "busy"),
                "; **%d lost**" % sum(r["lost"] for r in found) if sum(r["lost"] for r in found) else "") if found else "–")
        print("| %s | %s |" % (row.title, " | ".join(cells)))


def print_memory(bench, found):
    kinds = bench.kinds
    print("\nMemory (resident), MB.\n")
    print("| | %s | berth to the best | must |" % " | ".join(k.title for k in kinds))
    print("|---|%s---|---|" % ("---|" * len(kinds)))
    for i, (title, limit) in enumerate((("idle", 8), ("5,000 idle connections", 12), ("5,000 apps", 16))):
        values = {k: v[i] for k, v in found.items()}
        own = values.get("berth")
        verdict = "" if own is None else "%s ≤ %d MB" % ("met:" if own <= limit * 1024 else "**missed**:", limit)
        print("| %s | %s | %s | %s |" % (title, " | ".join("%.1f" % (values[k.name] / 1024) for k in kinds),
                                        ratio_cells(values, None)[0], verdict))


def print_routes(bench, found):
    print("\nUntil one more hostname is served, ms, to the first answer: from the signal, the new configuration being on disk (nginx, "
          "HAProxy), from the request `domains:add` to berth-control's API, with two workers (berth; in brackets until the "
          "command returns, which it does when every worker has the new table).\n")
    kinds = [k for k in bench.kinds if k.name in found[0][1]]
    print("| beside | %s | berth to the best | must |" % " | ".join(k.title for k in kinds))
    print("|---|%s---|---|" % ("---|" * len(kinds)))
    for title, values, command in found:
        own = values.get("berth")
        cells = ["%.1f%s" % (values[k.name] * 1000, " (%.1f)" % (command * 1000) if k.name == "berth" else "") for k in kinds]
        verdict = "" if own is None else "%s ≤ 5 ms" % ("met:" if own <= 0.005 else "**missed**:")
        print("| %s | %s | %s | %s |" % (title, " | ".join(cells), ratio_cells(values, None)[0], verdict))


def versions(kinds):
    found = []
    with open(os.path.join(ROOT, "build/peers/packages")) as f:
        packages = dict(line.split("_")[:2] for line in f.read().split())
    for k in kinds:
        if k.name in packages:
            found.append("%s %s" % (k.title, packages[k.name].replace("%3a", ":")))
    return ", ".join(found)


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--short", action="store_true")
    p.add_argument("--rounds", type=int)
    p.add_argument("--seconds", type=int)
    p.add_argument("--rows", default="")
    p.add_argument("--peers", default=",".join(k.name for k in ALL))
    p.add_argument("--no-memory", action="store_true")
    p.add_argument("--only-routes", action="store_true", help="how long a new route takes, and nothing else")
    p.add_argument("--json", help="also write every single result there")
    o = p.parse_args()
    o.rounds = o.rounds or (2 if o.short else 5)
    o.seconds = o.seconds or (1 if o.short else 3)
    o.warm = not o.short
    o.peers = o.peers.split(",")
    o.rows = [r for r in ROWS if not o.only_routes and (not o.rows or r.name in o.rows.split(","))]
    return o


def run(o, folder):
    bench = Bench(o, folder)
    try:
        for hosts, unix in sorted({(r.hosts, r.unix or "") for r in o.rows}):
            bench.group(hosts, unix, [r for r in o.rows if (r.hosts, r.unix or "") == (hosts, unix)])
        memory = {} if o.no_memory or o.only_routes else bench.memory()
        routes = [] if o.no_memory else bench.routes(2 if o.short else 5)
    finally:
        bench.close()
    print("### %s, %d processors, Linux %s" % (time.strftime("%Y-%m-%d"), os.cpu_count(), platform.release()))
    print("\n%s. %d interleaved rounds of %d s. The peers' logs are off; berth writes its access lines." % (
        versions(bench.kinds), o.rounds, o.seconds))
    if o.rows:
        print_costs(bench, o.rows)
    if memory:
        print_memory(bench, memory)
    if routes:
        print_routes(bench, routes)
    for note in bench.notes:
        print("\nNot measured: " + note)
    if o.json:
        with open(o.json, "w") as f:
            json.dump([dict(r, row=k[0], program=k[1]) for k, l in bench.results.items() for r in l], f, indent=0)


def go_first():
    """Whatever else the machine does comes after the load (children inherit it)."""
    try:
        os.setsid()
        with open("/proc/self/autogroup", "w") as f:
            f.write("-20")
    except OSError:
        pass


def main():
    o = options()
    go_first()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {LOAD_CPU})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="berth-bench-router-")
    os.chmod(folder, 0o755)
    try:
        run(o, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
