from conform import *

TITLE = "Connections, order, and who is heard"


def path(n, fields=b""):
    return b"GET /%d HTTP/1.1\r\n" % n + HOST + fields + b"\r\n"


def reached(*numbers):
    return [seen(b"GET /%d HTTP/1.1" % n) for n in numbers]


def old(fields=b"", method=b"GET", body=b""):
    return method + b" / HTTP/1.0\r\n" + HOST + fields + b"\r\n" + body


NOBODY = b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n"
OLD = seen(via=b"1.0")

ROWS = [
    # pipelines
    passed("three requests at once", "9112 9.3.2", path(1) + path(2) + path(3), reached(1, 2, 3), [200] * 3,
           got=answer(b"/1") + answer(b"/2") + answer(b"/3")),
    passed("answers stay in order when the first is slow", "9112 9.3.2", path(1) + path(2), reached(1, 2), [200] * 2,
           app={b"/1": [BODY, 0.05, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1"]}, got=answer(b"/1") + answer(b"/2")),
    passed("a body between two requests", "9112 9.3.2", path(1) + post(b"Content-Length: 3\r\n", b"abc") + path(2),
           [reached(1)[0], seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc"), reached(2)[0]], [200] * 3),
    passed("a chunked body between two requests", "9112 9.3.2", path(1) + post(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n") + path(2),
           [reached(1)[0], seen(b"POST / HTTP/1.1", HOST + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"), reached(2)[0]], [200] * 3),
    passed("HEAD, then GET", "9112 9.3.2", [b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", ("got", b"\r\n\r\n"), path(1)],
           [seen(b"HEAD / HTTP/1.1"), reached(1)[0]], got=answer()[:-1] + answer(b"/1")),
    passed("the router's own answer in the middle", "9112 9.3.2", path(1) + NOBODY + path(2), reached(1, 2), [200, 404, 200]),
    passed("a post for nobody: its body is not a request", "9112 9.3.2",
           b"POST / HTTP/1.1\r\nHost: nobody.example\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED + path(1),
           reached(1), [404, 200], whole=True),
    Row("an error in the middle ends the rest", "9112 9.3.2", path(1) + b"GET /\x00 HTTP/1.1\r\n\r\n" + path(2), [200, 400], "closed",
        reached(1)),
    Row("a bad body in the middle ends the rest", "9112 9.3.2", path(1) + post(CHUNKED, b"x\r\n") + path(2), [200, 400], "closed",
        reached(1), late=True),
    Row("an unknown coding in the middle ends the rest", "9112 9.3.2",
        path(1) + post(b"Transfer-Encoding: gzip\r\n") + path(2), [200, 501], "closed", reached(1)),
    Row("close in the middle ends the rest", "9112 9.6", path(1) + path(2, b"Connection: close\r\n") + path(3), [200, 200],
        "closed", reached(1, 2)),
    Row("1.0 in the middle ends the rest", "9112 9.3", path(1) + old() + path(3), [200, 200], "closed", [reached(1)[0], OLD]),
    Row("a request cut off behind another", "9112 8", [path(1) + b"GET /2 HTTP/1.1\r\nHo", HALF], 200, "closed", reached(1),
        got=answer(b"/1")),
    passed("fifty requests in one packet", "9112 9.3.2", b"".join(path(n) for n in range(50)), reached(*range(50)), [200] * 50),
    # who keeps the connection
    passed("1.1 stays open", "9112 9.3", GET, seen()),
    passed("1.0 closes", "9112 9.3", old(), OLD, fate="closed", got=answer(extra=b"Connection: close\r\n")),
    passed("1.0 may stay open", "9112 9.3", old(b"Connection: keep-alive\r\n"), OLD, got=answer(extra=b"Connection: keep-alive\r\n")),
    passed("1.0 in other letters", "9112 9.3", old(b"Connection: Keep-Alive\r\n"), OLD),
    passed("1.0 with close and keep-alive closes", "9112 9.3", old(b"Connection: close, keep-alive\r\n"), OLD, fate="closed"),
    passed("1.0 with close on another line closes", "9112 9.3", old(b"Connection: close\r\nConnection: keep-alive\r\n"), OLD,
           fate="closed"),
    passed("Proxy-Connection keeps nothing open", "9110 7.6.1", old(b"Proxy-Connection: keep-alive\r\n"), OLD, fate="closed"),
    passed("Keep-Alive keeps nothing open", "9112 9.3", old(b"Keep-Alive: 300\r\n"), OLD, fate="closed"),
    passed("1.0 with a body", "9112 6.3", old(b"Content-Length: 3\r\n", b"POST", b"abc"),
           seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc", via=b"1.0"), fate="closed"),
    passed("1.0 without length: what follows is nothing", "9112 6.3", old(b"", b"POST", b"abc"),
           seen(b"POST / HTTP/1.1", via=b"1.0"), fate="closed"),
    passed("the app's close is not the client's", "9112 9.6", GET, seen(),
           app=[BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n/", CLOSE], got=answer()),
    passed("the app's close without a word is not the client's", "9112 9.6", GET, seen(),
           app=[BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n/", CLOSE], got=answer()),
    passed("an app of 1.0 is not the client's version", "9110 2.5", GET, seen(),
           app=[BODY, b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n/", CLOSE], got=answer()),
    Row("a request behind a refusal meets no reset", "9112 9.6",
        [b"POST / HTTP/1.1\r\nHost: small.example\r\nContent-Length: 11\r\n\r\n0123456789a", ("got", b"</p>\n"), SMUGGLED], 413, "closed", None),
    Row("a request behind an answer without length meets no reset", "9112 9.6", [GET, ("got", b"\r\n\r\nabc"), 0.03, SMUGGLED], 200,
        "closed", seen(), app=[BODY, b"HTTP/1.1 200 OK\r\n\r\nabc", CLOSE]),
    # half a connection
    Row("a client that has said all", "9112 9.6", [GET, HALF], 200, "closed", seen(), got=answer()),
    Row("a client that has said all, and the answer is slow", "9112 9.6", [GET, HALF], 200, "closed", seen(),
        app=[BODY, 0.05, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n/"], got=answer()),
    Row("two requests, then the end", "9112 9.6", [path(1) + path(2), HALF], [200, 200], "closed", reached(1, 2),
        got=answer(b"/1") + answer(b"/2")),
    Row("half a head, then the end", "9112 8", [b"GET / HTTP/1.1\r\nHo", HALF], [], "closed", None),
    Row("nothing, then the end", "9112 9.6", [HALF], [], "closed", None),
    # early answers
    passed("an answer before the body, and the body comes", "9112 9.5",
           [post(b"Content-Length: 3\r\n"), ("got", b"\r\n\r\n"), b"abc"],
           Partial(seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n")), 413, fate="closed",
           app=[b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"]),
    passed("an answer and a close before the body", "9112 9.5", [post(b"Content-Length: 300000\r\n"), b"x" * 1000, ("got", b"no"), b"y" * 5000],
           Partial(seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 300000\r\n", b"x" * 1000)), 401, fate="closed",
           app=[0.05, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"], whole=True),
    passed("an early answer without length", "9112 9.5", post(b"Content-Length: 30\r\n"),
           Partial(seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 30\r\n")), 200, fate="closed",
           app=[b"HTTP/1.1 200 OK\r\n\r\nearly", CLOSE]),
    passed("an answer in the middle of the body, which then ends", "9112 9.3",
           [post(CHUNKED, b"3\r\nabc\r\n"), ("got", b"first"), b"0\r\n\r\n", ("got", b"last")],
           seen(b"POST / HTTP/1.1", HOST + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"), 200, fate="closed",
           app=[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst", BODY, b"last"]),
]
