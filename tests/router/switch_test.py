"""Tables: switching under load, draining, holding, refusing; and what the parents' restarts do."""
import errno
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import *


class Load:
    """Clients that ask until told to stop; every answer that is not 200 with a known body is a failure."""

    def __init__(self, router, keep, close, bodies, pause=0.0005):
        self.router, self.bodies, self.pause = router, bodies, pause
        self.done, self.failures, self.stop_now = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i < keep,)) for i in range(keep + close)]
        for t in self.threads:
            t.start()

    def _run(self, keep):
        s, rest, posts = None, b"", 0
        while not self.stop_now.is_set():
            try:
                if s is None:
                    s, rest = self.router.connect(10), b""
                posts += 1
                if posts % 3:
                    s.sendall(get(extra="" if keep else "Connection: close\r\n"))
                else:
                    s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n%s\r\nabc" %
                              (b"" if keep else b"Connection: close\r\n"))
                head, rest = read_head(s, rest)
                if head is None:
                    raise OSError("closed without an answer")
                body, rest = read_body(s, head, rest)
                if status_of(head) != 200 or body not in self.bodies:
                    raise OSError("%r %r" % (head, body))
                with self.lock:
                    self.done += 1
            except OSError as e:
                self.failures.append(repr(e))
                s = None
            if not keep and s:
                s.close()
                s = None
            time.sleep(self.pause)

    def progress(self, n=4):
        """Waits until n more requests were answered: every switch meets traffic."""
        target = self.done + n
        assert wait_for(lambda: self.done >= target or self.failures), self.done

    def stop(self):
        wait_for(lambda: self.done > 100 or self.failures)
        self.stop_now.set()
        for t in self.threads:
            t.join()
        time.sleep(0.1 if self.failures else 0)
        assert not self.failures, (len(self.failures), self.done, self.failures[:3],
                                   [l[2] for l in self.router.logs if "at=error" in l[2]][:3])
        assert self.done > 100
        return self.done


def numbered(n):
    return Backend(lambda b, c: ok_handler(b, c, b"release %d" % n))


def test_fifty_switches_under_load_lose_nothing():
    r = Router()
    old = numbered(0)
    bodies = {b"release %d" % i for i in range(51)}
    r.send_table([App(7, ["a.example"], [(1, old.port, "web.1")])])
    load = Load(r, 6, 4, bodies)
    for i in range(1, 51):
        new = numbered(i)
        load.progress()
        assert r.send_table([App(7, ["a.example"], [(i + 1, new.port, "web.1")])]) == 0
        assert wait_for(lambda: i in r.drained), i
        old.stop()
        assert not old.conns or wait_for(lambda: not old.conns)
        old = new
    print("# %d requests, 0 failed" % load.stop())
    assert r.drained == list(range(1, 51))
    old.stop()
    assert r.close() == 0


def test_a_hundred_switches_under_wrk_lose_nothing():
    r = Router()
    backends = [numbered(0), numbered(1)]
    r.send_table([App(7, ["a.example"], [(1, backends[0].port, "web.1")])])
    wrk = subprocess.Popen(["wrk", "-t1", "-c40", "-d3s", "-H", "Host: a.example", "http://127.0.0.1:%d/" % r.port],
                           stdout=subprocess.PIPE, text=True)
    n = 0
    while wrk.poll() is None and n < 100:
        n += 1
        assert r.send_table([App(7, ["a.example"], [(n + 1, backends[n % 2].port, "web.1")])]) == 0
        assert wait_for(lambda: n in r.drained)
        time.sleep(0.01)
    out = wrk.communicate()[0]
    assert n > 5 and "requests in" in out and "Non-2xx" not in out and "Socket errors" not in out, (n, out)
    print("# %d switches under wrk,%s" % (n, [l for l in out.splitlines() if "requests in" in l][0]))
    assert r.close() == 0


def test_fifty_stop_first_switches_hold_and_lose_nothing():
    r = Router()
    old = numbered(0)
    bodies = {b"release %d" % i for i in range(51)}
    r.send_table([App(7, ["a.example"], [(1, old.port, "web.1")])])
    load = Load(r, 6, 4, bodies)
    for i in range(1, 51):
        load.progress()
        assert r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=5000)]) == 0
        assert wait_for(lambda: i in r.drained), i
        old.stop()
        old = numbered(i)
        time.sleep(0.005)
        assert r.send_table([App(7, ["a.example"], [(i + 1, old.port, "web.1")])]) == 0
    load.stop()
    old.stop()
    assert r.close() == 0


