from conform import *

TITLE = "Fields that are changed on the way to the app"


def field_row(name, rfc, raw, kept, **more):
    return passed(name, rfc, with_fields(raw), seen(fields=HOST + kept, **more))


def dropped(name, rfc, raw):
    return field_row(name, rfc, b"X-Kept: 1\r\n" + raw + b"X-Also: 2\r\n", b"X-Kept: 1\r\nX-Also: 2\r\n")


def kept(name, rfc, raw):
    return field_row(name, rfc, raw, raw)


def with_id(name, raw, made):
    return field_row(name, "9110 16.3", raw, b"" if made else raw, made_id=made)


ROWS = [
    # hop-by-hop
    dropped("Connection: keep-alive", "9110 7.6.1", b"Connection: keep-alive\r\n"),
    dropped("Keep-Alive", "9110 7.6.1", b"Keep-Alive: timeout=5\r\n"),
    dropped("Proxy-Connection", "9110 7.6.1", b"Proxy-Connection: keep-alive\r\n"),
    dropped("TE", "9110 10.1.4", b"TE: trailers\r\n"),
    dropped("TE named by Connection", "9110 10.1.4", b"Connection: TE\r\nTE: trailers, gzip\r\n"),
    dropped("Upgrade that Connection does not name", "9110 7.8", b"Upgrade: websocket\r\n"),
    dropped("Connection: Upgrade without Upgrade", "9110 7.8", b"Connection: Upgrade\r\n"),
    dropped("a field that Connection names", "9110 7.6.1", b"Connection: X-Secret\r\nX-Secret: 1\r\n"),
    dropped("a field that Connection names later", "9110 7.6.1", b"X-Secret: 1\r\nConnection: close-not, x-secret\r\n"),
    dropped("all lines of a field that Connection names", "9110 7.6.1", b"X-S: 1\r\nConnection: x-s\r\nX-s: 2\r\n"),
    dropped("fields named by two Connection lines", "9110 7.6.1",
            b"Connection: X-A\r\nConnection: ,, X-B ,\r\nX-A: 1\r\nX-B: 2\r\n"),
    dropped("Cookie, when Connection names it", "9110 7.6.1", b"Connection: Cookie\r\nCookie: a=1\r\n"),
    dropped("a name that Connection names but is not there", "9110 7.6.1", b"Connection: X-Nothing\r\n"),
    dropped("Connection with something that is no token", "9110 7.6.1", b"Connection: \"x\", @\r\n"),
    dropped("an empty Connection", "9110 7.6.1", b"Connection:\r\n"),
    passed("Connection cannot name Host", "9110 7.6.1", with_fields(b"Connection: Host\r\n"), seen()),
    passed("Connection cannot name Content-Length", "9110 7.6.1", post(b"Connection: Content-Length\r\nContent-Length: 3\r\n", b"abc"),
           seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc")),
    passed("Connection cannot name Transfer-Encoding", "9110 7.6.1",
           post(b"Connection: transfer-encoding\r\n" + CHUNKED, b"0\r\n\r\n"),
           seen(b"POST / HTTP/1.1", HOST + CHUNKED, b"0\r\n\r\n")),
    passed("Connection cannot name what the router adds", "9110 7.6.1",
           with_fields(b"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Via, close-not\r\n"), seen()),
    passed("Connection: close ends here", "9112 9.6", with_fields(b"Connection: close\r\n"), seen(), fate="closed",
           got=answer(extra=b"Connection: close\r\n")),
    passed("close among others", "9112 9.6", with_fields(b"Connection: x, Close , keep-alive\r\n"), seen(), fate="closed"),
    dropped("HTTP2-Settings", "7540 3.2.1", b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
    # what only the router may say
    dropped("X-Forwarded-For", "7239 8.1", b"X-Forwarded-For: 6.6.6.6\r\n"),
    dropped("X-Forwarded-Proto", "7239 8.1", b"X-Forwarded-Proto: https\r\n"),
    dropped("X-Forwarded-Port", "7239 8.1", b"X-Forwarded-Port: 1\r\n"),
    dropped("X-Forwarded-Host", "7239 8.1", b"X-Forwarded-Host: evil.example\r\n"),
    dropped("any X-Forwarded-", "7239 8.1", b"x-forwarded-prefix: /admin\r\nX-FORWARDED-SERVER: x\r\n"),
    dropped("several lines of X-Forwarded-For", "7239 8.1", b"X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n"),
    dropped("Forwarded", "7239 8.1", b"Forwarded: for=6.6.6.6;proto=https\r\n"),
    dropped("X-Request-Start", "9110 7.6", b"X-Request-Start: 1\r\n"),
    dropped("Proxy (it becomes HTTP_PROXY)", "3875 4.1.18", b"Proxy: http://evil.example\r\n"),
    kept("Via of those before", "9110 7.6.3", b"Via: 1.0 fred, 1.1 p.example\r\n"),
    kept("X-Real-IP means nothing", "9110 5.1", b"X-Real-IP: 6.6.6.6\r\n"),
    # names that CGI confuses
    dropped("a name with an underscore", "3875 4.1.18", b"under_score: 1\r\n"),
    dropped("X_Forwarded_For", "3875 4.1.18", b"X_Forwarded_For: 6.6.6.6\r\n"),
    dropped("an underscore at the end", "3875 4.1.18", b"Host_: evil\r\n"),
    # request ids
    with_id("an id that is kept", b"X-Request-Id: abc-123_X.y+/=\r\n", False),
    with_id("an id of 200 letters", b"X-Request-Id: " + b"a" * 200 + b"\r\n", False),
    with_id("an id of 201 letters", b"X-Request-Id: " + b"a" * 201 + b"\r\n", True),
    with_id("an empty id", b"X-Request-Id: \r\n", True),
    with_id("an id with a space", b"X-Request-Id: a b\r\n", True),
    with_id("an id with a quote", b"X-Request-Id: a\"b\r\n", True),
    with_id("an id in UTF-8", b"X-Request-Id: \xc3\xa4\r\n", True),
    field_row("two ids: the first counts", "9110 5.3", b"X-Request-Id: one\r\nX-Request-Id: two\r\n", b"X-Request-Id: one\r\n",
              made_id=False),
    # what goes on untouched
    kept("Authorization", "9110 11.6.2", b"Authorization: Basic dTpw\r\n"),
    kept("Proxy-Authorization", "9110 11.7.2", b"Proxy-Authorization: Basic dTpw\r\n"),
    kept("Range and If-Range", "9110 14.2", b"Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"),
    kept("conditions", "9110 13.1", b"If-None-Match: \"x\", W/\"y\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
    kept("Accept-Encoding", "9110 12.5.3", b"Accept-Encoding: gzip;q=1.0, identity; q=0.5, *;q=0\r\n"),
    kept("Trailer", "9110 6.6.2", b"Trailer: X-Sum\r\n"),
    kept("Date of the client", "9110 6.6.1", b"Date: D\r\n"),
    kept("a Sec- field", "fetch", b"Sec-Fetch-Site: same-origin\r\n"),
    # 100-continue and other expectations
    passed("Expect: 100-continue and the app agrees", "9110 10.1.1",
           [post(b"Expect: 100-continue\r\nContent-Length: 3\r\n"), ("got", b"100 Continue\r\n\r\n"), b"abc"],
           seen(b"POST / HTTP/1.1", HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n", b"abc"), [100, 200],
           app=[b"HTTP/1.1 100 Continue\r\n\r\n", BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]),
    passed("Expect in other letters", "9110 10.1.1", post(b"expect: 100-Continue\r\nContent-Length: 3\r\n", b"abc"),
           seen(b"POST / HTTP/1.1", HOST + b"expect: 100-Continue\r\nContent-Length: 3\r\n", b"abc")),
    passed("Expect, and the app refuses", "9110 10.1.1", post(b"Expect: 100-continue\r\nContent-Length: 3\r\n"),
           Partial(seen(b"POST / HTTP/1.1", HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n")), 403, fate="closed",
           app=[b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]),
    passed("Expect without a body", "9110 10.1.1", with_fields(b"Expect: 100-continue\r\n"),
           seen(fields=HOST + b"Expect: 100-continue\r\n")),
    passed("Expect in 1.0 is not passed on", "9110 10.1.1",
           b"POST / HTTP/1.0\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
           seen(b"POST / HTTP/1.1", HOST + b"Content-Length: 3\r\n", b"abc", via=b"1.0"), fate="closed"),
    refused("another expectation", "9110 10.1.1", with_fields(b"Expect: magic\r\n"), 417),
    refused("100-continue and another", "9110 10.1.1", with_fields(b"Expect: 100-continue, magic\r\n"), 417),
    refused("Expect twice", "9110 10.1.1", with_fields(b"Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417),
    refused("an empty Expect", "9110 10.1.1", with_fields(b"Expect:\r\n"), 417),
    refused("Expect with a body above the limit", "9110 10.1.1", post(b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n"), 413),
]
