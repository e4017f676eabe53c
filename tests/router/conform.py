"""The conformance table: rows (cases/*.py), a backend that records every byte, and what plays a row.

A row says what a client sends, what it gets, what becomes of its connection, and what has reached the app, byte for
byte. Each is played twice: whole, and in pieces of seven bytes (from the client and from the app). After each, a
request on a new connection shows that the backend has seen exactly the requests of the row, and nothing since.
"""
import glob
import html
import importlib.util
import os
import re
import socket
import threading
import time

from harness import *

HALF, RESET, CLOSE, BODY, TUNNEL = "half", "reset", "close", "body", "tunnel"
HOST = b"Host: a.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
FORWARDED = (b"Via: %s berth\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: PORT\r\n"
             b"%sX-Request-Start: START\r\n%s\r\n")
OWN = FORWARDED % (b"1.1", b"X-Request-Id: ID\r\n", b"")
PIECE, PIECES_MAX = 7, 6000
PATIENCE_S = 10.0


def post(fields, body=b""):
    return b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def with_fields(fields):
    return b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n"


def seen(line=b"GET / HTTP/1.1", fields=HOST, body=b"", via=b"1.1", made_id=True, tail=b""):
    """A request as it reaches the app: the router's own fields stand behind those that are kept."""
    return line + b"\r\n" + fields + FORWARDED % (via, b"X-Request-Id: ID\r\n" if made_id else b"", tail) + body


def answer(target=b"/", version=b"1.1", extra=b""):
    """What the recording app answers, as the client gets it."""
    return b"HTTP/%s 200 OK\r\nContent-Length: %d\r\nDate: D\r\n%s\r\n%s" % (version, len(target), extra, target)


class Partial(bytes):
    """Reached the app, and is no whole request."""


class Row:
    via = b"1.1"

    def __init__(self, name, rfc, send, want, fate, reached, app=None, got=None, late=False, whole=False, waits=False):
        self.name, self.rfc = name, rfc
        self.send = send if isinstance(send, list) else [send]
        self.want = want if isinstance(want, list) else [want] if want else []  # statuses
        self.fate = fate            # "kept", "closed" or "reset"
        self.reached = reached if isinstance(reached, list) else [reached] if reached else []
        self.app = app              # what it answers: bytes, or steps; None: the target of each request
        self.got = got              # all bytes that the client gets, where they matter
        self.late = late            # the fault is in a body: its head may have gone on before that is known
        self.whole = whole          # not played in pieces
        self.waits = waits          # for a time limit: played once, beside others


def refused(name, rfc, send, status, **more):
    """An answer by the router, and the end of the connection; another request behind it is never looked at."""
    return Row(name, rfc, [send, SMUGGLED], status, "closed", None, **more)


def passed(name, rfc, send, reached, status=200, fate="kept", **more):
    return Row(name, rfc, send, status, fate, reached, **more)


def answered(name, rfc, app, got, fate="kept", send=GET, reached=None, **more):
    """What becomes of an app's answer. got: bytes, or the status of the router's own answer."""
    page = isinstance(got, int)
    return Row(name, rfc, send, got if page else statuses(got, send), fate, seen() if reached is None else reached,
               app=app, got=None if page else got, **more)


def parse_answers(data, heads=False, ended=False):
    """Splits what a client got: [(status, head, body)]; ValueError when it cannot be split to the last byte."""
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        m = re.match(rb"HTTP/1\.1 ([1-5]\d\d) [^\r\n]*(\r\n|$)", head)
        if not end or not m:
            raise ValueError("no answer: %r" % data[:80])
        status, length, chunked = int(m[1]), field(head, "content-length"), field(head, "transfer-encoding")
        body = b""
        if heads or status < 200 or status in (204, 304):
            pass
        elif chunked:
            n = chunked_length(rest)
            if not n:
                raise ValueError("no end of chunks: %r" % rest[:80])
            body, rest = rest[:n], rest[n:]
        elif length is not None:
            if len(rest) < int(length):
                raise ValueError("body cut at %d of %s" % (len(rest), length))
            body, rest = rest[:int(length)], rest[int(length):]
        elif ended:
            body, rest = rest, b""
        else:
            raise ValueError("a body without end: %r" % head)
        found.append((status, head, body))
        data = rest
        if status == 101:
            break
    return found


def statuses(got, send):
    try:
        return [s for s, _, _ in parse_answers(got, is_head(send), True)]
    except ValueError:  # cut on purpose
        return [int(got[9:12])]


def is_head(send):
    first = send if isinstance(send, bytes) else send[0]
    return isinstance(first, bytes) and first.startswith(b"HEAD ")


CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?\r\n")
TRAILERS = re.compile(rb"(?:[^\r\n:]+:[^\r\n]*\r\n)*\r\n")