def test_an_instance_that_refuses_costs_no_request_while_another_serves():
    """It stopped listening, or does not yet: only the table does not know."""
    r = Router()
    stay = numbered(0)
    row = (1, stay.port, "web.1")
    r.send_table([App(7, ["a.example"], [row])])
    load = Load(r, 6, 4, {b"release 0"})
    for i in range(20):
        dead = numbered(1)
        dead.stop()
        r.send_table([App(7, ["a.example"], [(100 + i, dead.port, "web.2"), row])])
        time.sleep(0.02)
    load.stop()
    time.sleep(0.1)
    assert not [l for l in r.logs if "at=error" in l[2]]  # a try that failed is no error of the request
    refused = [f for _, _, f in r.asked if f == socket.AF_INET6]
    assert refused  # the dead ones were tried
    assert r.close() == 0


def test_a_removed_instance_is_drained_when_its_last_request_ends():
    gate = threading.Event()

    def slow(backend, conn):
        for _ in each_request(backend, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfour")
            gate.wait(10)
            conn.sendall(b"more")
    a, b, idle = Backend(slow), Backend(), Backend()
    r = Router()
    r.send_table([App(1, ["a.example"], [(1, a.port, "web.1")]), App(2, ["i.example"], [(2, idle.port, "web.1")])])
    ask(r, get("i.example"))
    with r.connect() as s:
        s.sendall(get())
        head, rest = read_head(s)
        r.send_table([App(1, ["a.example"], [(3, b.port, "web.1")])])
        assert wait_for(lambda: r.drained == [2])  # idle: at once, and its pooled connection is closed
        assert wait_for(lambda: not idle.conns)
        assert ask(r, get())[2] == b"hello"        # new requests go to the new one
        time.sleep(0.1)
        assert r.drained == [2]
        gate.set()
        assert read_exact(s, 8, rest)[0] == b"fourmore"
        assert wait_for(lambda: r.drained == [2, 1]) and wait_for(lambda: not a.conns)
        s.sendall(get())                           # the client's connection lives on
        head, rest = read_head(s)
        assert read_body(s, head, rest)[0] == b"hello"
    assert r.close() == 0


def test_a_websocket_counts_as_in_flight_and_outlives_the_switch():
    def ws(backend, conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while True:
            data = conn.recv(1000)
            if not data:
                return
            conn.sendall(data)
    a, b = Backend(ws), Backend()
    r = Router()
    r.send_table([App(1, ["a.example"], [(1, a.port, "web.1")])])
    with r.connect() as s:
        s.sendall(get(extra="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        read_head(s)
        r.send_table([App(1, ["a.example"], [(2, b.port, "web.1")])])
        time.sleep(0.1)
        s.sendall(b"still here")
        assert read_exact(s, 10)[0] == b"still here" and r.drained == []
    assert wait_for(lambda: r.drained == [1])
    assert r.close() == 0


def test_an_instance_that_comes_back_before_it_drained_is_not_reported():
    gate = threading.Event()

    def slow(backend, conn):
        for _ in each_request(backend, conn):
            gate.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    a, b = Backend(slow), Backend()
    r = Router()
    row = (1, a.port, "web.1")
    r.send_table([App(1, ["a.example"], [row])])
    with r.connect() as s:
        s.sendall(get())
        assert wait_for(lambda: a.requests)
        r.send_table([App(1, ["a.example"], [(2, b.port, "web.1")])])
        r.send_table([App(1, ["a.example"], [row])])
        assert wait_for(lambda: r.drained == [2])
        gate.set()
        assert status_of(read_head(s)[0]) == 200
        time.sleep(0.1)
        assert r.drained == [2]
    assert r.close() == 0


def test_what_a_young_worker_got_is_held_as_long_as_its_app_says():
    r = Router()
    with r.connect(2.5) as s:  # without a table it would be 3 s
        s.sendall(get())
        assert ask(r, b"GET / HTTP/1.1\r\n\r\n")[0] == 400  # came later: the first is held
        r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=300)])
        assert status_of(read_head(s)[0]) == 503
    assert r.log_where("code=H20", "status=503", "host=a.example")
    assert r.close() == 0


def test_held_requests_wait_for_a_table_and_no_longer_than_told():
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=500)])
    start = time.monotonic()
    code, _, _ = ask(r, get(extra="X-Request-Id: held\r\n"))
    took = time.monotonic() - start
    assert code == 503 and 0.45 < took < 3, took
    assert "code=H20" in r.log_where("request_id=held")[2]
    r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=5000)])
    got = []
    threads = [threading.Thread(target=lambda: got.append(ask(r, get())[0])) for _ in range(30)]
    for t in threads:
        t.start()
    time.sleep(0.2)
    assert not got
    r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=5000)])  # an unrelated table changes nothing
    time.sleep(0.1)
    assert not got
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    for t in threads:
        t.join()
    assert got == [200] * 30
    assert r.close() == 0


