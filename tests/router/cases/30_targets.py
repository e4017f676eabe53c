from conform import *

TITLE = "Targets and Host"


def to(target, fields=HOST, method=b"GET"):
    return method + b" " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


def hops(value):
    return to(b"*", HOST + b"Max-Forwards: " + value + b"\r\n", b"OPTIONS")


def origin(name, rfc, target, **more):
    """A target that goes on as it came."""
    return passed(name, rfc, to(target), seen(b"GET " + target + b" HTTP/1.1"), **more)


def host(name, rfc, value, status=200):
    fields = b"Host: " + value + b"\r\n"
    if status == 200:
        return passed(name, rfc, to(b"/", fields), seen(fields=fields))
    if status == 404:
        return Row(name, rfc, to(b"/", fields), 404, "kept", None)
    return refused(name, rfc, to(b"/", fields), status)


ROWS = [
    # origin-form
    origin("a path", "9112 3.2.1", b"/a/b.c"),
    origin("a path and a query", "9112 3.2.1", b"/a?b=c&d"),
    origin("an empty query", "9112 3.2.1", b"/?"),
    origin("question marks in the query", "3986 3.4", b"/a?b?c"),
    origin("two slashes in front", "9112 3.2.1", b"//b.example/x"),
    origin("dots are the app's", "3986 6.2.2.3", b"/a/../b/./c"),
    origin("escapes are the app's", "3986 6.2.2.1", b"/%41%2f%2e%2E%c3%BC"),
    origin("an escaped NUL is the app's", "3986 2.1", b"/%00"),
    origin("an escaped line end is the app's", "3986 2.1", b"/a%0d%0aX:%20y"),
    origin("all that a path may hold", "3986 3.3", b"/-._~!$&'()*+,;=:@"),
    origin("what browsers send raw", "9112 3.2", b"/a|b?c[]={\"^`}"),
    origin("a backslash is the app's", "9112 3.2", b"/a\\b"),
    origin("half an escape in the query", "3986 3.4", b"/x?100%"),
    refused("half an escape", "3986 2.1", to(b"/%"), 400),
    refused("an escape of one digit", "3986 2.1", to(b"/a%4"), 400),
    refused("an escape cut by the query", "3986 2.1", to(b"/%2?f"), 400),
    refused("an escape of other letters", "3986 2.1", to(b"/%zz"), 400),
    refused("an escape of UTF-16", "3986 2.1", to(b"/%u0041"), 400),
    refused("a fragment", "9112 3.2", to(b"/a#b"), 400),
    refused("a space in the target", "9112 3.2", to(b"/a b"), 400),
    refused("a tab in the target", "9112 3.2", to(b"/a\tb"), 400),
    refused("NUL in the target", "9112 3.2", to(b"/\x00"), 400),
    refused("DEL in the target", "9112 3.2", to(b"/\x7f"), 400),
    refused("a control byte in the target", "9112 3.2", to(b"/\x1b"), 400),
    refused("raw UTF-8 in the target", "9112 3.2", to(b"/\xc3\xa4"), 400),
    refused("raw Latin-1 in the query", "9112 3.2", to(b"/?\xe4"), 400),
    refused("a target without slash", "9112 3.2", to(b"x"), 400),
    refused("a query alone", "9112 3.2", to(b"?x"), 400),
    refused("an empty target", "9112 3.2", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    refused("a name and a port", "9112 3.2.3", to(b"a.example:80"), 400),
    # asterisk-form
    passed("asterisk for OPTIONS", "9112 3.2.4", to(b"*", method=b"OPTIONS"), seen(b"OPTIONS * HTTP/1.1")),
    refused("asterisk for GET", "9112 3.2.4", to(b"*"), 400),
    # how far OPTIONS may go
    passed("OPTIONS with Max-Forwards", "9110 7.6.2", hops(b"10"), seen(b"OPTIONS * HTTP/1.1", HOST + b"Max-Forwards: 9\r\n")),
    passed("OPTIONS for the app behind", "9110 7.6.2", hops(b"01"), seen(b"OPTIONS * HTTP/1.1", HOST + b"Max-Forwards: 0\r\n")),
    passed("Max-Forwards of more than the router counts", "9110 7.6.2", hops(b"9" * 30),
           seen(b"OPTIONS * HTTP/1.1", HOST + b"Max-Forwards: 1000\r\n")),
    passed("Connection cannot name Max-Forwards of OPTIONS", "9110 7.6.1", to(b"/", HOST + b"Connection: max-forwards\r\nMAX-FORWARDS: 2\r\n", b"OPTIONS"),
           seen(b"OPTIONS / HTTP/1.1", HOST + b"Max-Forwards: 1\r\n")),
    passed("Max-Forwards of another method", "9110 7.6.2", to(b"/", HOST + b"Max-Forwards: 0\r\n"), seen(fields=HOST + b"Max-Forwards: 0\r\n")),
    Row("OPTIONS for the router", "9110 7.6.2", hops(b"0"), 200, "kept", None, got=b"HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"),
    refused("Max-Forwards that is no number", "9110 7.6.2", hops(b"-1"), 400),
    refused("an empty Max-Forwards", "9110 7.6.2", hops(b""), 400),
    refused("two Max-Forwards", "9110 7.6.2", hops(b"1\r\nMax-Forwards: 1"), 400),
    refused("asterisk with a query", "9112 3.2.4", to(b"*?x", method=b"OPTIONS"), 400),
    # absolute-form
    passed("absolute-form", "9112 3.2.2", to(b"http://a.example/x?y"), seen(b"GET /x?y HTTP/1.1")),
    passed("absolute-form decides, not Host", "9112 3.2.2", to(b"http://b.example:81/", b"Host: nobody.example\r\n"),
           seen(fields=b"Host: b.example:81\r\n")),
    passed("absolute-form without a path", "9110 4.2.3", to(b"http://a.example"), seen()),
    passed("absolute-form with a query alone", "9110 4.2.3", to(b"http://a.example?x"), seen(b"GET /?x HTTP/1.1")),
    passed("absolute-form in capitals", "9110 4.2.3", to(b"HTTP://A.EXAMPLE/"), seen(fields=b"Host: A.EXAMPLE\r\n")),
    passed("absolute-form with https", "9112 3.2.2", to(b"https://a.example/"), seen()),
    passed("absolute-form puts Host first", "9110 7.2", to(b"http://a.example/", b"X: 1\r\n" + HOST + b"Y: 2\r\n"),
           seen(fields=HOST + b"X: 1\r\nY: 2\r\n")),
    passed("OPTIONS of a whole site", "9112 3.2.4", to(b"http://a.example", method=b"OPTIONS"), seen(b"OPTIONS * HTTP/1.1")),
    Row("absolute-form of an unknown host", "9112 3.2.2", to(b"http://nobody.example/"), 404, "kept", None),
    refused("absolute-form without Host", "9112 3.2", to(b"http://a.example/", b""), 400),
    refused("absolute-form with two Hosts", "9112 3.2", to(b"http://a.example/", HOST + b"Host: b.example\r\n"), 400),
    refused("absolute-form with a bad Host", "9112 3.2", to(b"http://a.example/", b"Host: a/b\r\n"), 400),
    refused("absolute-form without a host", "9110 4.2.1", to(b"http:///x"), 400),
    refused("absolute-form with a user", "9110 4.2.4", to(b"http://u:p@a.example/"), 400),
    refused("absolute-form with a fragment", "9112 3.2", to(b"http://a.example/#x"), 400),
    refused("absolute-form with a bad port", "9110 4.2.1", to(b"http://a.example:x/"), 400),
    refused("absolute-form with half an escape", "3986 2.1", to(b"http://a.example/%4"), 400),
    refused("absolute-form of ftp", "9112 3.2.2", to(b"ftp://a.example/"), 400),
    refused("absolute-form of ws", "9112 3.2.2", to(b"ws://a.example/"), 400),
    refused("a scheme without slashes", "9112 3.2.2", to(b"http:a.example"), 400),
    # Host
    host("Host in other letters goes on as it came", "9110 7.2", b"A.Example"),
    passed("Host's name in other letters", "9110 5.1", to(b"/", b"hOST:a.example\r\n"), seen(fields=b"hOST:a.example\r\n")),
    host("Host with a port", "9110 7.2", b"a.example:8080"),
    host("Host with an empty port", "3986 3.2.3", b"a.example:"),
    host("Host with a dot at its end", "3986 3.2.2", b"a.example."),
    host("Host below a wildcard", "9110 7.2", b"x.y.wild.example"),
    host("Host with an underscore", "3986 3.2.2", b"under_score.example"),
    host("Host in punycode", "5891 4.4", b"xn--bcher-kva.example"),
    passed("Host behind other fields stays there", "9110 7.2", to(b"/", b"X: 1\r\n" + HOST + b"Y: 2\r\n"),
           seen(fields=b"X: 1\r\n" + HOST + b"Y: 2\r\n")),
    host("an unknown host", "9110 7.4", b"nobody.example", 404),
    host("a wildcard's own name", "9110 7.4", b"wild.example", 404),
    host("an address", "9110 7.4", b"127.0.0.1", 404),
    host("an IPv6 address", "3986 3.2.2", b"[::1]:80", 404),
    host("an IPv6 address that holds an IPv4 one", "3986 3.2.2", b"[::ffff:1.2.3.4]", 404),
    Row("an app without instances", "9110 15.6.4", to(b"/", b"Host: down.example\r\n"), 503, "kept", None),
    Row("an app in maintenance", "9110 15.6.4", to(b"/", b"Host: closed.example\r\n"), 503, "kept", None),
    refused("no Host", "9112 3.2", to(b"/", b""), 400),
    refused("no Host in 1.0", "9112 3.2", b"GET / HTTP/1.0\r\n\r\n", 400),
    refused("no Host but other fields", "9112 3.2", to(b"/", b"X: a\r\n"), 400),
    refused("two Hosts", "9112 3.2", to(b"/", HOST + HOST), 400),
    refused("two different Hosts", "9112 3.2", to(b"/", HOST + b"X: y\r\nHost: b.example\r\n"), 400),
    refused("an empty Host", "9112 3.2", to(b"/", b"Host: \r\n"), 400),
    refused("Host behind a space before the colon", "9112 5.1", to(b"/", b"Host : a.example\r\n"), 400),
    refused("Host on a folded line", "9112 5.2", to(b"/", b"Host:\r\n a.example\r\n"), 400),
    host("Host with a path", "9110 7.2", b"a.example/x", 400),
    host("Host with a scheme", "9110 7.2", b"http://a.example", 400),
    host("Host with a user", "9110 7.2", b"x@a.example", 400),
    host("Host with a query", "9110 7.2", b"a.example?x", 400),
    host("Host with a fragment", "9110 7.2", b"a.example#x", 400),
    host("Host with a space inside", "9110 7.2", b"a.example b", 400),
    host("Host as a list", "9110 7.2", b"a.example, b.example", 400),
    host("Host with an escape", "9110 7.2", b"a%2eexample", 400),
    host("Host in UTF-8", "9110 7.2", b"b\xc3\xbccher.example", 400),
    host("Host with NUL", "9110 7.2", b"a.example\x00", 400),
    host("Host with a tab inside", "9110 7.2", b"a\tb", 400),
    host("Host with a dot in front", "3986 3.2.2", b".a.example", 400),
    host("Host that is only a port", "3986 3.2.2", b":80", 400),
    host("letters as port", "3986 3.2.3", b"a.example:http", 400),
    host("a port of six digits", "3986 3.2.3", b"a.example:123456", 400),
    host("two ports", "3986 3.2.3", b"a.example:80:80", 400),
    host("a port with a minus", "3986 3.2.3", b"a.example:-1", 400),
    host("half an IPv6 address", "3986 3.2.2", b"[::1", 400),
    host("something behind an IPv6 address", "3986 3.2.2", b"[::1]x", 400),
    host("letters as an IPv6 address", "3986 3.2.2", b"[xyz::1]", 400),
    host("an IPv6 address without brackets", "3986 3.2.2", b"::1", 400),
    host("a host of 254 letters", "1035 2.3.4", b"a" * 254, 400),
]