def chunked_length(data):
    """Bytes of the whole chunked body at the start of data, 0 when it is not all there; ValueError."""
    at = 0
    while True:
        m = CHUNK.match(data, at)
        if not m:
            if b"\r\n" in data[at:]:
                raise ValueError("bad chunk: %r" % data[at:at + 40])
            return 0
        size, at = int(m[1], 16), m.end()
        if size == 0:
            m = TRAILERS.match(data, at)
            return m.end() if m else 0
        if len(data) < at + size + 2:
            return 0
        if data[at + size:at + size + 2] != b"\r\n":
            raise ValueError("chunk without end")
        at += size + 2


def body_length(head, data):
    """Bytes of the body behind a request's head; None when it is not all there. ValueError when framed twice."""
    lengths = re.findall(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r]*)", head, re.I)
    codings = re.findall(rb"\r\ntransfer-encoding[ \t]*:", head, re.I)
    if len(lengths) + len(codings) > 1:
        raise ValueError("framed twice: %r" % head)
    if codings:
        return chunked_length(data) or None
    n = int(lengths[0]) if lengths else 0
    return n if len(data) >= n else None


def count_requests(data, tunnel):
    """How many whole requests a backend sees in data, which must hold nothing else but a part of one more.
    tunnel: what follows an Upgrade is none."""
    n = 0
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        size = body_length(head, rest) if end else None
        if size is None:
            break
        if not re.match(rb"[^ \r\n]+ [^ \r\n]+ HTTP/1\.1\r\n", head + b"\r\n"):
            raise ValueError("no request: %r" % head)
        n, data = n + 1, rest[size:]
        if tunnel and b"\r\nUpgrade:" in head:
            break
    return n


def settle(data):
    """What differs from run to run, replaced by words."""
    data = re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", b"Date: D", data)
    data = re.sub(rb"X-Forwarded-Port: \d+", b"X-Forwarded-Port: PORT", data)
    data = re.sub(rb"X-Request-Id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\r", b"X-Request-Id: ID\r", data)
    data = re.sub(rb"Sec-WebSocket-Key: [A-Za-z0-9+/]{21}A==\r", b"Sec-WebSocket-Key: KEY\r", data)  # of the router's own
    return re.sub(rb"X-Request-Start: \d{13}\r", b"X-Request-Start: START\r", data)


def send_all(conn, data, pieces):
    if not pieces or len(data) > PIECES_MAX:
        conn.sendall(data)
        return
    for at in range(0, len(data), PIECE):
        conn.sendall(data[at:at + PIECE])


class Recorder:
    """The app: records what arrives, in order, and answers as the row says."""

    def __init__(self):
        self.chunks, self.row, self.pieces, self.turn = [], None, False, 0
        self.backend = Backend(self._serve)
        self.port = self.backend.port

    def begin(self, row, pieces):
        self.chunks, self.row, self.pieces, self.turn = [], row, pieces, 0

    def record(self):
        by_conn = {}  # in the order of their first bytes
        for conn, data in list(self.chunks):
            by_conn[conn] = by_conn.get(conn, b"") + data
        return settle(b"".join(by_conn.values()))

    def _more(self, conn):
        data = conn.recv(65536)
        self.chunks.append((conn, data))
        return data

    def _steps(self, head):
        target = head.split(b" ")[1]
        app = None if target in (b"/after", b"/probe") else self.row.app
        if isinstance(app, dict):
            app = app.get(target)
        if app is None:
            body = b"" if head.startswith(b"HEAD ") else target
            return [BODY, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), body)]
        return app if isinstance(app, list) else [BODY, app]

    def _serve(self, backend, conn):
        data = b""
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                got = self._more(conn)
                if not got:
                    return
                data += got
                continue
            try:
                data = self._answer(conn, head, rest)
            except ValueError:  # framed in a way that no request may reach an app: the row tells
                return
            if data is None:
                return

    def _answer(self, conn, head, rest):
        """Plays the steps for one request; the bytes behind it, or None when the connection is over."""
        taken = False
        for step in self._steps(head) + [BODY]:
            if isinstance(step, bytes):
                send_all(conn, step, self.pieces)
            elif step == BODY and not taken:
                while body_length(head, rest) is None:
                    got = self._more(conn)
                    if not got:
                        return None
                    rest += got
                rest, taken = rest[body_length(head, rest):], True
            elif step == HALF:
                conn.shutdown(socket.SHUT_WR)
            elif step == RESET:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return None
            elif step == CLOSE:
                return None
            elif step == TUNNEL:
                if rest:
                    conn.sendall(rest)
                while (got := self._more(conn)):
                    conn.sendall(got)
                return None
            elif isinstance(step, float):
                time.sleep(step)
        return rest