def test_a_body_may_come_while_its_request_is_held():
    b = Backend(echo_handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=5000)])
    with r.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 200000\r\n\r\n" + b"q" * 200000)
        time.sleep(0.1)
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
        head, rest = read_head(s)
        assert read_body(s, head, rest)[0] == b"q" * 200000
    assert r.close() == 0


def test_a_held_client_that_leaves_is_forgotten():
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [], flags=HOLD, hold_ms=5000)])
    conns = [r.connect() for _ in range(20)]
    for s in conns:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.sendall(get())
    assert ask(r, b"GET / HTTP/1.1\r\n\r\n")[0] == 400  # theirs were read before
    for s in conns:
        s.close()
    assert wait_for(lambda: sum("code=H27" in l[2] for l in r.logs) == 20)
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    assert ask(r, get())[0] == 200 and len(b.requests) == 1
    assert r.close() == 0


def test_while_holding_a_refusing_instance_means_waiting():
    dead = Backend()
    dead.stop()
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, dead.port, "web.1")], flags=HOLD, hold_ms=5000)])
    got = []
    t = threading.Thread(target=lambda: got.append(ask(r, get())[0]))
    t.start()
    time.sleep(0.2)
    assert not got
    r.send_table([App(7, ["a.example"], [(2, b.port, "web.1")])])
    t.join()
    assert got == [200]
    assert r.close() == 0


def test_maintenance_is_answered_by_the_router():
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")], flags=MAINTENANCE)])
    assert ask(r, get())[0] == 503 and not b.requests
    assert "code=H80" in r.log_where("at=error")[2]
    assert r.close() == 0


def test_bad_tables_are_refused_and_the_old_one_stays():
    b = Backend()
    r = Router()
    assert ask(r, get())[0] == 503
    good = [App(7, ["a.example"], [(1, b.port, "web.1")])]
    assert r.send_table(good, version=5) == 0
    data = table_bytes(good)
    assert r.send_table(data=data[:-1], version=6) == -errno.EBADMSG
    assert r.send_table(data=b"", version=6) == -errno.EBADMSG
    assert r.send_table(data=b"\0" + data[1:], version=6) == -errno.EBADMSG
    assert r.send_table(data=data, seal=False, version=6) == -errno.EPERM
    assert r.send_table(good, version=4) == -errno.ESTALE
    assert ask(r, get())[0] == 200
    assert r.send_table(good, version=5) == 0
    r.hello("control")  # a new control counts from one again
    assert r.send_table(good, version=1) == 0
    assert ask(r, get())[0] == 200 and r.drained == []
    assert r.close() == 0


def test_the_router_greets_both_parents():
    r = Router()
    assert wait_for(lambda: sorted(r.hellos) == ["berthd", "control"])
    assert r.close() == 0


def test_a_berthd_that_restarts_is_asked_again():
    b = Backend()
    r = Router()
    r.mute = True
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    got = []
    t = threading.Thread(target=lambda: got.append(ask(r, get())[0]))
    t.start()
    assert wait_for(lambda: r.asked)
    time.sleep(0.2)
    assert not got and len(r.asked) == 1
    r.mute = False
    r.hello("berthd")
    t.join()
    assert got == [200] and len(r.asked) >= 2
    assert r.close() == 0


def test_an_instance_that_berthd_does_not_know_is_passed_over():
    b = Backend()
    r = Router()
    r.gone = {1}
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1"), (2, b.port, "web.2")]),
                  App(8, ["b.example"], [(1, b.port, "web.1")])])
    for _ in range(10):
        assert ask(r, get())[0] == 200
    assert ask(r, get("b.example"))[0] == 503
    assert "code=H10" in r.log_where("host=b.example")[2]
    assert r.close() == 0


