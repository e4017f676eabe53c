"""A canary: a release beside the live one that gets a part of the new clients, who stay where they are."""
import contextlib
import re

from h2_test import BASE, speak
from harness import *

KEY = 0x1234567890abcdef


@contextlib.contextmanager
def canary(percent=20, live=2, canaries=1, key=KEY, **options):
    """Release 2 is live, release 1 the canary; each instance answers with its release. b.example has no canary."""
    backends = [Backend(lambda b, conn, n=n: ok_handler(b, conn, b"live" if n < live else b"canary"))
                for n in range(live + canaries)]
    rows = [(1 + n, b.port, "web.%d" % (1 + n if n < live else 101 + n - live), 2 if n < live else 1)
            for n, b in enumerate(backends)]
    r = Router()
    r.apps = [App(7, ["a.example"], rows, options=dict(options, canary=(key, 1, percent))),
              App(8, ["b.example"], [(20 + i, port, name) for i, port, name, _ in rows])]
    r.backends = backends
    try:
        assert r.send_table(r.apps) == 0
        yield r
    finally:
        for b in backends:
            b.stop()
        status = r.close()
        assert status == 0, (status, r)


def cookies_of(head):
    """Of a response: name -> "NAME=VALUE"."""
    found = {}
    for value in re.findall(rb"(?im)^set-cookie: (.*)\r$", head):
        got = re.match(r"((berth_\w+)=[0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax$", value.decode())
        assert got, value
        found[got.group(2)] = got.group(1)
    return found


def cookie_of(head):
    return cookies_of(head).get("berth_canary")


def clients(r, n, cookie=None, host="a.example"):
    """n requests one after the other, each as of a new client (or all with that cookie): answers and cookies."""
    seen, rest = [], b""
    with r.connect() as s:
        for _ in range(n):
            s.sendall(get(host, extra="Cookie: %s\r\n" % cookie if cookie else ""))
            head, rest = read_head(s, rest)
            body, rest = read_body(s, head, rest)
            assert status_of(head) == 200, head
            seen.append((body, cookie_of(head)))
    return seen


def share(seen):
    """Of the canary, in per cent."""
    return 100 * sum(body == b"canary" for body, _ in seen) / len(seen)


def pair(r):
    """The two cookies, as live and canary clients get them."""
    found = dict(clients(r, 400))
    assert set(found) == {b"live", b"canary"}
    return found[b"live"], found[b"canary"]


def test_a_canary_gets_its_part_of_a_thousand_new_clients():
    for percent, low, high in ((20, 13, 27), (1, 0.1, 4), (99, 96, 99.9), (50, 42, 58)):
        with canary(percent) as r:
            got = share(clients(r, 1000))
            assert low <= got <= high, (percent, got)  # five standard deviations
            assert share(clients(r, 100, host="b.example")) > 20  # there, all are instances like others
            assert all(c is None for _, c in clients(r, 3, host="b.example"))


def test_a_client_stays_with_the_canary_or_the_live_release_by_a_cookie():
    with canary(50, canaries=2) as r:
        seen = clients(r, 200)
        names = {body: {c for b, c in seen if b == body} for body in (b"live", b"canary")}
        assert all(len(c) == 1 for c in names.values()), names  # a group has one name
        for body, (cookie,) in names.items():
            for sent in (cookie, "a=b; %s; c=d" % cookie):
                assert clients(r, 60, sent) == [(body, None)] * 60
        # made up: a new client, who is told again
        for bad in ("berth_canary=", "berth_canary=0000000000000001", "berth_canary=zz"):
            assert all(c for _, c in clients(r, 5, bad))


def test_over_http_2_too():
    with canary(50) as r:
        live, theirs = pair(r)
        with speak(r, tls=False) as c:
            for stream, cookie, body in ((1, live, b"live"), (3, theirs, b"canary"), (5, theirs, b"canary")):
                c.request(stream, BASE + [("cookie", "x=y"), ("cookie", cookie)])
                status, head, got = c.finish(stream)
                assert (status, got) == (200, body) and "set-cookie" not in head
            c.request(7)
            status, head, got = c.finish(7)
            assert head["set-cookie"].startswith(live if got == b"live" else theirs)


def test_without_an_instance_that_can_be_reached_the_other_group_answers_and_nobody_changes_sides():
    with canary(50) as r:
        live, theirs = pair(r)
        r.backends[2].stop()  # it refuses: the table still has it
        assert clients(r, 50, theirs) == [(b"live", None)] * 50
        seen = clients(r, 100)
        assert {body for body, _ in seen} == {b"live"} and {c for _, c in seen} == {live, theirs}
        rows = r.apps[0].instances
        r.apps[0].instances = rows[:2]  # control has noticed
        r.send_table(r.apps)
        assert clients(r, 50, theirs) == [(b"live", None)] * 50
        back = Backend(lambda b, conn: ok_handler(b, conn, b"canary"))
        r.backends.append(back)
        r.apps[0].instances = rows[:2] + [(9, back.port, "web.101", 1)]
        r.send_table(r.apps)
        assert clients(r, 50, theirs) == [(b"canary", None)] * 50
        assert clients(r, 50, live) == [(b"live", None)] * 50
        r.apps[0].instances = r.apps[0].instances[2:]  # and the other way round
        r.send_table(r.apps)
        assert clients(r, 20, live) == [(b"canary", None)] * 20
        r.apps[0].instances = []
        r.send_table(r.apps)
        assert ask(r, get())[0] == 503


