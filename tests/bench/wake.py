"""The measuring half of tests/bench/wake: puts apps to sleep, asks, sums up as Markdown. See there."""
import argparse
import datetime
import json
import os
import platform
import socket
import statistics
import subprocess
import time

STATES = ("awake", "frozen", "stopped")
WAYS = {"frozen": "freeze", "stopped": "stop"}
SHOWN = {"frozen": "frozen", "stopped": "asleep"}


def berth(*words):
    return subprocess.run(("berth",) + words, check=True, capture_output=True, text=True).stdout


def state(app):
    return json.loads(berth("apps:report", app, "--format", "json"))["state"]


def wait_state(app, wanted):
    end = time.monotonic() + 30
    while state(app) != wanted:
        if time.monotonic() > end:
            raise SystemExit("%s is %s, not %s" % (app, state(app), wanted))
        time.sleep(0.02)


def first_byte(port, app):
    """Milliseconds; every answer must be a good one."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(0.02)  # the router has accepted it
        request = b"GET / HTTP/1.1\r\nHost: %s.localhost\r\nConnection: close\r\n\r\n" % app.encode()
        began = time.perf_counter()
        s.sendall(request)
        head = s.recv(65536)
        took = (time.perf_counter() - began) * 1000
        while b"\r\n" not in head:
            head += s.recv(65536)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit("%s: %r" % (app, head[:200]))
        while s.recv(65536):
            pass
    return took


def measure(port, app, how):
    if how != "awake":
        berth("ps:set", app, "sleep", WAYS[how])
        berth("ps:sleep", app)
        wait_state(app, SHOWN[how])
        time.sleep(0.2)
    took = first_byte(port, app)
    wait_state(app, "running")
    first_byte(port, app)  # the next one finds it warm
    return took


def spread(values):
    ordered = sorted(values)
    at = lambda q: ordered[min(len(ordered) - 1, int(q * len(ordered)))]
    return "%.2f | %.2f | %.2f" % (statistics.median(ordered), at(0.1), at(0.9))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("apps", nargs="+")
    args = p.parse_args()
    rows = {app: {how: [] for how in STATES} for app in args.apps}
    for app in args.apps:
        first_byte(args.port, app)
    for number in range(args.rounds):
        for app in args.apps:
            for how in STATES[number % 3:] + STATES[:number % 3]:
                rows[app][how].append(measure(args.port, app, how))
    print("### First byte of an app asleep, %s\n" % datetime.date.today())
    print("%d processors, Linux %s; %d interleaved rounds; milliseconds: median, tenth and ninetieth percentile.\n"
          % (os.cpu_count(), platform.release(), args.rounds))
    print("| app | it was | median | 10 % | 90 % |\n|---|---|---|---|---|")
    for app in args.apps:
        for how in STATES:
            print("| %s | %s | %s |" % (app, how, spread(rows[app][how])))
    print("\nDifference to the same app awake in the same round:\n")
    print("| app | it was | median | 10 % | 90 % | must | |\n|---|---|---|---|---|---|---|")
    for app in args.apps:
        for how in STATES[1:]:
            over = [a - b for a, b in zip(rows[app][how], rows[app]["awake"])]
            verdict = ("5", "met" if statistics.median(over) <= 5 else "missed") if how == "frozen" else ("-", "")
            print("| %s | %s | %s | %s | %s |" % ((app, how, spread(over)) + verdict))


if __name__ == "__main__":
    main()