def test_waiting_requests_move_when_their_instance_is_removed():
    b = Backend()
    r = Router()
    r.mute = True
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    got = []
    t = threading.Thread(target=lambda: got.append(ask(r, get())[0]))
    t.start()
    time.sleep(0.1)
    r.mute = False
    r.send_table([App(7, ["a.example"], [(2, b.port, "web.1")])])
    t.join()
    assert got == [200] and wait_for(lambda: r.drained == [1])
    assert r.close() == 0


def test_a_request_outlives_more_switches_than_it_may_try_instances():
    """Sockets come slower than tables: it waits at one instance after the other, and is served by the last."""
    b = Backend()
    r = Router()
    r.mute = True
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    got = []
    t = threading.Thread(target=lambda: got.append(ask(r, get(extra="X-Request-Id: patient\r\n"))[0]))
    t.start()
    time.sleep(0.1)
    for i in range(2, 12):
        r.send_table([App(7, ["a.example"], [(i, b.port, "web.1")])])
        assert wait_for(lambda: i - 1 in r.drained) and not got
    r.mute = False
    r.hello("berthd")
    t.join()
    assert got == [200] and r.log_where("at=info", "request_id=patient")
    assert r.close() == 0


def test_a_silent_berthd_ends_in_an_error_not_in_a_hang():
    b = Backend()
    r = Router()
    r.mute = True
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    start = time.monotonic()
    assert ask(r, get(), timeout=15)[0] == 503
    assert 4.9 < time.monotonic() - start < 9
    assert "code=H19" in r.log_where("at=error")[2]
    assert r.close() == 0


test_a_silent_berthd_ends_in_an_error_not_in_a_hang.slow = True


def test_sigterm_finishes_what_runs_and_exits():
    gate = threading.Event()

    def slow(backend, conn):
        for _ in each_request(backend, conn):
            gate.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    b = Backend(slow)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    with r.connect() as s, r.connect() as idle:
        s.sendall(get(extra="X-Request-Id: last\r\n"))
        assert wait_for(lambda: b.requests)
        r.kill(signal.SIGTERM)
        assert idle.recv(10) == b""  # idle connections are closed at once
        time.sleep(0.2)
        assert r.alive()
        gate.set()
        head, rest = read_head(s)
        assert status_of(head) == 200 and field(head, "connection") == "close"
        assert read_exact(s, 10, rest)[0] == b"ok"
    assert r.wait_exit(2) and r.status == 0
    assert r.log_where("request_id=last")
    r.close()


def test_sigterm_serves_what_arrived_before_it():
    b = Backend()
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    conns = [r.connect() for _ in range(50)]
    for s in conns:
        s.sendall(get())
        head, rest = read_head(s)
        read_body(s, head, rest)
    os.kill(r.pid, signal.SIGSTOP)
    for s in conns:
        s.sendall(get())
    r.kill(signal.SIGTERM)
    os.kill(r.pid, signal.SIGCONT)
    for s in conns:
        head, rest = read_head(s)
        assert status_of(head) == 200 and read_body(s, head, rest)[0] == b"hello"
    assert r.wait_exit(2) and r.status == 0
    r.close()


def test_sigterm_waits_ten_seconds_at_most():
    def part(how):
        return lambda b, c: [read_head(c), c.sendall(b"HTTP/1.1 200 OK\r\n" + how), time.sleep(30)]
    b = Backend(lambda b, c: [b.requests.append(read_head(c)), time.sleep(30)])
    chunked, plain = Backend(part(b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")), Backend(part(b"\r\nab"))
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")]), App(8, ["b.example"], [(2, chunked.port, "web.1")]),
                  App(9, ["c.example"], [(3, plain.port, "web.1")])])
    with r.connect(20) as s, r.connect(20) as s10, r.connect(20) as s11:
        s.sendall(get())
        s10.sendall(b"GET / HTTP/1.0\r\nHost: b.example\r\n\r\n")
        s11.sendall(get("c.example"))
        assert wait_for(lambda: b.requests)
        for c in (s10, s11):
            assert read_exact(c, 2, read_head(c)[1])[0] == b"ab"
        start = time.monotonic()
        r.kill(signal.SIGTERM)
        assert r.wait_exit(14) and 9.5 < time.monotonic() - start < 12 and r.status == 0
        for c in (s10, s11):  # an end would say that this was all
            try:
                assert c.recv(10) is None, "not a reset"
            except ConnectionResetError:
                pass
    r.close()


