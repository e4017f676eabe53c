"""Rows of the conformance table that are spoken in HTTP/2: frames in, and what they do to their stream and connection."""
import socket
import struct

import conform
from conform import BODY, HOST, TUNNEL, Partial, seen  # noqa: F401
from h2_test import CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PUSH, RST, \
    SETTINGS, WINDOW, Client, literal, raw_frame

CODES = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM "
         "CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM").split()
KINDS = "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()
PADDED, HAS_PRIORITY, ACK = 8, 32, 1
BASE = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
AFTER, SMUGGLED = 101, 99  # streams


class Frame(bytes):
    """Bytes of the connection, and how the table shows them."""

    def __new__(cls, raw, text):
        self = super().__new__(cls, raw)
        self.text = text
        return self


def fields(*pairs, base=BASE):
    """base with some values replaced, removed (None), or added."""
    found, more = dict(base), []
    for name, value in pairs:
        if name in found:
            found[name] = value
        else:
            more.append((name, value))
    return [(n, v) for n, v in found.items() if v is not None] + more


def show_fields(pairs):
    def text(v):
        return v if isinstance(v, bytes) else v.encode()
    return conform.show(b"\r\n".join(b"%s: %s" % (text(n), text(v)) for n, v in pairs))


def frame(kind, flags=0, stream=0, payload=b"", text=None):
    name = KINDS[kind] if kind < len(KINDS) else "type %d" % kind
    shown = "%s on %d%s" % (name, stream, "" if not flags else ", flags %d" % flags)
    return Frame(raw_frame(kind, flags, stream, payload), shown + (": " + (text or conform.show(payload)) if payload or text else ""))


def head(pairs=BASE, stream=1, end=True, whole=True, kind=HEADERS):
    """A head without any compression, as it is."""
    words = ["END_STREAM"] * end + ([] if whole else ["more follows"])
    return Frame(raw_frame(kind, END_HEADERS * whole | END_STREAM * end, stream, literal(pairs)),
                 "%s%s%s: %s" % (KINDS[kind], "" if stream == 1 else " on %d" % stream, "".join(", " + w for w in words),
                                 show_fields(pairs)))


def data(body, stream=1, end=True):
    return Frame(raw_frame(DATA, END_STREAM * end, stream, body),
                 "DATA%s%s: %s" % ("" if stream == 1 else " on %d" % stream, ", END_STREAM" * end, conform.show(body) or "nothing"))


def settings(key, value):
    return frame(SETTINGS, payload=struct.pack(">HI", key, value), text="%d = %d" % (key, value))


class H2Row(conform.Row):
    """answer: what comes on the stream (1), as "200", "RST PROTOCOL_ERROR", or for the connection: "GOAWAY PROTOCOL_ERROR"."""
    via = b"2.0"

    def __init__(self, name, rfc, send, answer, fate, reached, preface=True, stream=1, early=False, **more):
        super().__init__(name, rfc, send, None, fate, reached, **more)
        self.got, self.preface, self.stream = answer, preface, stream
        self.early = early          # the app may have answered before the stream's end came: that is not waited for (9113 8.1)

    # late: also for a body in chunks, which come as the pieces do
    def frames(self):
        """All that is sent at once: the row's, and one more request, which is served, or must never be looked at."""
        start = b""
        if self.preface:
            start = PREFACE + raw_frame(SETTINGS, 0, 0)
        if self.fate == "kept":
            return start + b"".join(self.send)
        return start + b"".join(self.send) + head(fields((":path", "/smuggled")), SMUGGLED)

    def talk(self, field, pieces):
        """(the answer, what became of the connection)"""
        with field.router.connect() as s:
            c = Client(s, preface=False)
            try:
                conform.send_all(s, self.frames(), pieces)
            except OSError:
                pass  # it was ended while we spoke
            if self.fate == "kept":
                c.until(lambda: self.stream in c.ended or self.stream in c.reset or c.closed, conform.PATIENCE_S)
                if "RST" in self.got:  # it may come behind an answer
                    c.until(lambda: self.stream in c.reset or c.closed, 1)
                c.quietly(HEADERS, END_HEADERS | END_STREAM, AFTER, literal(fields((":path", "/after"))))
                c.until(lambda: AFTER in c.ended or c.closed, conform.PATIENCE_S)
                fate = "kept" if c.bodies.get(AFTER) == b"/after" else "closed"
            else:
                c.until(lambda: c.closed, conform.PATIENCE_S)
                fate = "closed" if c.closed else "open"
            words = answer_of(c, self.stream)
            if pieces and self.early and words[1:] == ["RST NO_ERROR"]:
                words.pop()
            return ", ".join(words[-1:] if pieces and fate == "closed" else words), fate  # an answer may be faster than the fault


def answer_of(c, stream):
    words = [h[":status"] for h in c.heads.get(stream, []) if ":status" in h]
    if stream in c.reset:
        words.append("RST " + CODES[c.reset[stream]])
    if c.raw.startswith(b"HTTP/1.1 "):
        words.append(c.raw[:12].decode())
    if c.goaway and c.goaway[1]:
        words.append("GOAWAY " + CODES[c.goaway[1]])
    return words


def reset(name, rfc, send, code="PROTOCOL_ERROR", reached=None, **more):
    """The stream ends, the connection goes on."""
    return H2Row(name, rfc, send, "RST " + code, "kept", reached, **more)


def ended(name, rfc, send, code="PROTOCOL_ERROR", reached=None, **more):
    """The connection ends."""
    return H2Row(name, rfc, send, "GOAWAY " + code, "closed", reached, **more)


def passed(name, rfc, send, reached, answer="200", **more):
    return H2Row(name, rfc, send, answer, "kept", reached, **more)


def refused(name, rfc, send, status, rest=False, **more):
    """The router answers itself. rest: and does not want the rest of the request."""
    return H2Row(name, rfc, send, "%d%s" % (status, ", RST NO_ERROR" * rest), "kept", None, **more)


def tunnel(name, rfc, send, answer, reached, app):
    """What the app sees behind its 101 is no request."""
    row = H2Row(name, rfc, send, answer, "kept", reached, app=app)
    row.want = [101]
    return row


def begun(*args):
    """A request that had reached the app, but for its end, before the fault came."""
    return Partial(reaches(*args))


def reaches(line=b"GET / HTTP/1.1", more=b"", body=b"", tail=b"", host=HOST):
    return seen(line, host + more, body, via=b"2.0", tail=tail)
