#!/usr/bin/python3
"""Receivers of logs for tests, on loopback.
  drain.py tcp PORT FILE | tls PORT FILE CERT KEY | udp PORT FILE | http PORT FILE [CERT KEY]
     FILE gets each message, one a line; of http each line of a body, unless FILE.status holds another status than 2xx.
     FILE.auth: the last Authorization; FILE.paths: each path; FILE.encodings: each Content-Encoding.
     FILE.slow: seconds before each message is taken (tcp, tls).
  drain.py hang|close|headers|chatter PORT: accepts and never reads or answers; closes at once; answers with headers without end; sends without end."""
import gzip, http.server, os, socket, ssl, sys, threading, time

mode, port = sys.argv[1], int(sys.argv[2])
path = sys.argv[3] if len(sys.argv) > 3 else None
out = open(path, "ab", buffering=0) if path else None


def say(name, default=""):
    try:
        with open(f"{path}.{name}") as f:
            return f.read().strip()
    except OSError:
        return default


def note(name, text, how="a"):
    with open(f"{path}.{name}", how) as f:
        f.write(text + "\n")


def tls(listener):
    if len(sys.argv) < 6:
        return listener
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    return context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)


def frames(conn):
    """RFC 6587 3.4.1: whole messages only."""
    have = b""
    while True:
        more = conn.recv(65536)
        if not more:
            return
        have += more
        while b" " in have[:12]:
            head, rest = have.split(b" ", 1)
            if not head.isdigit():
                os._exit(3)
            if len(rest) < int(head):
                break
            yield rest[: int(head)]
            have = rest[int(head):]


def stream(conn):
    try:
        for message in frames(conn):
            if say("slow"):
                time.sleep(float(say("slow")))
            out.write(message + b"\n")
    except OSError:
        pass
    conn.close()


def hang(conn):
    time.sleep(3600)


def headers(conn):
    try:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n")
        for i in range(100000):
            conn.sendall(b"X-%d: %s\r\n" % (i, b"a" * 8000))
    except OSError:
        pass
    conn.close()


def chatter(conn):
    try:
        while True:
            conn.sendall(b"x" * 65536)
    except OSError:
        pass
    conn.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        note("auth", self.headers.get("Authorization", ""), "w")
        note("paths", self.path)
        note("encodings", self.headers.get("Content-Encoding", ""))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status = int(say("status", "204"))
        if status // 100 == 2:
            out.write(body)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "2")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def serve():
    if mode == "http":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.socket = tls(server.socket)
        server.serve_forever()
    if mode == "udp":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.bind(("127.0.0.1", port))
        while True:
            out.write(s.recv(65536) + b"\n")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    listener = tls(listener)
    what = {"tcp": stream, "tls": stream, "hang": hang, "headers": headers, "chatter": chatter, "close": lambda c: c.close()}[mode]
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=what, args=(conn,), daemon=True).start()


serve()
