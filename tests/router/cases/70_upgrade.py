from conform import *

TITLE = "Upgrades and WebSocket"

ASK = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
KEYS = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
SWITCHED = SWITCH % b""
TAIL = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_GOT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: D\r\n\r\nok"


def tunnel(name, rfc, send, got, reached, app, **more):
    return Row(name, rfc, send, 101, "closed", reached, app=app, got=got, **more)


def plain(name, rfc, fields, kept=b""):
    """What is asked for is not passed on: the app sees an ordinary request."""
    return passed(name, rfc, with_fields(fields), seen(fields=HOST + kept), app=OK, got=OK_GOT)


UP = seen(fields=HOST + KEYS, tail=TAIL)
SWITCH_APP = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + ACCEPT + b"\r\n"
SWITCH_GOT = b"HTTP/1.1 101 Switching Protocols\r\n" + ACCEPT + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

ROWS = [
    tunnel("a WebSocket", "6455 4", [with_fields(ASK + KEYS), ("got", b"\r\n\r\n"), b"\x81\x82abcd", ("got", b"abcd"), HALF],
           SWITCH_GOT + b"\x81\x82abcd", UP + b"\x81\x82abcd", [BODY, SWITCH_APP, TUNNEL]),
    tunnel("Connection with more than Upgrade", "9110 7.8",
           [with_fields(b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" + KEYS), ("got", b"\r\n\r\n"), b"x", ("got", b"\nx"), HALF],
           SWITCH_GOT + b"x", UP + b"x", [BODY, SWITCH_APP, TUNNEL]),
    tunnel("Upgrade in other letters", "9110 7.8",
           [with_fields(b"connection: UPGRADE\r\nupgrade: WebSocket\r\n" + KEYS), ("got", b"\r\n\r\n"), b"x", ("got", b"\nx"), HALF],
           SWITCH_GOT + b"x", seen(fields=HOST + KEYS, tail=b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n") + b"x",
           [BODY, SWITCH_APP, TUNNEL]),
    tunnel("bytes with the 101", "6455 4.1", [with_fields(ASK + KEYS), ("got", b"first"), b"x", ("got", b"firstx"), HALF],
           SWITCH_GOT + b"firstx", UP + b"x", [BODY, SWITCH_APP + b"first", TUNNEL]),
    tunnel("bytes before the 101 wait for it", "9110 7.8", [with_fields(ASK + KEYS) + SMUGGLED, ("got", b"/smuggled"), ("got", b"e\r\n\r\n"), HALF],
           SWITCH_GOT + SMUGGLED, UP + SMUGGLED, [BODY, 0.05, SWITCH_APP, TUNNEL]),
    tunnel("a request inside a tunnel is bytes", "9110 7.8",
           [with_fields(ASK + KEYS), ("got", b"\r\n\r\n"), b"\0" + SMUGGLED, ("got", b"a.example\r\n\r\n"), HALF],
           SWITCH_GOT + b"\0" + SMUGGLED, UP + b"\0" + SMUGGLED, [BODY, SWITCH_APP, TUNNEL]),
    tunnel("interim answers before the 101", "9110 15.2", [with_fields(ASK + KEYS), ("got", b"101"), ("got", b"Upgrade\r\n\r\n"), b"x", ("got", b"\nx"), HALF],
           b"HTTP/1.1 100 Continue\r\n\r\n" + SWITCH_GOT + b"x", UP + b"x",
           [BODY, b"HTTP/1.1 100 Continue\r\n\r\n" + SWITCH_APP, TUNNEL]),
    tunnel("the app ends its half first", "6455 7.1.1", [with_fields(ASK + KEYS), ("got", b"bye"), HALF],
           SWITCH_GOT + b"bye", UP, [BODY, SWITCH_APP + b"bye", CLOSE], whole=True),
    tunnel("another protocol than WebSocket", "9110 7.8",
           [with_fields(b"Connection: Upgrade\r\nUpgrade: foo/2\r\n"), ("got", b"\r\n\r\n"), b"x", ("got", b"\nx"), HALF],
           b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo/2\r\nConnection: Upgrade\r\n\r\nx",
           seen(tail=b"Connection: Upgrade\r\nUpgrade: foo/2\r\n") + b"x",
           [BODY, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n", TUNNEL]),
    passed("an app that does not switch", "9110 7.8", with_fields(ASK + KEYS), UP, app=OK, got=OK_GOT),
    passed("an app that does not switch, and the request behind it", "9110 7.8", with_fields(ASK + KEYS) + SMUGGLED,
           [UP, seen(b"GET /smuggled HTTP/1.1")], [200, 200], app={b"/": OK}),
    passed("a wrong WebSocket version", "6455 4.4", with_fields(ASK + b"Sec-WebSocket-Version: 777\r\n"),
           seen(fields=HOST + b"Sec-WebSocket-Version: 777\r\n", tail=TAIL), 426,
           app=b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"),
    passed("a wrong version, and the request behind it is no tunnel", "6455 4.4",
           with_fields(ASK + b"Sec-WebSocket-Version: 777\r\n") + SMUGGLED,
           [seen(fields=HOST + b"Sec-WebSocket-Version: 777\r\n", tail=TAIL), seen(b"GET /smuggled HTTP/1.1")], [426, 200],
           app={b"/": b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"}),
    passed("101 without Upgrade is no switch", "9110 7.8", with_fields(ASK + KEYS), UP, 502,
           app=b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    passed("101 without Connection is no switch", "9110 7.8", with_fields(ASK + KEYS), UP, 502,
           app=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    plain("h2c is not passed on", "9113 3.1", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    plain("h2c behind websocket is not passed on", "9113 3.1", b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
    plain("TLS/1.0 is not passed on", "2817 3", b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"),
    plain("HTTP/2.0 is not passed on", "9110 7.8", b"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"),
    plain("Upgrade without Connection", "9110 7.8", b"Upgrade: websocket\r\n" + KEYS, KEYS),
    plain("Connection without Upgrade", "9110 7.8", b"Connection: Upgrade\r\n" + KEYS, KEYS),
    plain("an empty Upgrade", "9110 7.8", b"Connection: Upgrade\r\nUpgrade:\r\n"),
    passed("Upgrade with a body is not passed on", "9110 7.8", post(ASK + b"Content-Length: 3\r\n", b"abc"),
           seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc"), app=OK, got=OK_GOT),
    passed("Upgrade in 1.0 is not passed on", "9110 7.8", b"GET / HTTP/1.0\r\n" + HOST + ASK + b"\r\n", seen(via=b"1.0"), app=OK,
           fate="closed"),
    refused("two Upgrade lines", "9110 7.8", with_fields(b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), 400),
]
