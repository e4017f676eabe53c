from conform import *

TITLE = "Answers of apps, honest, hostile and broken"

HEAD = b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n"
OLD = b"GET / HTTP/1.0\r\n" + HOST + b"\r\n"
SEEN_HEAD, SEEN_OLD = seen(b"HEAD / HTTP/1.1"), seen(via=b"1.0")
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"


def ok(fields=b"", body=b"", line=b"HTTP/1.1 200 OK"):
    return line + b"\r\n" + fields + b"\r\n" + body


def dated(fields=b"", body=b"", line=b"HTTP/1.1 200 OK", extra=b""):
    return line + b"\r\n" + fields + b"Date: D\r\n" + extra + b"\r\n" + body


def same(name, rfc, fields, body, **more):
    """Goes on as it came."""
    return answered(name, rfc, ok(fields, body), dated(fields, body), **more)


def bad(name, rfc, app, **more):
    """Becomes 502, and the app's connection is not used again."""
    return answered(name, rfc, app, 502, **more)


def cut(name, rfc, app, got, **more):
    """Breaks after its head has gone on: only the end of the connection can tell."""
    return answered(name, rfc, app, got, "closed", **more)


LENGTH3 = b"Content-Length: 3\r\n"
TEN = b"Content-Length: 10\r\n"

