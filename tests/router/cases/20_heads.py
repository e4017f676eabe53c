from conform import *

TITLE = "Request heads"


def line(text, status=400, rfc="9112 3"):
    return text + b"\r\n" + HOST + b"\r\n"


def field_passes(name, rfc, raw, kept=None, **more):
    return passed(name, rfc, with_fields(raw), seen(fields=HOST + (raw if kept is None else kept)), **more)


LIMIT = 32768
FILL = LIMIT - len(with_fields(b"X: \r\n"))

ROWS = [
    passed("a plain request", "9112 3", GET, seen(), got=answer()),
    # line ends
    refused("bare LF everywhere", "9112 2.2", b"GET / HTTP/1.1\nHost: a.example\n\n", 400),
    refused("bare LF behind the request line", "9112 2.2", b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
    refused("bare LF behind a field", "9112 2.2", with_fields(b"X: a\n"), 400),
    refused("bare LF as the empty line", "9112 2.2", b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400),
    refused("bare CR behind the request line", "9112 2.2", b"GET / HTTP/1.1\r" + HOST + b"\r\n", 400),
    refused("bare CR in a value", "9112 2.2", with_fields(b"X: a\rb\r\n"), 400),
    refused("CR CR LF behind a value", "9112 2.2", with_fields(b"X: a\r\r\n"), 400),
    refused("CR without LF as the empty line", "9112 2.2", b"GET / HTTP/1.1\r\n" + HOST + b"\rX", 400),
    passed("an empty line in front", "9112 2.2", b"\r\n" + GET, seen()),
    passed("two empty lines in front", "9112 2.2", b"\r\n\r\n" + GET, seen()),
    refused("three empty lines in front", "9112 2.2", b"\r\n\r\n\r\n" + GET, 400),
    refused("a bare LF in front", "9112 2.2", b"\n" + GET, 400),
    passed("an empty line between two requests", "9112 2.2", GET + b"\r\n" + GET, [seen(), seen()], [200, 200]),
    # folding
    refused("a folded value", "9112 5.2", with_fields(b"X: a\r\n b\r\n"), 400),
    refused("a value folded by a tab", "9112 5.2", with_fields(b"X: a\r\n\tb\r\n"), 400),
    refused("a value folded to nothing", "9112 5.2", with_fields(b"X: a\r\n \r\n"), 400),
    refused("white space behind the request line", "9112 2.2", b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n", 400),
    refused("white space in front of Host", "9112 2.2", b"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", 400),
    # names
    refused("a space before the colon", "9112 5.1", with_fields(b"X : a\r\n"), 400),
    refused("a tab before the colon", "9112 5.1", with_fields(b"X\t: a\r\n"), 400),
    refused("no colon", "9112 5", with_fields(b"X\r\n"), 400),
    refused("an empty name", "9112 5", with_fields(b": a\r\n"), 400),
    refused("a space in a name", "9110 5.1", with_fields(b"X Y: a\r\n"), 400),
    refused("brackets in a name", "9110 5.1", with_fields(b"X[]: a\r\n"), 400),
    refused("quotes in a name", "9110 5.1", with_fields(b"\"X\": a\r\n"), 400),
    refused("a slash in a name", "9110 5.1", with_fields(b"X/Y: a\r\n"), 400),
    refused("NUL in a name", "9110 5.1", with_fields(b"X\x00: a\r\n"), 400),
    refused("UTF-8 in a name", "9110 5.1", with_fields(b"\xc3\xa4: a\r\n"), 400),
    field_passes("all characters of a token", "9110 5.6.2", b"!#$%&'*+-.^`|~09aZ: x\r\n"),
    field_passes("a name of 10,000 letters", "9110 5.1", b"x" * 10000 + b": a\r\n"),
    # values
    refused("NUL in a value", "9110 5.5", with_fields(b"X: a\x00b\r\n"), 400),
    refused("backspace in a value", "9110 5.5", with_fields(b"X: a\x08\r\n"), 400),
    refused("escape in a value", "9110 5.5", with_fields(b"X: \x1b[0m\r\n"), 400),
    refused("DEL in a value", "9110 5.5", with_fields(b"X: a\x7f\r\n"), 400),
    field_passes("an empty value", "9110 5.5", b"X:\r\n"),
    field_passes("white space only", "9110 5.5", b"X: \t \r\n"),
    field_passes("tabs inside a value", "9110 5.5", b"X: a\tb\r\n"),
    field_passes("UTF-8 in a value", "9110 5.5", b"X: \xc3\xa4\r\n"),
    field_passes("Latin-1 in a value", "9110 5.5", b"X: \xe4\xff\r\n"),
    field_passes("a colon as value", "9110 5.5", b"X:::\r\n"),
    field_passes("a field more than once", "9110 5.3", b"X: 1\r\nY: 2\r\nX: 3\r\nx: 4\r\n"),
    field_passes("two Cookie lines", "6265 5.4", b"Cookie: a=1\r\nCookie: b=2\r\n"),
    # version
    passed("1.2 is 1.1", "9110 2.5", b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", seen()),
    passed("1.0", "9112 9.3", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", seen(via=b"1.0"), fate="closed",
           got=answer(extra=b"Connection: close\r\n")),
    refused("version 2.0", "9110 15.6.6", line(b"GET / HTTP/2.0"), 505),
    refused("version 3.7", "9110 15.6.6", line(b"GET / HTTP/3.7"), 505),
    refused("version 0.9", "9110 15.6.6", line(b"GET / HTTP/0.9"), 505),
    refused("almost the preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\nSM: x\r\n\r\n", 505),
    refused("0.9 without a version", "9112 3", b"GET /\r\n", 400),
    refused("version in small letters", "9112 2.3", line(b"GET / http/1.1"), 400),
    refused("version without a point", "9112 2.3", line(b"GET / HTTP/11 "), 400),
    refused("version with two digits", "9112 2.3", line(b"GET / HTTP/1.10"), 400),
    refused("version with a zero in front", "9112 2.3", line(b"GET / HTTP/01.1"), 400),
    refused("version with a comma", "9112 2.3", line(b"GET / HTTP/1,1"), 400),
    refused("another protocol", "9112 2.3", line(b"GET / ICAP/1.0"), 400),
    refused("a space behind the version", "9112 3", line(b"GET / HTTP/1.1 "), 400),
    refused("no version but a space", "9112 3", line(b"GET / "), 400),
    refused("something behind the version", "9112 3", line(b"GET / HTTP/1.1 X: y"), 400),
    # spaces of the request line
    refused("two spaces before the target", "9112 3", line(b"GET  / HTTP/1.1"), 400),
    refused("two spaces before the version", "9112 3", line(b"GET /  HTTP/1.1"), 400),
    refused("a tab before the target", "9112 3", line(b"GET\t/ HTTP/1.1"), 400),
    refused("a tab before the version", "9112 3", line(b"GET /\tHTTP/1.1"), 400),
    refused("a space in front", "9112 3", line(b" GET / HTTP/1.1"), 400),
    refused("nothing but spaces", "9112 3", b"   \r\n\r\n", 400),
    # what is no HTTP
    refused("TLS hello", "9112 2.2", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)), 400),
    refused("SSH", "9112 3", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    refused("PROXY protocol", "9112 3", b"PROXY TCP4 6.6.6.6 127.0.0.1 1 80\r\n" + GET, 400),
    refused("PROXY protocol 2", "9112 3", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + GET, 400),
    # methods
    passed("a method in small letters is another method", "9110 9.1", line(b"get / HTTP/1.1"), seen(b"get / HTTP/1.1")),
    passed("an unknown method", "9110 16.1", line(b"BREW / HTTP/1.1"), seen(b"BREW / HTTP/1.1")),
    passed("a method with odd characters", "9110 9.1", line(b"M-SEARCH! / HTTP/1.1"), seen(b"M-SEARCH! / HTTP/1.1")),
    passed("a method of 32 letters", "9112 3", line(b"A" * 32 + b" / HTTP/1.1"), seen(b"A" * 32 + b" / HTTP/1.1")),
    refused("a method of 33 letters", "9112 3", line(b"A" * 33 + b" / HTTP/1.1"), 501),
    refused("braces in a method", "9110 9.1", line(b"{GET} / HTTP/1.1"), 400),
    refused("a colon in a method", "9110 9.1", line(b"GE:T / HTTP/1.1"), 400),
    refused("NUL in a method", "9110 9.1", line(b"GE\x00T / HTTP/1.1"), 400),
    refused("CONNECT", "9110 9.3.6", line(b"CONNECT a.example:443 HTTP/1.1"), 501),
    refused("connect in small letters", "9110 9.3.6", line(b"connect a.example:443 HTTP/1.1"), 501),
    refused("CONNECT with a path", "9110 9.3.6", line(b"CONNECT / HTTP/1.1"), 501),
    refused("TRACE", "9110 9.3.8", line(b"TRACE / HTTP/1.1"), 501),
    refused("TRACE with Max-Forwards", "9110 7.6.2", b"TRACE / HTTP/1.1\r\n" + HOST + b"Max-Forwards: 0\r\n\r\n", 501),
    # limits
    passed("a target of 8,192 bytes", "9112 3", line(b"GET /" + b"a" * 8191 + b" HTTP/1.1"),
           seen(b"GET /" + b"a" * 8191 + b" HTTP/1.1")),
    refused("a target of 8,193 bytes", "9110 15.5.15", line(b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414),
    refused("a target without end", "9110 15.5.15", b"GET /" + b"a" * 40000, 414),
    passed("a head of 32,768 bytes", "9110 5.4", with_fields(b"X: " + b"a" * FILL + b"\r\n"),
           seen(fields=HOST + b"X: " + b"a" * FILL + b"\r\n")),
    refused("a head of 32,769 bytes", "6585 5", with_fields(b"X: " + b"a" * (FILL + 1) + b"\r\n"), 431),
    refused("a field without end", "6585 5", b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 40000, 431),
    passed("128 fields", "9110 5.4", with_fields(b"X: a\r\n" * 127), seen(fields=HOST + b"X: a\r\n" * 127)),
    refused("129 fields", "6585 5", with_fields(b"X: a\r\n" * 128), 431),
    refused("a head that is refused has no body for HEAD", "9110 9.3.2", b"HEAD /% HTTP/1.1\r\n" + HOST + b"\r\n", 400),
]
