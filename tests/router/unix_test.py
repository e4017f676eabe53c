"""Instances that accept on a unix socket: berthd connects, the router only asks and uses. ROUTER_UNIX=1 runs every
other test this way too."""
import os
import signal
import socket
import threading
import time

from harness import *


def app(*backends, first=1, **more):
    return App(7, ["a.example"], [(first + i, b.port, "web.%d" % (1 + i)) for i, b in enumerate(backends)], **more)


def families(r):
    return {family for _, _, family in r.asked}


def test_a_request_reaches_it_over_a_connection_of_berthds():
    b = Backend(unix=True)
    r = Router()
    r.send_table([app(b)])
    assert not r.asked  # nothing lies ahead in its accept queue
    status, _, body = ask(r, get())
    assert (status, body) == (200, b"hello")
    assert r.asked == [(1, 1, socket.AF_UNIX)]
    for _ in range(20):
        assert ask(r, get())[0] == 200
    assert len(r.asked) == 1 and b.connections == 1  # and is used again
    line = r.log_where("status=200")
    assert "instance=web.1" in line[2], line
    assert r.close() == 0


def test_only_as_many_are_asked_for_as_wait():
    gate = threading.Event()

    def slow(backend, conn):
        for _ in each_request(backend, conn):
            gate.wait(5)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    b = Backend(slow, unix=True)
    r = Router()
    r.send_table([app(b)])
    got = []
    threads = [threading.Thread(target=lambda: got.append(ask(r, get(), timeout=10)[0])) for _ in range(50)]
    for t in threads:
        t.start()
    assert wait_for(lambda: len(b.requests) == 50)
    assert sum(n for _, n, _ in r.asked) == 50 == b.connections, r.asked
    gate.set()
    for t in threads:
        t.join()
    assert got == [200] * 50
    assert r.close() == 0


def test_big_bodies_pass_both_ways():
    b = Backend(echo_handler, unix=True)
    r = Router()
    r.send_table([app(b)])
    body = os.urandom(3 << 20)
    for path in (b"/", b"/chunked"):
        status, _, got = ask(r, b"POST %s HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body,
                             timeout=20)
        assert status == 200 and got == body
    assert r.close() == 0


def test_one_that_it_closed_while_idle_is_replaced():
    def once(backend, conn):
        head, _ = read_head(conn)
        backend.requests.append(head)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        time.sleep(0.05)  # then it closes, having promised to keep it

    b = Backend(once, unix=True)
    r = Router()
    r.send_table([app(b)])
    for _ in range(5):
        assert ask(r, get())[0] == 200
        time.sleep(0.1)
    for _ in range(20):  # and while the next request is on its way
        assert ask(r, get())[0] == 200
        time.sleep(0.04)
    assert r.close() == 0


def test_who_does_not_listen_any_more_is_not_waited_for():
    b, other = Backend(unix=True), Backend(unix=True)
    r = Router()
    r.send_table([app(b)])
    assert ask(r, get())[0] == 200
    b.stop()
    start = time.monotonic()
    assert ask(r, get())[0] == 503
    assert time.monotonic() - start < 4
    assert r.log_where("code=H21")
    r.send_table([app(b, other)])
    for _ in range(6):
        assert ask(r, get())[0] == 200
    r.gone.add(2)  # and one that berthd does not know
    other.stop()
    assert ask(r, get())[0] == 503
    assert r.close() == 0


def test_a_full_accept_queue_is_asked_again():
    gate = threading.Event()

    class Late(Backend):
        def _accept(self):
            gate.wait(10)
            super()._accept()

    b = Late(unix=True, backlog=0)  # the kernel takes one
    r = Router()
    r.send_table([app(b)])
    got = []
    threads = [threading.Thread(target=lambda: got.append(ask(r, get(), timeout=10)[0])) for _ in range(4)]
    for t in threads:
        t.start()
    assert wait_for(lambda: len(r.asked) >= 2)
    time.sleep(0.3)
    assert 2 <= len(r.asked) < 20 and not got, r.asked  # not in a loop
    gate.set()
    for t in threads:
        t.join()
    assert got == [200] * 4
    assert r.close() == 0


def test_a_queue_that_stays_full_ends_the_wait():
    b = Backend(unix=True, backlog=0)
    b._accept = None
    r = Router()
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    full = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    full.bind("")
    full.listen(0)
    UNIX[b.port] = full.getsockname()
    taken.connect(full.getsockname())
    held.setblocking(False)
    try:
        held.connect(full.getsockname())
        assert False, "the queue takes more"
    except BlockingIOError:
        pass
    r.send_table([app(b)])
    start = time.monotonic()
    assert ask(r, get(), timeout=15)[0] == 503
    assert 4 < time.monotonic() - start < 8
    assert r.log_where("code=H19")
    assert r.close() == 0


test_a_queue_that_stays_full_ends_the_wait.slow = True


def test_one_that_accepts_and_says_nothing_times_out():
    b = Backend(lambda backend, conn: conn.recv(1 << 20) and time.sleep(5), unix=True)
    r = Router()
    r.send_table([app(b, timeout_ms=300)])
    start = time.monotonic()
    assert ask(r, get())[0] == 504
    assert 0.2 < time.monotonic() - start < 4.5
    assert r.log_where("code=H12")
    assert r.close() == 0


def test_a_frozen_one_is_woken_first():
    b = Backend(unix=True)
    r = Router()
    r.send_table([App(7, ["a.example"], [(1, b.port, "web.1")], flags=HOLD | ASLEEP, hold_ms=5000)])
    assert ask(r, get())[0] == 200
    assert [i for i, _ in r.wakes] == [1] and r.asked == [(1, 1, socket.AF_UNIX)]
    assert r.close() == 0


def test_a_berthd_that_comes_back_is_asked_again():
    b = Backend(unix=True)
    r = Router()
    r.send_table([app(b)])
    r.mute = True
    got = []
    t = threading.Thread(target=lambda: got.append(ask(r, get(), timeout=10)[0]))
    t.start()
    assert wait_for(lambda: r.asked)
    r.mute = False
    r.hello("berthd")
    t.join()
    assert got == [200]
    assert r.close() == 0


def test_its_successor_and_itself_go_on():
    b = Backend(unix=True)
    r = Router()
    r.send_table([app(b)])
    s = r.connect()
    s.sendall(get())
    assert status_of(read_head(s)[0]) == 200
    r.kill(signal.SIGUSR2)
    assert wait_for(lambda: r.left)
    old = r.pid
    r.restart()
    assert wait_for(lambda: r.hellos.count("control") == 2)
    r.send_table([app(b)])
    assert ask(r, get())[0] == 200
    s.close()
    assert wait_for(lambda: os.waitpid(old, os.WNOHANG)[0] == old)
    assert r.close() == 0