ROWS = [
    # framing
    same("a length", "9112 6.2", LENGTH3, b"abc"),
    same("a length of 0", "9112 6.2", b"Content-Length: 0\r\n", b""),
    same("chunks", "9112 7.1", CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"),
    same("chunks with extensions and trailers", "9112 7.1", CHUNKED, b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
    same("a length as a trailer means nothing", "9110 6.5.1", CHUNKED, b"3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n"),
    answered("no length: until the app closes", "9112 6.3", [BODY, ok(b"X: y\r\n", b"abc"), CLOSE],
             dated(b"X: y\r\n", b"abc", extra=b"Connection: close\r\n"), "closed"),
    answered("no length and no body", "9112 6.3", [BODY, ok(), CLOSE], dated(extra=b"Connection: close\r\n"), "closed"),
    answered("no length, half closed", "9112 6.3", [BODY, ok(b"", b"abc"), HALF], dated(b"", b"abc", extra=b"Connection: close\r\n"),
             "closed"),
    answered("no length, then a reset: the client sees one", "9112 8", [BODY, ok(b"", b"abc"), 0.5, RESET],
             dated(b"", b"abc", extra=b"Connection: close\r\n"), "reset", whole=True),
    bad("length and coding", "9112 6.3", ok(LENGTH3 + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")),
    bad("coding and length", "9112 6.3", ok(CHUNKED + LENGTH3, b"3\r\nabc\r\n0\r\n\r\n")),
    bad("length twice", "9112 6.3", ok(LENGTH3 + b"Content-Length: 4\r\n", b"abcd")),
    bad("length twice, equal", "9112 6.3", ok(LENGTH3 + LENGTH3, b"abc")),
    bad("length as a list", "9112 6.3", ok(b"Content-Length: 3, 3\r\n", b"abc")),
    bad("a negative length", "9110 8.6", ok(b"Content-Length: -1\r\n", b"abc")),
    bad("a length in hexadecimal", "9110 8.6", ok(b"Content-Length: 0x3\r\n", b"abc")),
    bad("an empty length", "9110 8.6", ok(b"Content-Length:\r\n", b"abc")),
    bad("a length of 20 digits", "9110 8.6", ok(b"Content-Length: 99999999999999999999\r\n", b"abc")),
    bad("gzip as coding", "9112 6.1", ok(b"Transfer-Encoding: gzip\r\n", b"abc")),
    bad("gzip, chunked", "9112 6.1", ok(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    bad("chunked twice", "9112 6.1", ok(CHUNKED + CHUNKED, b"0\r\n\r\n")),
    bad("coding in 1.0", "9112 6.1", ok(CHUNKED, b"0\r\n\r\n", b"HTTP/1.0 200 OK")),
    bad("a coding behind a space before the colon", "9112 5.1", ok(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n")),
    cut("a bad chunk size", "9112 7.1", [BODY, ok(CHUNKED), 0.02, b"zz\r\n"], dated(CHUNKED)),
    cut("a chunk longer than its size", "9112 7.1", [BODY, ok(CHUNKED), 0.02, b"3\r\nab", 0.02, b"cd\r\n0\r\n\r\n"],
        dated(CHUNKED, b"3\r\nab"), whole=True),
    cut("chunks without end", "9112 8", [BODY, ok(CHUNKED, b"3\r\nabc\r\n"), 0.02, CLOSE], dated(CHUNKED, b"3\r\nabc\r\n")),
    cut("chunks without the last CR LF", "9112 8", [BODY, ok(CHUNKED, b"3\r\nabc\r\n0\r\n"), 0.02, CLOSE],
        dated(CHUNKED, b"3\r\nabc\r\n0\r\n")),
    cut("fewer bytes than the length", "9112 8", [BODY, ok(TEN, b"abc"), 0.02, CLOSE], dated(TEN, b"abc")),
    cut("a reset in the middle of a length", "9112 8", [BODY, ok(TEN, b"abc"), 0.5, RESET], dated(TEN, b"abc")),
    # bytes behind an answer
    answered("bytes behind a length", "9112 6.3", ok(LENGTH3, b"abc") + EVIL, dated(LENGTH3, b"abc")),
    answered("bytes behind the last chunk", "9112 6.3", ok(CHUNKED, b"0\r\n\r\n") + EVIL, dated(CHUNKED, b"0\r\n\r\n")),
    answered("one byte more", "9112 6.3", ok(LENGTH3, b"abcd"), dated(LENGTH3, b"abc")),
    answered("another answer a little later", "9112 9.2", [BODY, ok(LENGTH3, b"abc"), 0.02, EVIL], dated(LENGTH3, b"abc"),
             send=[GET, ("got", b"abc"), 0.5]),
    answered("an answer before anything was asked again", "9112 9.2",
             [BODY, ok(LENGTH3, b"abc"), 0.02, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", CLOSE],
             dated(LENGTH3, b"abc"), send=[GET, ("got", b"abc"), 0.5]),
    # no body, whatever is said
    answered("HEAD with a length", "9110 9.3.2", ok(b"Content-Length: 12345\r\n"), dated(b"Content-Length: 12345\r\n"), send=HEAD,
             reached=SEEN_HEAD),
    answered("HEAD with chunked", "9110 9.3.2", ok(CHUNKED), dated(CHUNKED), send=HEAD, reached=SEEN_HEAD),
    answered("HEAD without length", "9110 9.3.2", ok(), dated(), send=HEAD, reached=SEEN_HEAD),
    answered("HEAD with a body all the same", "9110 9.3.2", ok(LENGTH3, b"abc"), dated(LENGTH3), send=HEAD, reached=SEEN_HEAD),
    answered("HEAD with chunks all the same", "9110 9.3.2", ok(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"), dated(CHUNKED), send=HEAD,
             reached=SEEN_HEAD),
    answered("204", "9110 15.3.5", ok(line=b"HTTP/1.1 204 No Content"), dated(line=b"HTTP/1.1 204 No Content")),
    answered("204 with a length", "9110 8.6", ok(b"Content-Length: 0\r\n", line=b"HTTP/1.1 204 No Content"),
             dated(line=b"HTTP/1.1 204 No Content")),
    answered("204 with a coding", "9112 6.1", ok(CHUNKED, b"0\r\n\r\n", b"HTTP/1.1 204 No Content"),
             dated(line=b"HTTP/1.1 204 No Content")),
    answered("204 with a body all the same", "9110 15.3.5", ok(LENGTH3, b"abc", b"HTTP/1.1 204 No Content"),
             dated(line=b"HTTP/1.1 204 No Content")),
    answered("304 keeps its length", "9110 15.4.5", ok(b"Content-Length: 5\r\nETag: \"x\"\r\n", line=b"HTTP/1.1 304 Not Modified"),
             dated(b"Content-Length: 5\r\nETag: \"x\"\r\n", line=b"HTTP/1.1 304 Not Modified")),
    answered("304 with a body all the same", "9110 15.4.5", ok(LENGTH3, b"abc", b"HTTP/1.1 304 Not Modified"),
             dated(LENGTH3, line=b"HTTP/1.1 304 Not Modified")),
    same("205 is framed like any", "9110 15.3.6", b"Content-Length: 0\r\n", b""),
    # interim answers
    answered("103 and the final one", "9110 15.2", HINTS + ok(LENGTH3, b"abc"), HINTS + dated(LENGTH3, b"abc")),
    answered("several interim answers", "9110 15.2", b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS + HINTS + ok(LENGTH3, b"abc"),
             b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS + HINTS + dated(LENGTH3, b"abc")),
    answered("100 without Expect", "9110 15.2.1", b"HTTP/1.1 100 Continue\r\n\r\n" + ok(LENGTH3, b"abc"),
             b"HTTP/1.1 100 Continue\r\n\r\n" + dated(LENGTH3, b"abc")),
    answered("an interim answer of an unknown kind", "9110 15.2", b"HTTP/1.1 199 Odd\r\nX: y\r\n\r\n" + ok(LENGTH3, b"abc"),
             b"HTTP/1.1 199 Odd\r\nX: y\r\n\r\n" + dated(LENGTH3, b"abc")),
    answered("interim answers are not for 1.0", "9110 15.2", HINTS + ok(LENGTH3, b"abc"),
             dated(LENGTH3, b"abc", extra=b"Connection: close\r\n"), "closed", send=OLD, reached=SEEN_OLD),
    answered("an interim answer loses its framing", "9112 6.1",
             b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: x\r\n\r\n" + ok(LENGTH3, b"abc"),
             b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + dated(LENGTH3, b"abc")),
    answered("a thousand interim answers", "9110 15.2", HINTS * 1000 + ok(LENGTH3, b"abc"), HINTS * 1000 + dated(LENGTH3, b"abc")),
    Row("an interim answer, then nonsense", "9112 4", GET, [103, 502], "kept", seen(), app=HINTS + b"this is nonsense\r\n\r\n"),
    Row("an interim answer, then the end", "9112 8", GET, [103, 502], "kept", seen(), app=[BODY, HINTS, 0.02, CLOSE]),
    # 101 unasked
    bad("101 that nobody asked for", "9110 7.8", ok(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"evil", b"HTTP/1.1 101 Switching Protocols")),
    bad("101 without fields", "9110 15.2.2", ok(line=b"HTTP/1.1 101 Switching Protocols")),
    # malformed heads
    bad("garbage", "9112 4", b"garbage\r\n\r\n\r\n\r\n"),
    bad("another protocol", "9112 4", b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"),
    bad("version 2.0", "9110 2.5", ok(LENGTH3, b"abc", b"HTTP/2.0 200 OK")),
    bad("status 099", "9110 15", ok(line=b"HTTP/1.1 099 Low")),
    bad("status 600", "9110 15", ok(line=b"HTTP/1.1 600 High")),
    bad("status of two digits", "9112 4", ok(line=b"HTTP/1.1 20 OK")),
    bad("status of four digits", "9112 4", ok(line=b"HTTP/1.1 2000 OK")),
    bad("letters as status", "9112 4", ok(line=b"HTTP/1.1 abc OK")),
    bad("a tab before the status", "9112 4", ok(line=b"HTTP/1.1\t200 OK")),
    bad("bare LF", "9112 2.2", b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"),
    bad("a bare CR in a value", "9112 2.2", ok(b"X: a\rb\r\n" + LENGTH3, b"abc")),
    bad("a folded line", "9112 5.2", ok(b"X: a\r\n b\r\n" + LENGTH3, b"abc")),
    bad("a space before the colon of a field", "9112 5.1", ok(b"X : y\r\n" + LENGTH3, b"abc")),
    bad("a line without colon", "9112 5", ok(b"nonsense\r\n" + LENGTH3, b"abc")),
    bad("NUL in a field's value", "9110 5.5", ok(b"X: \x00\r\n" + LENGTH3, b"abc")),
    bad("a control byte in a reason", "9112 4", ok(LENGTH3, b"abc", b"HTTP/1.1 200 \x07")),
    bad("129 fields in an answer", "9110 5.4", ok(b"X: y\r\n" * 129, b"")),
    bad("a head of 33 kB", "9110 5.4", ok(b"X: " + b"y" * 33000 + b"\r\n" + LENGTH3, b"abc")),
    bad("a head that ends early", "9112 8", [BODY, b"HTTP/1.1 200 OK\r\nContent-", 0.02, CLOSE]),
    bad("an end without an answer: GET is asked once more", "9112 9.3.1", [BODY, 0.02, CLOSE], reached=[seen(), seen()]),
    bad("a reset without an answer: the same", "9112 9.3.1", [BODY, 0.02, RESET], reached=[seen(), seen()]),
    bad("an end without an answer: POST is not repeated", "9112 9.3.1", [BODY, 0.02, CLOSE], send=post(b""),
        reached=seen(b"POST / HTTP/1.1")),
    bad("a reset without an answer: POST neither", "9112 9.3.1", [BODY, 0.02, RESET], send=post(b"Content-Length: 3\r\n", b"abc"),
        reached=seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc")),
    same("127 fields", "9110 5.4", b"X: y\r\n" * 126 + LENGTH3, b"abc"),
    answered("a head of 30 kB", "9110 5.4", ok(b"X: " + b"y" * 30000 + b"\r\n" + LENGTH3, b"abc"),
             dated(b"X: " + b"y" * 30000 + b"\r\n" + LENGTH3, b"abc")),
    answered("no reason", "9112 4", ok(LENGTH3, b"abc", b"HTTP/1.1 200 "), dated(LENGTH3, b"abc", b"HTTP/1.1 200 ")),
    answered("no reason and no space", "9112 4", ok(LENGTH3, b"abc", b"HTTP/1.1 200"), dated(LENGTH3, b"abc", b"HTTP/1.1 200 ")),
    answered("a reason in UTF-8", "9112 4", ok(LENGTH3, b"abc", b"HTTP/1.1 200 \xc3\xa4"), dated(LENGTH3, b"abc", b"HTTP/1.1 200 \xc3\xa4")),
    answered("a status that nobody knows", "9110 15", ok(LENGTH3, b"abc", b"HTTP/1.1 299 Odd"), dated(LENGTH3, b"abc", b"HTTP/1.1 299 Odd")),
    answered("an error of the app is the app's", "9110 15.6", ok(LENGTH3, b"abc", b"HTTP/1.1 502 Bad Gateway"),
             dated(LENGTH3, b"abc", b"HTTP/1.1 502 Bad Gateway")),
    # fields
    answered("hop-by-hop fields end here", "9110 7.6.1",
             ok(b"Keep-Alive: timeout=5\r\nX-Named: 1\r\nConnection: X-Named, keep-alive\r\nX-Kept: 1\r\nProxy-Connection: x\r\n"
                b"Upgrade: h2c\r\n" + LENGTH3, b"abc"), dated(b"X-Kept: 1\r\n" + LENGTH3, b"abc")),
    answered("a field named twice goes on twice", "9110 5.3", ok(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" + LENGTH3, b"abc"),
             dated(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" + LENGTH3, b"abc")),
    answered("Connection cannot name the length", "9110 7.6.1", ok(b"Connection: Content-Length\r\n" + LENGTH3, b"abc"),
             dated(LENGTH3, b"abc")),
    answered("a Date of the app's stays", "9110 6.6.1", ok(b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" + LENGTH3, b"abc"),
             ok(b"Date: D\r\n" + LENGTH3, b"abc")),
    answered("Via, Server and underscores of the app's stay", "9110 7.6.3",
             ok(b"Via: 1.1 x\r\nServer: y\r\nx_y: z\r\n" + LENGTH3, b"abc"), dated(b"Via: 1.1 x\r\nServer: y\r\nx_y: z\r\n" + LENGTH3, b"abc")),
    answered("426 keeps its Upgrade", "9110 15.5.22", ok(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + LENGTH3, b"abc", b"HTTP/1.1 426 Upgrade Required"),
             dated(LENGTH3, b"abc", b"HTTP/1.1 426 Upgrade Required", b"Upgrade: websocket\r\nConnection: Upgrade\r\n")),
    answered("an Upgrade that is offered ends here", "9110 7.8", ok(b"Connection: Upgrade\r\nUpgrade: h2,h2c\r\n" + LENGTH3, b"abc"),
             dated(LENGTH3, b"abc")),
    # to a client of 1.0
    answered("1.0 gets chunks as bytes", "9112 6.1", ok(CHUNKED, b"3;x\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n"),
             dated(b"", b"abcd", extra=b"Connection: close\r\n"), "closed", send=OLD, reached=SEEN_OLD),
    answered("1.0 that would stay is closed after chunks", "9112 6.1", ok(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"),
             dated(b"", b"abc", extra=b"Connection: close\r\n"), "closed",
             send=b"GET / HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n", reached=SEEN_OLD),
    answered("1.0 and a bad chunk", "9112 7.1", [BODY, ok(CHUNKED, b"3\r\nabc\r\n"), 0.05, b"zz\r\n"],
             dated(b"", b"abc", extra=b"Connection: close\r\n"), "reset", send=OLD, reached=SEEN_OLD),
]
