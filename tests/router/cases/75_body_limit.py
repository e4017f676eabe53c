from conform import *

TITLE = "A limit of ten bytes for bodies"

SMALL = b"Host: small.example\r\n"
HINT = b"Expect: 100-continue\r\n"


def to(fields, body):
    return b"POST / HTTP/1.1\r\n" + SMALL + fields + b"\r\n" + body


def fits(name, rfc, fields, body):
    return passed(name, rfc, to(fields, body), seen(b"POST / HTTP/1.1", SMALL + fields, body))


def too_large(name, rfc, fields, body, **more):
    return refused(name, rfc, to(fields, body), 413, **more)


ROWS = [
    fits("a length of ten", "9110 8.6", b"Content-Length: 10\r\n", b"0123456789"),
    fits("ten bytes in chunks", "9112 7.1", CHUNKED, b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"),
    fits("extensions and trailers do not count", "9112 7.1", CHUNKED, b"a;0123456789\r\n0123456789\r\n0\r\nX: 0123456789\r\n\r\n"),
    too_large("a length of eleven", "9110 15.5.14", b"Content-Length: 11\r\n", b"0123456789a"),
    too_large("a length of eleven that waits to be asked for", "9110 10.1.1", HINT + b"Content-Length: 11\r\n", b""),
    too_large("a chunk of eleven", "9110 15.5.14", CHUNKED, b"b\r\n0123456789a\r\n0\r\n\r\n", late=True),
    too_large("eleven bytes in two chunks", "9110 15.5.14", CHUNKED, b"a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n", late=True),
    too_large("a chunk of 2^59 bytes", "9110 15.5.14", CHUNKED, b"800000000000000\r\n0", late=True),
    Row("one more chunk when ten bytes are there", "9110 15.5.14",
        [to(CHUNKED, b"a\r\n0123456789\r\n"), ("reached", b"0123456789\r\n"), b"1\r\na\r\n" + SMUGGLED], 413, "closed",
        Partial(seen(b"POST / HTTP/1.1", SMALL + CHUNKED, b"a\r\n0123456789\r\n")), whole=True),
]
