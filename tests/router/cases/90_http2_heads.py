from conform_h2 import *

TITLE = "HTTP/2: heads and bodies"

POST = (":method", "POST")
CHUNKS = b"Transfer-Encoding: chunked\r\n"

ABC = begun(b"POST / HTTP/1.1", CHUNKS, b"3\r\nabc\r\n")


def with_field(name, value):
    return head(fields((name, value)))


def post(*pairs):
    return head(fields(POST, *pairs), end=False)


ROWS = [
    passed("a request", "9113 8.3.1", head(), reaches()),
    passed("its fields", "9113 8.2", with_field("x-one", "1"), reaches(more=b"x-one: 1\r\n")),
    reset("a name in capitals", "9113 8.2.1", with_field("X-One", "1")),
    reset("a space in a name", "9113 8.2.1", with_field("x one", "1")),
    reset("a colon in a name", "9113 8.2.1", with_field("x:one", "1")),
    reset("a NUL in a name", "9113 8.2.1", with_field("x\0one", "1")),
    reset("a byte above ASCII in a name", "9113 8.2.1", with_field(b"x\xe9", "1")),
    reset("an empty name", "9113 8.2.1", with_field("", "1")),
    reset("a NUL in a value", "9113 8.2.1", with_field("x-one", "1\0")),
    reset("an LF in a value", "9113 8.2.1", with_field("x-one", "1\nx-two: 2")),
    reset("a CR in a value", "9113 8.2.1", with_field("x-one", "1\rx-two: 2")),
    reset("a request behind a line end in a value", "9113 10.3", with_field("x-one", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.example")),
    reset("a space in front of a value", "9113 8.2.1", with_field("x-one", " 1")),
    reset("a space behind a value", "9113 8.2.1", with_field("x-one", "1 ")),
    reset("Connection", "9113 8.2.2", with_field("connection", "close")),
    reset("Keep-Alive", "9113 8.2.2", with_field("keep-alive", "timeout=5")),
    reset("Proxy-Connection", "9113 8.2.2", with_field("proxy-connection", "keep-alive")),
    reset("Transfer-Encoding", "9113 8.2.2", [head(fields(POST, ("transfer-encoding", "chunked")), end=False), data(b"0\r\n\r\n")]),
    reset("Upgrade", "9113 8.2.2", with_field("upgrade", "websocket")),
    reset("TE other than trailers", "9113 8.2.2", with_field("te", "gzip")),
    passed("TE: trailers ends here", "9113 8.2.2", with_field("te", "trailers"), reaches()),
    passed("cookies in pieces are one field again", "9113 8.2.3", head(fields(("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2"))),
           reaches(more=b"x-one: 1\r\ncookie: a=1; b=2\r\n")),
    reset("a pseudo field behind others", "9113 8.3", head(BASE[:3] + [("x-one", "1"), (":path", "/")])),
    reset("an unknown pseudo field", "9113 8.3", with_field(":other", "1")),
    reset(":status in a request", "9113 8.3", with_field(":status", "200")),
    reset("two methods", "9113 8.3", head(BASE + [(":method", "POST")])),
    reset("two paths", "9113 8.3", head(BASE + [(":path", "/smuggled")])),
    reset("two schemes", "9113 8.3", head(BASE + [(":scheme", "http")])),
    reset("two authorities", "9113 8.3", head(BASE + [(":authority", "b.example")])),
    reset("no method", "9113 8.3.1", head(fields((":method", None)))),
    reset("no scheme", "9113 8.3.1", head(fields((":scheme", None)))),
    reset("no path", "9113 8.3.1", head(fields((":path", None)))),
    reset("an empty path", "9113 8.3.1", head(fields((":path", "")))),
    reset("a path without a slash", "9113 8.3.1", head(fields((":path", "x")))),
    reset("a path in absolute form", "9113 8.3.1", head(fields((":path", "http://a.example/")))),
    reset("a space in the path", "9113 10.3", head(fields((":path", "/a HTTP/1.1")))),
    reset("a line end in the path", "9113 10.3", head(fields((":path", "/ HTTP/1.1\r\nHost: a.example\r\n\r\nGET /smuggled")))),
    reset("a line end in the method", "9113 10.3", head(fields((":method", "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\nGET")))),
    reset("a line end in the authority", "9113 10.3", head(fields((":authority", "a.example\r\nx-one: 1")))),
    passed("OPTIONS *", "9113 8.3.1", head(fields((":method", "OPTIONS"), (":path", "*"))), reaches(b"OPTIONS * HTTP/1.1")),
    reset("* with another method", "9113 8.3.1", head(fields((":path", "*")))),
    reset("no authority and no Host", "9113 8.3.1", head(fields((":authority", None)))),
    passed("Host without an authority", "9113 8.3.1", head(fields((":authority", None), ("host", "a.example"))), reaches()),
    passed("Host that is the authority", "9113 8.3.1", with_field("host", "a.example"), reaches()),
    refused("Host that differs from the authority", "9113 8.3.1", with_field("host", "b.example"), 400),
    reset("Host twice", "9110 7.2", head(fields((":authority", None), ("host", "a.example"), ("host", "a.example")))),
    refused("user information in the authority", "9113 8.3.1", head(fields((":authority", "u@a.example"))), 400),
    refused("an authority that nobody has", "9110 15.5.5", head(fields((":authority", "c.example"))), 404),
    passed("a body with its length", "9113 8.1.1", [post(("content-length", "3")), data(b"abc")],
           reaches(b"POST / HTTP/1.1", b"content-length: 3\r\n", b"abc")),
    passed("a body without a length is chunked", "9113 8.1", [post(), data(b"abc", end=False), data(b"de")],
           reaches(b"POST / HTTP/1.1", CHUNKS, b"5\r\nabcde\r\n0\r\n\r\n"), late=True),
    passed("padding is no part of a body", "9113 6.1", [post(("content-length", "3")), frame(DATA, PADDED | END_STREAM, 1, b"\x05abc" + bytes(5))],
           reaches(b"POST / HTTP/1.1", b"content-length: 3\r\n", b"abc"), early=True),
    reset("a length, and no body", "9113 8.1.1", head(fields(POST, ("content-length", "3")))),
    reset("a body shorter than its length", "9113 8.1.1", [post(("content-length", "5")), data(b"abc")],
          reached=begun(b"POST / HTTP/1.1", b"content-length: 5\r\n", b"abc"), late=True),
    reset("a body longer than its length", "9113 8.1.1", [post(("content-length", "3")), data(b"abcGET /smuggled HTTP/1.1\r\n\r\n")],
          reached=begun(b"POST / HTTP/1.1", b"content-length: 3\r\n"), whole=True),
    reset("a body where the length is 0: the app sees a request without one", "9113 8.1.1",
          [post(("content-length", "0")), data(b"GET /smuggled HTTP/1.1\r\n\r\n")], reached=reaches(b"POST / HTTP/1.1", b"content-length: 0\r\n"), whole=True),
    reset("two lengths", "9110 8.6", [head(fields(POST, ("content-length", "3"), ("content-length", "3")), end=False), data(b"abc")]),
    reset("a length that is no number", "9110 8.6", [post(("content-length", "+3")), data(b"abc")]),
    refused("a length above the limit", "9110 15.5.14", [head(fields(POST, (":authority", "small.example"), ("content-length", "11")), end=False)], 413, rest=True),
    passed("trailers", "9113 8.1", [post(), data(b"abc", end=False), head([("x-sum", "1")])],
           reaches(b"POST / HTTP/1.1", CHUNKS, b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), late=True),
    passed("Host among the trailers is left out", "9110 6.5.1", [post(), data(b"abc", end=False), head([("host", "b.example"), ("x-sum", "1")])],
           reaches(b"POST / HTTP/1.1", CHUNKS, b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), late=True),
    reset("a length among the trailers", "9110 6.5.1", [post(), data(b"abc", end=False), head([("content-length", "9")])], reached=ABC, late=True),
    reset("a pseudo field among the trailers", "9113 8.1", [post(), data(b"abc", end=False), head([(":path", "/smuggled")])], reached=ABC, late=True),
    reset("Transfer-Encoding among the trailers", "9113 8.2.2", [post(), data(b"abc", end=False), head([("transfer-encoding", "chunked")])],
          reached=ABC, late=True),
    reset("a second head that does not end the stream", "9113 8.1", [post(), data(b"abc", end=False), head([("x-sum", "1")], end=False)],
          reached=ABC, late=True),
    refused("an unknown expectation", "9110 10.1.1", with_field("expect", "more"), 417),
    refused("TRACE", "9110 9.3.8", head(fields((":method", "TRACE"))), 501),
]
