"""Apps that sleep: who is told that nobody asks, that somebody does, and what a request waits for."""
import errno
import itertools
import threading
import time

from harness import *


def kinds(r):
    return [kind for kind, _, _ in list(r.said)]


def turns(r):
    """What is said again counts once."""
    return [kind for kind, _ in itertools.groupby(kinds(r))]


def sleeping(backend=None, instances=None, **more):
    rows = instances if instances is not None else [(1, backend.port, "web.1")] if backend else []
    return App(7, ["a.example"], rows, flags=HOLD | ASLEEP, hold_ms=more.pop("hold_ms", 5000), **more)


def awake(*backends, first=1, **more):
    return App(7, ["a.example"], [(first + i, b.port, "web.%d" % (1 + i)) for i, b in enumerate(backends)], **more)


def waiting(r, n, **more):
    """n requests on connections of their own; the threads, and their answers' statuses in a list."""
    got = []
    threads = [threading.Thread(target=lambda: got.append(ask(r, get(**more), timeout=15)[0])) for _ in range(n)]
    for t in threads:
        t.start()
    return threads, got


def all_end(threads):
    for t in threads:
        t.join()


def test_control_is_told_once_nobody_asked_for_so_long():
    b = Backend()
    r = Router()
    r.send_table([awake(b, idle_after_ms=1000), App(8, ["b.example"], [(9, b.port, "web.1")])])
    for _ in range(6):
        last = time.monotonic()
        assert ask(r, get())[0] == 200
        ask(r, get("b.example"))
        time.sleep(0.2)
    assert wait_for(lambda: kinds(r) == [IDLE])
    assert 0.95 < r.said[0][2] - last < 4, r.said[0][2] - last
    assert wait_for(lambda: kinds(r)[:2] == [IDLE, IDLE])  # again, as control may have refused
    assert ask(r, get())[0] == 200
    assert wait_for(lambda: turns(r) == [IDLE, BUSY])
    assert wait_for(lambda: turns(r) == [IDLE, BUSY, IDLE])
    assert {app for _, app, _ in r.said} == {7}
    assert r.close() == 0