class Field:
    """One router and one recorder, for many rows one after the other."""

    def __init__(self):
        self.app = Recorder()
        self.router = Router()
        instances = [(1, self.app.port, "web.1")]
        apps = [App(7, ["a.example", "b.example", "*.wild.example", "under_score.example", "xn--bcher-kva.example"], instances),
                App(8, ["short.example"], [(2, self.app.port, "web.1")], timeout_ms=200, idle_ms=200),
                App(9, ["down.example"], []),
                App(10, ["closed.example"], [], flags=MAINTENANCE),
                App(11, ["small.example"], [(3, self.app.port, "web.1")], options={"body_max": 10})]
        assert self.router.send_table(apps) == 0

    def close(self):
        self.app.backend.stop()
        return self.router.close()

    def _read_until(self, s, done):
        """False when the connection ended before."""
        s.settimeout(PATIENCE_S)
        while not done(self.got):
            more = s.recv(1 << 16)
            if not more:
                return False
            self.got += more
        return True

    def _send(self, s, row, pieces):
        for step in row.send:
            if isinstance(step, bytes):
                try:
                    send_all(s, step, pieces)
                except OSError:
                    return  # answered and closed while we spoke
            elif step == HALF:
                s.shutdown(socket.SHUT_WR)
            elif isinstance(step, float):
                time.sleep(step)
            elif step[0] == "got":
                self._read_until(s, lambda d, w=step[1]: w in d)
            else:  # reached
                assert wait_for(lambda w=step[1]: w in self.app.record(), PATIENCE_S), self.app.record()

    def _talk(self, row, pieces):
        """(all that the client got, what became of its connection)"""
        if hasattr(row, "talk"):
            return row.talk(self, pieces)
        after, self.got = answer(b"/after"), b""
        with self.router.connect() as s:
            try:
                self._send(s, row, pieces)
                if row.fate == "kept":
                    s.sendall(b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n")
                    if self._read_until(s, lambda d: settle(d).endswith(after)):
                        return settle(self.got)[:-len(after)], "kept"
                else:
                    self._read_until(s, lambda d: False)
                fate = "closed"
            except ConnectionResetError:
                fate = "reset"
            except socket.timeout:
                fate = "open"
        return settle(self.got), fate

    def _check_answer(self, row, got, fate):
        if fate != row.fate:
            return "the connection is %s, not %s; got %r" % (fate, row.fate, got[:300])
        if row.got is not None:
            return None if got == row.got else "got  %r\nwant %r" % (got, row.got)
        found = parse_answers(got, is_head(row.send), fate == "closed")
        if [s for s, _, _ in found] != row.want:
            return "answers %s, not %s" % ([s for s, _, _ in found], row.want)
        if fate == "closed" and found and field(found[-1][1], "connection") != "close":
            return "closed without a word: %r" % found[-1][1]
        return None

    def _check_reached(self, row, pieces):
        record, at_end = self.app.record(), [b"/probe"] + ([b"/after"] if row.fate == "kept" else [])
        for target in at_end:  # on whichever connection
            asked = seen(b"GET " + target + b" HTTP/1.1", via=row.via if target == b"/after" else b"1.1")
            if record.count(asked) != 1:
                return "the backend saw %d times %s: %r" % (record.count(asked), target.decode(), record[-600:])
            record = record.replace(asked, b"")
        whole = [r for r in row.reached if not isinstance(r, Partial)]
        n = count_requests(record, 101 in row.want)
        if n != len(whole):
            return "the backend saw %d requests, not %d: %r" % (n, len(whole), record)
        if record != b"".join(row.reached) and not (row.late and pieces):
            return "reached %r\nwant    %r" % (record, b"".join(row.reached))
        return None

    def play(self, row, pieces=False):
        """None, or what went wrong."""
        self.app.begin(row, pieces)
        open_before = len(self.app.backend.conns)
        try:
            got, fate = self._talk(row, pieces)
            problem = self._check_answer(row, got, fate)
            status, head, body = ask(self.router, b"GET /probe HTTP/1.1\r\n" + HOST + b"\r\n")
            if not problem and (status, body) != (200, b"/probe"):
                problem = "the next client got %r" % (head + body)
            if not problem:  # the threads of several connections record in any order
                wait_for(lambda: not self._check_reached(row, pieces), PATIENCE_S)
                problem = self._check_reached(row, pieces)
            if row.late and pieces:  # part of a request may still be on its way to the record
                wait_for(lambda: len(self.app.backend.conns) <= max(open_before, 1), PATIENCE_S)
        except (OSError, ValueError, AssertionError) as e:
            problem = repr(e)
        return "in pieces: " + problem if problem and pieces else problem


def load():
    """[(title, rows)] of every file in cases/, in the order of their names."""
    groups = []
    for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "*.py"))):
        spec = importlib.util.spec_from_file_location("cases_" + os.path.basename(path)[:-3], path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        names = [r.name for r in module.ROWS]
        assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)
        groups.append((module.TITLE, module.ROWS))
    return groups


