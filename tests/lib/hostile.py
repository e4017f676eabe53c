# A berth-control that was taken over: speaks to berthd on its own pair with messages that berthd must refuse.
# Argument: the process id of berth-control. Prints how many messages were sent.
import ctypes
import os
import random
import socket
import struct
import sys
import time

PIDFD_GETFD = 438
PAIR = 3
START, APP_REMOVE, KEYS_WRITE, STACK_BUILD, NETWORK, NAME, LAST = 10, 23, 24, 25, 27, 28, 28

libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(PIDFD_GETFD, os.pidfd_open(int(sys.argv[1])), PAIR, 0)
if fd < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
pair = socket.socket(fileno=fd)
sent = 0


def send(kind, body=b"", fds=()):
    global sent
    sent += 1
    message = struct.pack("<IIiI", kind, 0xE0000000 + sent, 0, len(body)) + body
    for _ in range(500):
        try:
            return socket.send_fds(pair, [message], list(fds))
        except BlockingIOError:
            time.sleep(0.01)
    sys.exit("berthd reads no more")


def start(fds, layers=1, memory=1 << 28, pids=64, flags=1, profile=1, app=7, name=b"web.1", mounts=0, path=b"/x",
          kind=1, volume=1):
    head = struct.pack("<QIIII", 1 << 40, app, profile, flags, layers)
    limits = struct.pack("<QQIIII", memory, 0, 1000, pids, 1024, 0)
    mount = struct.pack("<QII256s", volume, kind, 0, path)
    send(START, head + limits + struct.pack("<64Q", 1 << 62, *[0] * 63) + struct.pack("<QII", 0, mounts, 2000)
         + mount * 16 + name.ljust(64, b"\0")[:64] + bytes(16), fds)


random.seed(1)
folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
plain = os.open("/etc/passwd", os.O_RDONLY)
r, w = os.pipe()
pairs = socket.socketpair()
unix = pairs[0].fileno()
four = [plain, folder, r, w]

for one in (folder, plain, r, w, unix):
    send(KEYS_WRITE, b"", [one])
bad = os.memfd_create("keys")
os.write(bad, struct.pack("<II40s1024s", 1, 0, b'ssh-ed25519 x\nssh-rsa', b"A" * 68))
send(KEYS_WRITE, b"", [bad])
for name in (b"..", b".", b"a/b", b"../control", b"", b"x" * 64, b"x\n"):
    send(APP_REMOVE, struct.pack("<II64s", 99, 0, name))
for path in (b"/proc/sys", b"/../../etc", b"/x/../../proc", b"/" * 256, b"/dev/x", b"/berth/packs", b"x"):
    start(four, mounts=1, path=path)
start(four, mounts=2**32 - 1)
start(four, layers=2**32 - 1)
start(four, memory=2**64 - 1)
start(four, pids=2**32 - 1)
start(four, flags=2**32 - 1)
start(four, profile=9)
start(four, name=b"../../x")
start(four, name=b"A" * 64)
start(four, mounts=1, kind=2, volume=8)
start([r, r, w])
for rule in ((1, 3, 0, 8, 0, 0, 0), (9, 1, 0, 0, 0, 0, 0), (1, 1, 1, 0, 0, 0, 0), (3, 1, 0, 0, 5, 4, 1), (3, 1, 0, 0, 0, 0, 4096)):
    packed = struct.pack("<BBBBHHI16s", *rule, b"")
    send(NETWORK, struct.pack("<IIII", 7, 1, 0, 0) + packed + bytes(191 * 28 + 8192))
send(NETWORK, struct.pack("<IIII", 7, 193, 0, 0) + bytes(192 * 28 + 8192))
send(NETWORK, struct.pack("<IIII", 7, 0, 8193, 0) + bytes(192 * 28 + 8192))
send(NETWORK, struct.pack("<IIII", 0, 0, 1, 0) + bytes(192 * 28 + 8192))
for number, n in ((0, 1), (4096, 1), (2**32 - 1, 1), (1, 17), (1, 2**32 - 1)):
    send(NAME, struct.pack("<II16Q", number, n, *range(16)))
send(STACK_BUILD, struct.pack("<QII", 77, 9, 0), [w, w])
for kind in (*range(START, LAST + 1), 60, 2**32 - 1):
    for size in (1, 7, 33, 1000, 16000):
        send(kind, os.urandom(size), four[: random.randint(0, 4)])
print(sent)