test_sigterm_waits_ten_seconds_at_most.slow = True


def test_a_killed_worker_leaves_its_queue_to_the_next():
    b = Backend()
    r = Router()
    table = [App(7, ["a.example"], [(1, b.port, "web.1")])]
    r.send_table(table)
    assert ask(r, get())[0] == 200
    r.kill(signal.SIGKILL)
    assert r.wait_exit()
    with r.connect() as s:  # the listener is the parent's: it queues
        s.sendall(get())
        r.restart()
        assert wait_for(lambda: len(r.hellos) == 4)
        time.sleep(0.3)
        assert r.send_table(table) == 0  # until then it waits
        assert status_of(read_head(s)[0]) == 200
    assert r.close() == 0


def reuseport_pair():
    """Two listeners on one port, as two workers have them."""
    first = socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    second = socket.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind(first.getsockname())
    for s in (first, second):
        s.listen(1024)
    return first, second


def test_one_of_two_workers_dies_the_other_goes_on_and_nobody_is_lost():
    b = Backend()
    workers = [Router(listeners=s) for s in reuseport_pair()]
    for r in workers:
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    victim, other = workers
    old = [other.connect() for _ in range(20)]
    served = [ask(victim, get())[0] for _ in range(20)]
    assert served == [200] * 20
    victim.kill(signal.SIGKILL)
    assert victim.wait_exit(5)
    waiting = [other.connect() for _ in range(40)]
    for s in waiting:
        s.sendall(get())
    time.sleep(1.5)
    at_once = select.select(waiting, [], [], 0)[0]
    assert 5 < len(at_once) < 35, len(at_once)      # the kernel spreads connections over both queues
    victim.restart()
    victim.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    for s in waiting:
        assert status_of(read_head(s)[0]) == 200
        s.close()
    lost = 0
    for s in old:                                   # those that the dead worker had accepted
        try:
            s.sendall(get())
            lost += read_head(s)[0] is None
        except OSError:
            lost += 1
        s.close()
    assert 0 < lost < 20, lost
    for r in workers:
        assert r.close() == 0


def test_ten_thousand_hostnames_are_swapped_under_load():
    b = Backend()
    r = Router()

    def apps(first_instance):
        return [App(i + 1, ["h%d.example" % i, "*.h%d.example" % i], [(i + 1, b.port, "web.1")]) for i in range(4999)] + \
            [App(5000, ["a.example", "b.example"], [(first_instance + 4999, b.port, "web.1")])]
    tables = [table_bytes(apps(1)), table_bytes(apps(100001))]  # one app is new, all others stay
    assert r.send_table(data=tables[0]) == 0
    load = Load(r, 4, 2, {b"hello"})
    took, before = [], None
    for turn in range(20):
        load.progress()
        start = time.monotonic()
        assert r.send_table(data=tables[(turn + 1) % 2]) == 0
        took.append((time.monotonic() - start) * 1000)
        if turn == 5:
            before = rss_kb(r.pid)
    load.stop()
    for host in ("h0.example", "x.h4998.example", "b.example"):
        assert ask(r, get(host))[0] == 200, host
    assert ask(r, get("h5000.example"))[0] == 404
    grown = rss_kb(r.pid) - before
    print("# 10000 hostnames: acknowledged after %.1f ms (median), %d kB, %d kB more after 14 swaps" % (
        sorted(took)[10], rss_kb(r.pid), grown))
    assert sorted(took)[10] < 1000 and (grown < 4000 or "ROUTER" in os.environ), (took, grown)
    assert r.close() == 0


def test_a_table_is_acknowledged_also_behind_many_drained_instances():
    b = Backend()
    r = Router()
    tables = [table_bytes([App(i + 1, ["h%d.example" % i], [(turn * 10000 + i + 1, b.port, "web.1")]) for i in range(3000)])
              for turn in range(3)]
    assert r.send_table(data=tables[0]) == 0
    with r.changed:                                 # control does not read: its socket fills
        for data in tables[1:]:
            r.send_table(data=data, wait=False)
        time.sleep(0.5)
    assert wait_for(lambda: [v for v, _ in r.acks] == [1, 2, 3], 10), r.acks
    assert wait_for(lambda: len(r.drained) == 6000, 20), len(r.drained)
    assert ask(r, get("h7.example"))[0] == 200
    assert r.close() == 0