def play_all(title, rows):
    """Yields (name, problem, seconds) for each row, on one router."""
    ground = Field()
    try:
        for row in rows:
            start = time.monotonic()
            problem = ground.play(row)
            if not problem and not row.whole and not row.waits:
                problem = ground.play(row, pieces=True)
            yield "%s: %s" % (title.lower(), row.name), problem, time.monotonic() - start
    finally:
        status = ground.close()
    yield "%s: the router ends well" % title.lower(), None if status == 0 else "status %r" % status, 0.0


def shorten(text):
    text = re.sub(r"(.)\1{30,}", lambda m: "%s…×%d" % (m[1], len(m[0])), text)
    text = re.sub(r"(.{2,40}?)\1{9,}", lambda m: "(%s)×%d" % (m[1], len(m[0]) // len(m[1])), text)
    return text if len(text) <= 400 else text[:300] + "…" + text[-60:]


def show(data):
    """Bytes as a cell of a Markdown table."""
    text = "".join(chr(b) if 32 <= b < 127 else {13: "\\r", 10: "\\n", 9: "\\t"}.get(b, "\\x%02x" % b) for b in data)
    text = text.replace("\\r\\n", "⏎")
    text = text.replace("Via: 2.0 berth", "Via: 1.1 berth")
    own = "Via: 1.1 berth⏎X-Forwarded-For: 127.0.0.1⏎X-Forwarded-Proto: http⏎X-Forwarded-Port: PORT⏎X-Request-Id: ID⏎X-Request-Start: START⏎"
    text = html.escape(shorten(text.replace(own, "‹own›")), quote=False)
    for c in "|*_`[]~\\":
        text = text.replace(c, "&#%d;" % ord(c))
    return "<code>%s</code>" % text if text else ""


def show_steps(steps):
    words = {HALF: "*closes its half*", RESET: "*resets*", CLOSE: "*closes*", BODY: "*reads the request*", TUNNEL: "*echoes*"}
    cells = []
    for step in steps:
        if hasattr(step, "text"):
            cells.append(step.text)
        elif isinstance(step, bytes):
            cells.append("" if step is SMUGGLED else show(step))
        elif isinstance(step, float):
            cells.append("*waits*")
        elif isinstance(step, tuple):
            cells.append("*waits for* " + show(step[1]))
        else:
            cells.append(words[step])
    return " ".join(c for c in cells if c)


def show_app(app):
    if app is None:
        return ""
    if isinstance(app, dict):
        return "<br>".join("%s: %s" % (k.decode(), show_app(v)) for k, v in app.items())
    return show_steps(app) if isinstance(app, list) else show(app)


def markdown():
    groups = load()
    yield "# Conformance of the router"
    yield ""
    yield ("Made by `tests/router/run --table` from `tests/router/cases/`; `make check` plays each of the %d rows, whole and "
           "in pieces of seven bytes, against an app that records every byte. Behind each refused request another, "
           "well-formed one is sent; it must never be looked at. After each row a request on a new connection shows that "
           "the app has seen the requests named here, byte for byte, and nothing else." % sum(len(r) for _, r in groups))
    yield ""
    yield ("RFC: number and section. ⏎ is CR LF. ‹own› are the fields that the router adds: `%s`. In answers `Date: D` is the "
           "time. An app whose answer is not shown answers 200 with the request's target as body. Over HTTP/2 the answer is what "
           "comes on the stream, a status or `RST` with its code, or on the connection, `GOAWAY` with its code; `Via` is "
           "`2.0 berth` then; heads are sent literally; part: of a request whose end never came." %
           OWN[:-4].decode().replace("\r\n", "`, `"))
    for title, rows in groups:
        yield "\n## %s\n" % title
        apps = any(r.app is not None for r in rows)
        yield "| | RFC | sent |%s answer | connection | reached the app |" % (" the app says |" if apps else "")
        yield "|---|---|---|%s---|---|---|" % ("---|" if apps else "")
        for r in rows:
            got = r.got if isinstance(r.got, str) else show(r.got) if r.got is not None else ", ".join(map(str, r.want)) or "none"
            yield "| %s | %s | %s |%s %s | %s | %s |" % (
                r.name.replace("|", "&#124;"), r.rfc, show_steps(r.send), " %s |" % show_app(r.app) if apps else "", got,
                r.fate, "".join(("part: " if isinstance(x, Partial) else "") + show(x) for x in r.reached) or "nothing")