def test_a_request_that_runs_and_an_open_websocket_are_use():
    gate = threading.Event()

    def slow(backend, conn):
        head, _ = read_head(conn)
        if b"Upgrade" in head:
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            conn.recv(10)
        else:
            gate.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    b = Backend(slow)
    r = Router()
    r.send_table([awake(b)])
    threads, got = waiting(r, 1)
    assert wait_for(lambda: b.connections)
    r.send_table([awake(b, idle_after_ms=150)])
    time.sleep(0.7)
    assert not r.said
    gate.set()
    all_end(threads)
    assert got == [200] and wait_for(lambda: turns(r) == [IDLE])
    with r.connect() as s:
        s.sendall(get(extra="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        assert status_of(read_head(s)[0]) == 101
        assert wait_for(lambda: kinds(r)[-1] == BUSY)
        n = len(r.said)
        time.sleep(0.7)
        assert len(r.said) == n
    assert wait_for(lambda: kinds(r)[n:n + 1] == [IDLE])
    assert r.close() == 0


def test_new_instances_and_a_wake_count_as_use():
    b, c = Backend(), Backend()
    r = Router()
    r.send_table([awake(b, idle_after_ms=300)])
    assert wait_for(lambda: turns(r) == [IDLE])
    r.send_table([awake(c, first=5, idle_after_ms=300)])
    assert wait_for(lambda: turns(r)[:2] == [IDLE, BUSY])
    r.send_table([sleeping(idle_after_ms=300)])
    n = len(r.said)
    time.sleep(0.6)
    assert len(r.said) == n                         # asleep is not idle
    began = time.monotonic()
    r.send_table([awake(c, first=5, idle_after_ms=300)])
    assert wait_for(lambda: kinds(r)[n:n + 1] == [IDLE])
    assert r.said[n][2] - began > 0.25
    r.send_table([awake(c, first=5)])               # the setting is taken back
    time.sleep(0.5)
    n = len(r.said)
    time.sleep(0.5)
    assert len(r.said) == n
    assert r.close() == 0


def test_a_new_control_is_told_anew():
    b = Backend()
    r = Router()
    apps = [awake(b, idle_after_ms=300), App(8, ["s.example"], [], flags=HOLD | ASLEEP, hold_ms=5000)]
    r.send_table(apps)
    assert wait_for(lambda: turns(r) == [IDLE])
    threads, got = waiting(r, 2, host="s.example")
    assert wait_for(lambda: WAKE in kinds(r))
    del r.said[:]
    r.hello("control")
    r.send_table(apps, version=1)
    assert wait_for(lambda: sorted(set(kinds(r))) == [IDLE, WAKE]), r.said
    r.send_table([apps[0], App(8, ["s.example"], [(2, b.port, "web.1")])], version=2)
    all_end(threads)
    assert got == [200] * 2
    assert r.close() == 0


def test_requests_for_an_app_asleep_wait_and_wake_it_once():
    b = Backend()
    r = Router()
    r.send_table([sleeping(), App(8, ["b.example"], [(9, b.port, "web.1")])])
    threads, got = waiting(r, 20)
    assert wait_for(lambda: kinds(r) == [WAKE])
    assert ask(r, get("b.example"))[0] == 200       # others do not wait
    time.sleep(0.2)
    assert not got and kinds(r) == [WAKE]
    r.send_table([awake(b, first=4)])
    all_end(threads)
    assert got == [200] * 20 and kinds(r) == [WAKE] and not r.wakes
    assert r.close() == 0


def test_a_start_that_failed_is_told_to_those_who_wait():
    r = Router()
    r.send_table([sleeping()])
    threads, got = waiting(r, 3)
    assert wait_for(lambda: kinds(r) == [WAKE])
    r.send_table([awake()])
    all_end(threads)
    assert got == [503] * 3 and "code=H10" in r.log_where("at=error")[2]
    r.send_table([sleeping(hold_ms=300)])
    assert ask(r, get(extra="X-Request-Id: late\r\n"))[0] == 503
    assert "code=H20" in r.log_where("request_id=late")[2]
    r.send_table([sleeping()])
    with r.connect() as s:                          # who leaves has woken it all the same
        s.sendall(get())
        assert wait_for(lambda: kinds(r) == [WAKE] * 3)
    assert r.close() == 0


def test_nothing_reaches_a_frozen_instance_before_berthd_has_thawed_it():
    b = Backend()
    r = Router()
    r.wake_status = None
    r.send_table([sleeping(b)])
    threads, got = waiting(r, 20)
    assert wait_for(lambda: r.wakes and kinds(r) == [WAKE])
    time.sleep(0.2)
    assert not got and not b.connections and len(r.wakes) == 1
    r.answer_wake(*r.wakes[0])
    all_end(threads)
    assert got == [200] * 20 and len(r.wakes) == 1 and kinds(r) == [WAKE]
    assert ask(r, get())[0] == 200                  # as awake as any, while control makes its table
    r.send_table([awake(b)])
    assert ask(r, get())[0] == 200 and len(r.wakes) == 1
    assert r.close() == 0


def test_an_answer_from_before_a_table_wakes_nothing_after_it():
    b = Backend()
    r = Router()
    r.wake_status = None
    r.send_table([sleeping(b)])
    threads, got = waiting(r, 1)
    assert wait_for(lambda: r.wakes)
    r.send_table([sleeping(b)])                     # asleep once more: it may have been frozen again
    assert wait_for(lambda: len(r.wakes) == 2)
    r.answer_wake(*r.wakes[0])
    time.sleep(0.2)
    assert not b.connections and not got
    r.answer_wake(*r.wakes[1])
    all_end(threads)
    assert got == [200] and kinds(r) == [WAKE] * 2
    assert r.close() == 0


def test_a_frozen_instance_that_is_gone_waits_for_controls_new_one():
    b, c = Backend(), Backend()
    r = Router()
    r.send_table([sleeping(b)])
    assert wait_for(lambda: r.asked)                # its sockets came before it ended
    r.gone = {1}
    threads, got = waiting(r, 3)
    assert wait_for(lambda: r.wakes and kinds(r) == [WAKE])
    time.sleep(0.2)
    assert not got
    r.send_table([awake(c, first=2)])
    all_end(threads)
    assert got == [200] * 3 and not b.connections
    r.wake_status = -errno.EIO                      # a thaw that fails: control decides as well
    r.send_table([sleeping(instances=[(3, c.port, "web.1")])])
    threads, got = waiting(r, 3)
    assert wait_for(lambda: kinds(r) == [WAKE] * 2)
    time.sleep(0.1)
    r.send_table([awake(c, first=3)])
    all_end(threads)
    assert got == [200] * 3
    assert r.close() == 0


def test_whichever_frozen_instance_goes_on_first_serves():
    backends = [Backend() for _ in range(3)]
    r = Router()
    r.wake_status = None
    r.send_table([sleeping(instances=[(i + 1, b.port, "web.%d" % (i + 1)) for i, b in enumerate(backends)])])
    assert wait_for(lambda: len(r.asked) == 3)
    r.gone = {1}
    threads, got = waiting(r, 6)
    assert wait_for(lambda: len(r.wakes) == 3)
    for iid, seq in list(r.wakes):
        if iid != 2:
            r.answer_wake(iid, seq)
    all_end(threads)
    assert got == [200] * 6
    assert [len(b.requests) for b in backends] == [0, 0, 6]
    assert r.close() == 0


def test_a_restarted_berthd_is_asked_again():
    b = Backend()
    r = Router()
    r.wake_status = None
    r.send_table([sleeping(b)])
    threads, got = waiting(r, 1)
    assert wait_for(lambda: r.wakes)
    r.wake_status = 0
    r.hello("berthd")
    all_end(threads)
    assert got == [200] and [iid for iid, _ in r.wakes] == [1, 1]
    assert r.close() == 0


def test_a_wake_that_control_cannot_take_yet_is_said_later():
    b = Backend()
    r = Router()
    r.send_table([App(i + 1, ["s%d.example" % i], [], flags=HOLD | ASLEEP, hold_ms=10000) for i in range(600)])
    with r.changed:                                 # control does not read: its socket fills
        conns = [r.connect(15) for _ in range(600)]
        for i, s in enumerate(conns):
            s.sendall(get("s%d.example" % i))
        time.sleep(1)
    assert wait_for(lambda: len(r.said) == 600, 10), len(r.said)
    assert sorted(app for _, app, _ in r.said) == list(range(1, 601))
    r.send_table([App(i + 1, ["s%d.example" % i], [(1, b.port, "web.1")]) for i in range(600)])
    for s in conns:
        assert status_of(read_head(s)[0]) == 200
        s.close()
    assert r.close() == 0


def test_maintenance_wakes_nothing():
    r = Router()
    r.send_table([App(7, ["a.example"], [], flags=HOLD | ASLEEP | MAINTENANCE, hold_ms=1000)])
    assert ask(r, get())[0] == 503
    assert not r.said and not r.wakes
    assert r.close() == 0


def test_asleep_without_hold_is_no_table():
    r = Router()
    assert r.send_table([App(7, ["a.example"], [], flags=ASLEEP)]) == -errno.EBADMSG
    assert r.send_table([sleeping()]) == 0
    assert r.close() == 0


def switches(pid):
    """Times that it was woken: voluntary context switches."""
    with open("/proc/%d/status" % pid) as f:
        return int([l for l in f if l.startswith("voluntary_ctxt")][0].split()[1])


def test_waiting_for_idleness_wakes_the_router_never():
    b = Backend()
    r = Router()
    r.send_table([App(i + 1, ["a%d.example" % i], [(i + 1, b.port, "web.1")], idle_after_ms=900000)
                  for i in range(200)])
    ask(r, get("a7.example"))
    time.sleep(0.5)                                 # sockets, log lines
    before = switches(r.pid)
    time.sleep(2)
    woken = switches(r.pid) - before
    print("# 200 apps that may sleep: woken %d times in 2 s" % woken)
    assert woken <= 2, woken                        # one is the end of the idle connection's time
    assert r.close() == 0


class Sleepy:
    """Control and berthd for one app that is put to sleep whenever it can be: frozen, or ended and started anew."""

    def __init__(self, router, freeze):
        self.router, self.freeze, self.next_id, self.cycles, self.aborted = router, freeze, 1, 0, 0
        self.frozen, self.wrong = set(), []
        self.backend = self.make()
        router.on_wake = self.frozen.discard
        router.send_table([self.app()])

    def make(self):
        def handler(backend, conn):
            for head, _ in each_request(backend, conn):
                if backend.iid in self.frozen or backend.iid != self.next_id:
                    self.wrong.append(backend.iid)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        b = Backend(handler)
        b.iid = self.next_id
        return b

    def app(self, flags=0, listed=True):
        rows = [(self.next_id, self.backend.port, "web.1")] if listed else []
        return App(7, ["a.example"], rows, flags=flags, hold_ms=10000, idle_after_ms=60000)

    def asked(self, since):
        return any(kind == WAKE for kind, _, _ in self.router.said[since:])

    def cycle(self):
        r, since, drained = self.router, len(self.router.said), len(self.router.drained)
        assert r.send_table([self.app(HOLD | ASLEEP, listed=False)]) == 0
        wait_for(lambda: len(r.drained) > drained or self.asked(since))
        if len(r.drained) == drained or self.asked(since):
            self.aborted += 1
        elif self.freeze:
            self.cycles += 1
            self.frozen.add(self.next_id)
            r.send_table([self.app(HOLD | ASLEEP)])
            assert wait_for(lambda: self.asked(since))
            self.frozen.discard(self.next_id)
        else:
            self.cycles += 1
            self.backend.stop()
            assert wait_for(lambda: self.asked(since))
            self.next_id += 1
            self.backend = self.make()
        assert r.send_table([self.app()]) == 0


def fall_asleep_under_load(freeze):
    r = Router()
    sleepy = Sleepy(r, freeze)
    stop, failures, done = threading.Event(), [], [0]

    def client(pause):
        s, rest = None, b""
        while not stop.is_set():
            try:
                if s is None:
                    s, rest = r.connect(15), b""
                s.sendall(get())
                head, rest = read_head(s, rest)
                body, rest = read_body(s, head, rest)
                assert status_of(head) == 200 and body == b"hello", (head, body)
                done[0] += 1
            except (OSError, AssertionError, AttributeError) as e:
                failures.append(repr(e))
                s = None
            time.sleep(pause)
    threads = [threading.Thread(target=client, args=(0.011 + 0.003 * i,)) for i in range(6)]
    for t in threads:
        t.start()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        sleepy.cycle()
        time.sleep(0.01)
    stop.set()
    all_end(threads)
    print("# %s: %d requests, %d failed; asleep %d times, stayed awake %d times" % (
        "frozen" if freeze else "stopped", done[0], len(failures), sleepy.cycles, sleepy.aborted))
    assert not failures and not sleepy.wrong, (failures[:3], sleepy.wrong[:3])
    assert sleepy.cycles > 3 and done[0] > 20
    sleepy.backend.stop()
    assert r.close() == 0


def test_falling_asleep_under_load_loses_no_request():
    fall_asleep_under_load(freeze=False)


def test_freezing_under_load_loses_no_request():
    fall_asleep_under_load(freeze=True)
