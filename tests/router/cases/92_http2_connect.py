from conform_h2 import *

TITLE = "HTTP/2: CONNECT and WebSocket"

ASK = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a.example"), (":path", "/chat"),
       ("sec-websocket-version", "13")]


def asked(*pairs):
    return fields(*pairs, base=ASK)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
UP = reaches(b"GET /chat HTTP/1.1", b"sec-websocket-version: 13\r\nSec-WebSocket-Key: KEY\r\n", tail=b"Connection: Upgrade\r\nUpgrade: websocket\r\n")

ROWS = [
    tunnel("a WebSocket", "8441 5", [head(ASK, end=False), data(b"\x81\x82abcd")], "200", UP + b"\x81\x82abcd", [BODY, SWITCH, TUNNEL]),
    tunnel("what looks like a request in a WebSocket", "8441 5", [head(ASK, end=False), data(conform.SMUGGLED)], "200", UP + conform.SMUGGLED,
           [BODY, SWITCH, TUNNEL]),
    passed("an app that refuses a WebSocket", "8441 5", head(ASK, end=False), UP, "403, RST NO_ERROR", app=b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"),
    passed("an app that answers 200 to a WebSocket, which would open it", "8441 5", head(ASK, end=False), UP, "RST INTERNAL_ERROR",
           app=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
    refused("CONNECT", "9113 8.5", head([(":method", "CONNECT"), (":authority", "a.example:443")], end=False), 501, rest=True),
    reset("CONNECT with a path", "9113 8.5", head([(":method", "CONNECT"), (":authority", "a.example:443"), (":path", "/")], end=False)),
    reset("CONNECT with a scheme", "9113 8.5", head([(":method", "CONNECT"), (":authority", "a.example:443"), (":scheme", "http")], end=False)),
    reset("CONNECT without an authority", "9113 8.5", head([(":method", "CONNECT")], end=False)),
    reset(":protocol with another method", "8441 4", head(fields((":protocol", "websocket")))),
    reset(":protocol twice", "9113 8.3", head(ASK[:2] + [(":protocol", "websocket")] + ASK[2:], end=False)),
    reset(":protocol behind other fields", "9113 8.3", head(ASK[:1] + ASK[2:] + [(":protocol", "websocket")], end=False)),
    reset("a WebSocket without a path", "8441 4", head(asked((":path", None)), end=False)),
    reset("a WebSocket without a scheme", "8441 4", head(asked((":scheme", None)), end=False)),
    reset("a WebSocket without an authority", "8441 4", head(asked((":authority", None)), end=False)),
    refused("another protocol", "8441 4", head(asked((":protocol", "connect-udp")), end=False), 501, rest=True),
    reset("Connection and Upgrade beside :protocol", "8441 5", head(asked(("connection", "Upgrade"), ("upgrade", "websocket")), end=False)),
    refused("a length beside :protocol", "9110 9.3.6", head(asked(("content-length", "3")), end=False), 400, rest=True),
]
