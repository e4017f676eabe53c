from conform import *

TITLE = "Time limits (200 ms in these rows)"

SHORT = b"Host: short.example\r\n"
LATE = 0.6


def short(name, rfc, send, want, fate, reached, app=None, got=None):
    return Row(name, rfc, send, want, fate, reached, app=app, got=got, waits=True)


ROWS = [
    short("an app that does not answer", "9110 15.6.5", b"GET / HTTP/1.1\r\n" + SHORT + b"\r\n", 504, "kept", seen(fields=SHORT),
          app=[BODY, LATE]),
    short("an app that stops in its head", "9110 15.6.5", b"GET / HTTP/1.1\r\n" + SHORT + b"\r\n", 504, "kept", seen(fields=SHORT),
          app=[BODY, b"HTTP/1.1 200 OK\r\nX", LATE]),
    short("an app that sends interim answers for ever", "9110 15.2", b"GET / HTTP/1.1\r\n" + SHORT + b"\r\n", [102] * 3 + [504], "kept",
          seen(fields=SHORT), app=[BODY] + [b"HTTP/1.1 102 Processing\r\n\r\n", 0.02] * 3 + [LATE]),
    short("an app that stops in its body", "9112 8", b"GET / HTTP/1.1\r\n" + SHORT + b"\r\n", 200, "closed", seen(fields=SHORT),
          app=[BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", LATE],
          got=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nDate: D\r\n\r\nabc"),
    short("a client that stops in its body", "9110 15.5.9", b"POST / HTTP/1.1\r\n" + SHORT + b"Content-Length: 9\r\n\r\nabc", 408, "closed",
          Partial(seen(b"POST / HTTP/1.1", SHORT + b"Content-Length: 9\r\n", b"abc"))),
    short("a client that stops between chunks", "9110 15.5.9", b"POST / HTTP/1.1\r\n" + SHORT + CHUNKED + b"\r\n3\r\nabc\r\n", 408,
          "closed", Partial(seen(b"POST / HTTP/1.1", SHORT + CHUNKED, b"3\r\nabc\r\n"))),
]
