#!/usr/bin/env python3
"""Steady load on one hostname: counts requests, compares whole bodies, names the longest gap.

Keep-alive connections and fresh ones side by side. Runs until SIGTERM or --seconds; the last line of the output is
the result; exit status 1 when a single request failed. A connection that the server announced to close
("Connection: close") is opened again; any other loss is a failure.
"""
import argparse
import collections
import signal
import socket
import sys
import threading
import time


class Failed(Exception):
    pass


def read_response(sock, rest):
    """One response from the socket: (status, body, closes, unread bytes)."""
    data = rest
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            raise Failed("closed before the response (%d bytes)" % len(data))
        data += chunk
    head, data = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    closes = fields.get("connection", "").lower() == "close"

    def more():
        chunk = sock.recv(65536)
        if not chunk:
            raise Failed("closed in the body")
        return chunk

    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            while b"\r\n" not in data:
                data += more()
            line, data = data.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            while len(data) < size + 2:
                data += more()
            body += data[:size]
            data = data[size + 2:]
            if size == 0:
                return status, body, closes, data
    if "content-length" in fields:
        size = int(fields["content-length"])
        while len(data) < size:
            data += more()
        return status, data[:size], closes, data[size:]
    if not closes:
        raise Failed("response without a length on a kept connection")
    while True:
        chunk = sock.recv(65536)
        if not chunk:
            return status, data, True, b""
        data += chunk


class Client:
    def __init__(self, port, host, path, keep):
        self.port, self.keep = port, keep
        self.request = (
            "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\n%s\r\n"
            % (path, host, "" if keep else "Connection: close\r\n")
        ).encode()
        self.sock, self.rest = None, b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock, self.rest = None, b""

    def get(self):
        try:
            if not self.sock:
                self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=35)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.sendall(self.request)
            status, body, closes, self.rest = read_response(self.sock, self.rest)
        except (OSError, ValueError) as e:
            self.close()
            raise Failed(str(e) or type(e).__name__)
        except Failed:
            self.close()
            raise
        if closes or not self.keep:
            self.close()
        return status, body


class Load:
    def __init__(self, args):
        self.args = args
        self.good = {}
        for path in args.expect:
            with open(path, "rb") as f:
                self.good[f.read()] = path
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.count = self.failed = 0
        self.bodies = collections.Counter()
        self.errors = collections.Counter()
        self.last_good = self.gap = 0.0
        self.slowest = 0.0

    def note(self, began, error, name):
        now = time.monotonic()
        with self.lock:
            self.count += 1
            if error:
                self.failed += 1
                self.errors[error] += 1
                return
            self.bodies[name] += 1
            self.slowest = max(self.slowest, now - began)
            if self.last_good:
                self.gap = max(self.gap, now - self.last_good)
            self.last_good = now

    def work(self, keep):
        a = self.args
        client = Client(a.port, a.host, a.path, keep)
        while not self.stop.is_set():
            began = time.monotonic()
            error = name = None
            try:
                status, body = client.get()
                name = self.good.get(body)
                if status != 200:
                    error = "status %d: %s" % (status, body[:80].decode("latin-1"))
                elif self.good and name is None:
                    error = "unknown body: %s" % body[:80].decode("latin-1")
            except Failed as e:
                error = "%s: %s" % ("kept" if keep else "fresh", e)
            self.note(began, error, name)
            self.stop.wait(max(0.0, a.pause_ms / 1000 - (time.monotonic() - began)))
        client.close()

    def run(self):
        threads = [threading.Thread(target=self.work, args=(True,)) for _ in range(self.args.kept)]
        threads += [threading.Thread(target=self.work, args=(False,)) for _ in range(self.args.fresh)]
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        signal.signal(signal.SIGINT, lambda *_: self.stop.set())
        began = time.monotonic()
        for t in threads:
            t.start()
        print("started", flush=True)
        self.stop.wait(self.args.seconds)
        self.stop.set()
        for t in threads:
            t.join()
        seconds = time.monotonic() - began
        for error, n in self.errors.most_common(10):
            print("%d times: %s" % (n, error))
        for name, n in self.bodies.items():
            if name:
                print("%d answers were %s" % (n, name))
        print(
            "%d requests, %d failed, %.1f s, slowest %.0f ms, longest gap between two good answers %.0f ms"
            % (self.count, self.failed, seconds, self.slowest * 1000, self.gap * 1000)
        )
        return 1 if self.failed or not self.count else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--host", required=True)
    p.add_argument("--path", default="/")
    p.add_argument("--expect", action="append", default=[], help="file with a good body; several are allowed")
    p.add_argument("--kept", type=int, default=4, help="keep-alive connections")
    p.add_argument("--fresh", type=int, default=2, help="clients that connect for each request")
    p.add_argument("--pause-ms", type=float, default=10, help="between two requests of one client")
    p.add_argument("--seconds", type=float, default=10)
    sys.exit(Load(p.parse_args()).run())


if __name__ == "__main__":
    main()
