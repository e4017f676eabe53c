#!/usr/bin/env python3
"""Long streams through the router while releases change: WebSockets, server-sent events, downloads.

usage: streams.py --port N --host NAME --deploys FILE --each N

Opens N of each kind and opens those that end again, until SIGTERM. FILE has a line "RELEASE BEGAN_MS ENDED_MS" for each
deploy, in order; its switch lies in between. A stream may end when its release was replaced longer ago than an old
release gets to drain, or when it is more than two releases old. The last line of the output is the result; exit status
1 when any other stream broke.
"""
import argparse
import base64
import collections
import os
import signal
import socket
import sys
import threading
import time

DRAIN_MS = 30000
OLD_KEPT = 2  # releases that drain beside the live one
LONG = 30 << 20

p = argparse.ArgumentParser()
p.add_argument("--port", type=int, required=True)
p.add_argument("--host", required=True)
p.add_argument("--deploys", required=True)
p.add_argument("--each", type=int, default=4)
arg = p.parse_args()

stop = threading.Event()
ends = []  # (kind, release, when, how)
units = collections.Counter()
lock = threading.Lock()


def now_ms():
    return int(time.time() * 1000)


class Ended(Exception):
    pass


class Stream:
    def __init__(self, request):
        self.sock = socket.create_connection(("127.0.0.1", arg.port), timeout=10)
        self.data = b""
        self.sock.sendall(("GET %s\r\nHost: %s\r\n\r\n" % (request, arg.host)).encode())
        head = self.until(b"\r\n\r\n").decode("latin-1")
        self.status = head.split(" ")[1]
        self.release = next((l.split(":")[1].strip() for l in head.split("\r\n") if l.lower().startswith("x-release:")), "")

    def more(self):
        try:
            got = self.sock.recv(65536)
        except OSError as e:
            raise Ended(str(e))
        if not got:
            raise Ended("closed")
        self.data += got

    def until(self, mark):
        while mark not in self.data:
            self.more()
        head, self.data = self.data.split(mark, 1)
        return head

    def take(self, n):
        while len(self.data) < n:
            self.more()
        got, self.data = self.data[:n], self.data[n:]
        return got


def websocket(s):
    """One echo each 100 ms; the answer must be the same bytes."""
    n = 0
    while not stop.is_set():
        n += 1
        text = b"%d %s\n" % (n, base64.b64encode(os.urandom(30)))
        try:
            s.sock.sendall(text)
        except OSError as e:
            raise Ended(str(e))
        if s.take(len(text)) != text:
            raise Ended("another answer")
        units["messages"] += 1
        time.sleep(0.1)


def events(s):
    """Each event has the next number."""
    want = 0
    while not stop.is_set():
        s.take(int(s.until(b"\r\n"), 16) and 0)
        want += 1
        if s.until(b"\n\n") != b"data: %d" % want or s.take(2) != b"\r\n":
            raise Ended("not event %d" % want)
        units["events"] += 1


def download(s):
    left = LONG
    while left and not stop.is_set():
        if not s.data:
            s.more()
        left -= len(s.data)
        units["kB"] += len(s.data) // 1024
        s.data = b""
    units["downloads"] += not left


KINDS = {
    "websocket": ("/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", "101", websocket),
    "events": ("/events HTTP/1.1", "200", events),
    "download": ("/long?%d HTTP/1.1" % LONG, "200", download),
}


def keep(kind):
    request, status, run = KINDS[kind]
    while not stop.is_set():
        release = ""
        try:
            s = Stream(request)
            release = s.release
            if s.status != status:
                raise Ended("status " + s.status)
            run(s)
        except (Ended, OSError) as e:
            with lock:
                ends.append((kind, release, now_ms(), str(e)))


def read_deploys():
    with open(arg.deploys) as f:
        return [(name, int(began), int(ended)) for name, began, ended in (l.split() for l in f)]


def allowed(deploys, release, when):
    names = [d[0] for d in deploys]
    if release not in names:
        return False
    later = deploys[names.index(release) + 1:]
    return bool(later) and (when >= later[0][1] + DRAIN_MS - 1000 or
                            (len(later) > OLD_KEPT and when >= later[OLD_KEPT][1]))


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [threading.Thread(target=keep, args=(kind,), daemon=True) for kind in KINDS for _ in range(arg.each)]
    for t in threads:
        t.start()
    stop.wait()
    for t in threads:
        t.join(timeout=5)
    deploys = read_deploys()
    wrong = [e for e in ends if not allowed(deploys, e[1], e[2])]
    for e in wrong[:20]:
        print("broken: %s of %s at %d: %s" % e)
    print("%d websocket messages, %d events, %d downloads (%d MB); %d streams ended with an old release, %d broken"
          % (units["messages"], units["events"], units["downloads"], units["kB"] >> 10, len(ends) - len(wrong), len(wrong)))
    sys.exit(bool(wrong) or not units["messages"] or not units["events"] or not units["kB"])


main()