def test_clients_of_a_canary_that_does_not_answer_go_to_the_live_release():
    with canary(50) as r:
        live, theirs = pair(r)
        mute = Backend(lambda b, conn: [None for _ in each_request(b, conn)] and None)
        r.backends.append(mute)
        r.apps[0].instances = r.apps[0].instances[:2] + [(9, mute.port, "web.101", 1)]
        r.apps[0].timeout_ms = 1000
        r.send_table(r.apps)
        extra = "Cookie: %s\r\n" % theirs
        for _ in range(3):  # three in a row, as with any instance
            assert ask(r, get(extra=extra))[0] == 504
        assert clients(r, 5, theirs) == [(b"live", None)] * 5


def test_live_clients_do_not_flood_the_canary_when_their_instances_are_slow():
    with canary(1, live=1) as r:
        mute = Backend(lambda b, conn: [None for _ in each_request(b, conn)] and None)
        r.backends.append(mute)
        live = next(cookie for body, cookie in clients(r, 200) if body == b"live")
        r.apps[0].instances = [(9, mute.port, "web.1", 2)] + r.apps[0].instances[1:]
        r.apps[0].timeout_ms = 100
        r.send_table(r.apps)
        for _ in range(6):
            assert ask(r, get(extra="Cookie: %s\r\n" % live))[0] == 504


def test_a_new_share_is_for_new_clients_and_a_new_canary_begins_anew():
    with canary(20) as r:
        live, theirs = pair(r)
        r.apps[0].options["canary"] = (KEY, 1, 90)
        r.send_table(r.apps)
        assert 80 <= share(clients(r, 300)) <= 98
        assert clients(r, 30, live) == [(b"live", None)] * 30
        assert clients(r, 30, theirs) == [(b"canary", None)] * 30
        r.apps[0].options["canary"] = (KEY + 2, 1, 1)
        r.send_table(r.apps)
        seen = clients(r, 50, theirs)
        assert share(seen) < 20 and all(c and c != theirs for _, c in seen)
        r.apps[0].options = {}
        r.apps[0].instances = r.apps[0].instances[:2]
        r.send_table(r.apps)  # over: nothing is left of it
        assert clients(r, 30, theirs) == [(b"live", None)] * 30
        assert wait_for(lambda: 3 in r.drained)


def test_a_request_that_is_held_keeps_its_side_under_the_next_table():
    with canary(50) as r:
        rows = r.apps[0].instances
        r.apps[0].instances, r.apps[0].flags, r.apps[0].hold_ms = [], HOLD, 10000
        r.send_table(r.apps)
        waiting = [r.connect() for _ in range(40)]
        for s in waiting:
            s.sendall(get())
        r.send_table(r.apps)
        r.apps[0].instances, r.apps[0].flags = rows, 0
        r.send_table(r.apps)
        seen = set()
        for s in waiting:
            head, rest = read_head(s)
            seen.add((read_body(s, head, rest)[0], cookie_of(head)))
            s.close()
        assert len(seen) == 2  # each answer with the cookie of its side


def test_sticky_clients_are_no_new_clients():
    with canary(50, sticky_key=77) as r:
        # a client from before the canary: it has an instance
        r.apps[0].options = {"sticky_key": 77}
        r.send_table(r.apps)
        _, head, body = ask(r, get())
        old = {body: cookies_of(head)["berth_instance"]}
        assert "berth_canary" not in cookies_of(head)
        r.apps[0].options["canary"] = (KEY, 1, 99)
        r.send_table(r.apps)
        for _ in range(20):
            _, head, got = ask(r, get(extra="Cookie: %s\r\n" % old[body]))
            assert got == body and set(cookies_of(head)) == {"berth_canary"}
        # a new one gets both cookies, and needs no other afterwards
        _, head, body = ask(r, get())
        both = cookies_of(head)
        assert set(both) == {"berth_canary", "berth_instance"}
        for _ in range(20):
            _, head, got = ask(r, get(extra="Cookie: %s\r\n" % "; ".join(both.values())))
            assert got == body and not cookies_of(head)


def test_a_table_with_half_a_canary_is_refused_and_the_one_before_stays():
    with canary(50) as r:
        live, theirs = pair(r)
        for bad in ((KEY, 1, 0), (KEY, 1, 100), (KEY, 0, 50), (0, 1, 50)):
            r.apps[0].options["canary"] = bad
            assert r.send_table(r.apps) < 0, bad
        assert clients(r, 10, theirs) == [(b"canary", None)] * 10
        r.apps[0].options["canary"] = (KEY, 1, 99)  # the positive control
        assert r.send_table(r.apps) == 0


def test_each_instance_is_counted_as_always():
    with canary(50) as r:
        live, theirs = pair(r)
        clients(r, 5, theirs)
        assert r.log_where("instance=web.101", "status=200") and r.log_where("instance=web.1", "status=200")
