"""What a worker counts, in memory that control reads."""
import fcntl
import os
import threading
import time

from harness import *


def answers(backend, conn):
    """Status and wait of /STATUS/MS."""
    for head, _ in each_request(backend, conn):
        _, status, ms = head.split(b" ")[1].split(b"/")
        time.sleep(int(ms) / 1000)
        conn.sendall(b"HTTP/1.1 %s X\r\nContent-Length: 5\r\n\r\nhello" % status)


def upper_us(i):
    """The upper end of a bucket: four to an octave, from 64 us on."""
    return (4 + (i - 1) % 4 + 1) << (6 + (i - 1) // 4 - 2) if i else 64


def counted(r, key, requests, seconds=10.0):
    return wait_for(lambda: r.metrics().get(key, {"requests": 0})["requests"] == requests and r.metrics()[key], seconds)


def test_requests_are_counted_by_instance_and_status():
    b, r = Backend(answers), Router()
    try:
        assert wait_for(lambda: r.metrics_fds) and r.metrics() == {}
        seals = fcntl.fcntl(r.metrics_fds[0], fcntl.F_GET_SEALS)
        assert seals & fcntl.F_SEAL_SHRINK and seals & fcntl.F_SEAL_GROW
        apps = [App(7, ["a.example"], [(1, b.port, "web.1")]), App(8, ["b.example"], [(2, b.port, "web.1")]),
                App(9, ["c.example"], [])]
        r.send_table(apps)
        for path in ("/200/0", "/200/0", "/404/0", "/500/0", "/301/0"):
            ask(r, get(path=path))
        ask(r, get("b.example", "/200/0"))
        ask(r, get("c.example"))
        ask(r, get("nobody.example"))
        row = counted(r, (7, 1), 5)
        assert row["status"] == (0, 2, 1, 1, 1) and row["errors"] == 0 and row["bytes"] == 25, row
        assert row["recent"] == 5 and sum(row["latency"]) == 5
        assert counted(r, (8, 2), 1)
        row = counted(r, (9, 0), 1)  # no instance: the app's own
        assert row["errors"] == 1 and row["status"][4] == 1
        assert set(r.metrics()) == {(7, 1), (8, 2), (9, 0)}
    finally:
        b.stop()
        assert r.close() == 0


def test_latencies_are_in_their_buckets():
    b, r = Backend(answers), Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
        times, before = [], (0,) * 88
        for ms in (0, 5, 50, 300):
            start = time.monotonic()
            ask(r, get(path="/200/%d" % ms))
            times.append((ms * 1000, (time.monotonic() - start) * 1e6))
            row = counted(r, (7, 1), len(times))
            i, = [k for k, (n, old) in enumerate(zip(row["latency"], before)) if n > old]
            before = row["latency"]
            assert upper_us(i) > times[-1][0] and (upper_us(i - 1) if i else 0) <= times[-1][1], (i, times)
        assert sum(t[0] for t in times) < row["sum_us"] < sum(t[1] for t in times)
    finally:
        b.stop()
        assert r.close() == 0


def test_what_gone_instances_counted_stays_with_their_app():
    b, r = Backend(answers), Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
        for _ in range(3):
            ask(r, get(path="/200/0"))
        assert counted(r, (7, 1), 3)
        r.send_table([App(7, ["a.example"], [(2, b.port, "web.1")])])
        ask(r, get(path="/200/0"))
        assert counted(r, (7, 2), 1) and counted(r, (7, 0), 3) and (7, 1) not in r.metrics()
        r.send_table([App(7, ["a.example"], [(3, b.port, "web.1")])])
        ask(r, get(path="/200/0"))
        assert counted(r, (7, 3), 1)  # in the place that became free
        row = counted(r, (7, 0), 4)
        assert row["bytes"] == 20 and sum(row["latency"]) == 4
        r.send_table([App(8, ["b.example"], [(4, b.port, "web.1")])])
        assert wait_for(lambda: r.metrics() == {})  # the app is gone
    finally:
        b.stop()
        assert r.close() == 0


def test_the_last_request_of_an_instance_that_goes_counts_for_its_app():
    gate = threading.Event()

    def slow(backend, conn):
        for _ in each_request(backend, conn):
            gate.wait(10)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    a, b, r = Backend(slow), Backend(answers), Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, a.port, "web.1")])])
        with r.connect() as s:
            s.sendall(get())
            assert wait_for(lambda: a.requests)
            r.send_table([App(7, ["a.example"], [(2, b.port, "web.1")]), App(8, ["b.example"], [(3, b.port, "web.1")])])
            gate.set()
            assert status_of(read_head(s)[0]) == 200
        assert wait_for(lambda: r.drained == [1])
        assert counted(r, (7, 0), 1)
        ask(r, get("b.example", "/200/0"))  # in the place that became free
        assert counted(r, (8, 3), 1) and counted(r, (7, 0), 1)
    finally:
        a.stop()
        b.stop()
        assert r.close() == 0


def test_a_new_control_is_given_the_metrics_and_a_websocket_counts_once():
    def upgrades(backend, conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        conn.recv(10)

    b, r = Backend(upgrades), Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
        with r.connect() as s:
            s.sendall(get(extra="Connection: upgrade\r\nUpgrade: x\r\n"))
            assert status_of(read_head(s)[0]) == 101
            s.sendall(b"end")
            while s.recv(100):
                pass
        before = len(r.metrics_fds)
        r.hello("control")
        assert wait_for(lambda: len(r.metrics_fds) > before)
        row = counted(r, (7, 1), 1)
        assert row["status"][0] == 1 and not sum(row["latency"]) and not row["sum_us"]
    finally:
        b.stop()
        assert r.close() == 0


def test_counts_are_whole_while_instances_come_and_go():
    """A reader sees each request once, whatever is moved meanwhile."""
    b, r = Backend(answers), Router()
    try:
        r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")])])
        stop, seen = threading.Event(), []

        def read():
            while not stop.is_set():
                try:
                    seen.append(sum(row["requests"] for row in r.metrics().values()))
                except AssertionError:
                    pass  # in the middle of a move: read again
                time.sleep(0.001)

        reader = threading.Thread(target=read)
        assert wait_for(lambda: r.metrics_fds)
        reader.start()
        for n in range(40):
            ask(r, get(path="/200/0"))
            r.send_table([App(7, ["a.example"], [(2 + n, b.port, "web.1")])])
        assert wait_for(lambda: sum(row["requests"] for row in r.metrics().values()) == 40)
        stop.set()
        reader.join()
        assert seen and max(seen) <= 40
    finally:
        b.stop()
        assert r.close() == 0