def test_without_a_table_a_request_waits_three_seconds_at_most():
    r = Router()
    start = time.monotonic()
    assert ask(r, get())[0] == 503
    assert 2.5 < time.monotonic() - start < 4.5
    assert r.close() == 0


test_without_a_table_a_request_waits_three_seconds_at_most.slow = True


def test_a_worker_that_makes_way_serves_what_is_open_and_leaves_the_rest_to_its_successor():
    gate = threading.Event()

    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            if b"/slow" in head:
                gate.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    b = Backend(handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
    kept = [r.connect() for _ in range(100)]
    for s in kept:
        s.sendall(get())
        head, rest = read_head(s)
        read_body(s, head, rest)
    slow = r.connect()
    slow.sendall(get(path="/slow"))
    assert wait_for(lambda: any(b"/slow" in head for head, _ in b.requests))
    r.kill(signal.SIGUSR2)
    assert wait_for(lambda: r.left == 1)
    r.kill(signal.SIGUSR2)  # by a berthd that does not know it
    assert wait_for(lambda: r.left == 2)
    with r.connect() as s:  # nobody accepts it here any more
        s.sendall(get())
        s.settimeout(0.3)
        try:
            assert not s.recv(1)
        except socket.timeout:
            pass
    for s in kept:  # each brings one more, all at once
        s.sendall(get())
    for s in kept:
        head, rest = read_head(s)
        assert status_of(head) == 200 and b"connection: close" in head.lower()
        read_body(s, head, rest)
        assert not s.recv(1)
        s.close()
    gate.set()
    head, rest = read_head(slow)
    assert status_of(head) == 200 and b"connection: close" in head.lower(), head
    slow.close()
    assert r.wait_exit() and r.status == 0
    r.close()


def test_a_stream_of_a_worker_that_made_way_lasts_as_long_as_it_likes():
    def handler(backend, conn):
        for head, _ in each_request(backend, conn):
            if b"/stream" not in head:
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            while data := conn.recv(100):
                conn.sendall(data)
    b = Backend(handler)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1"), (2, b.port, "web.2")])])
    stream, idle = r.connect(), r.connect()
    stream.sendall(get(path="/stream", extra="Connection: Upgrade\r\nUpgrade: x\r\n"))
    assert status_of(read_head(stream)[0]) == 101
    idle.sendall(get())
    head, rest = read_head(idle)
    read_body(idle, head, rest)
    start = time.monotonic()
    r.kill(signal.SIGUSR2)
    assert wait_for(lambda: r.left)
    idle.settimeout(15)
    assert not idle.recv(1)  # it had time for one more
    assert 9 < time.monotonic() - start < 13
    time.sleep(2)
    stream.sendall(b"there?")
    assert stream.recv(100) == b"there?"
    used, = {i for i, _ in r.stays}
    gaps = [b - a for (_, a), (_, b) in zip(r.stays, r.stays[1:])]
    assert used in (1, 2) and len(r.stays) > 8 and max(gaps) < 4, gaps
    stream.close()
    assert r.wait_exit() and r.status == 0
    r.close()


test_a_stream_of_a_worker_that_made_way_lasts_as_long_as_it_likes.slow = True


def test_the_end_of_the_pairs_is_the_end_of_the_worker():
    r = Router()
    assert wait_for(lambda: len(r.hellos) == 2)
    for s in r.children + (r.berthd, r.control):
        s.shutdown(socket.SHUT_RDWR) if s in (r.berthd, r.control) else None
    assert r.wait_exit() and r.status == 0
    r.close()


def test_a_switch_is_effective_at_once_with_five_thousand_apps():
    b = Backend()
    r = Router()
    apps = [App(i + 1, ["app%d.example" % i], [(i + 1, b.port, "web.1")]) for i in range(5000)]
    start = time.monotonic()
    assert r.send_table(apps) == 0
    first = time.monotonic() - start
    assert not r.asked  # sockets are fetched when they are needed
    for i in (0, 1234, 4999):
        assert ask(r, get("app%d.example" % i))[0] == 200
    apps[7] = App(8, ["app7.example"], [(90000, b.port, "web.1")])
    data = table_bytes(apps)
    start = time.monotonic()
    assert r.send_table(data=data) == 0
    again = time.monotonic() - start
    assert wait_for(lambda: r.drained == [8])
    assert first < 4 and again < 2, (first, again)
    print("# 5000 apps: first table %.1f ms, next %.1f ms" % (first * 1000, again * 1000))
    assert r.close() == 0
