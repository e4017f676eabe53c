#!/usr/bin/python3
"""A disk to which the power can be cut: one file, shown as another by FUSE, to be mounted by loop.

usage: disk.py FILE                       shows FILE as FILE.disk, which it prints, until that is unmounted
       disk.py cut FILE COPY HOW [SEED]   writes into COPY what a power cut at this instant would leave

As on a disk with a cache that is lost, what was written since the last flush may be there or not, in any selection of 4 kB
pieces. HOW: "all" of it, "none", or "some". While a copy is made the disk stands still.
"""
import ctypes
import errno
import os
import random
import select
import socket
import struct
import sys

PIECE = 4096
WRITE_MAX = 1 << 20
HEAD_IN, HEAD_OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")  # linux/fuse.h
GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, DESTROY = 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 38
SILENT = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET
ASYNC_READ, BIG_WRITES, MAX_PAGES = 1, 1 << 5, 1 << 22
DIRECT_IO = 1


class Disk:
    def __init__(self, path):
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.fstat(self.file).st_size
        self.old = {}    # piece: what the last flush left there
        self.fuse = self.control = None

    # ---- FUSE ----

    def mount(self):
        shown = self.path + ".disk"
        open(shown, "w").close()
        self.fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=100000,user_id=0,group_id=0" % self.fuse
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"berth-disk", shown.encode(), b"fuse", 0, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), "mount", shown)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.bind(self.path + ".cut")
        self.control.listen(4)
        return shown

    def attributes(self):
        return struct.pack("<QII6Q10I", 3600, 0, 0, 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)

    def write(self, at, data):
        for piece in range(at // PIECE, (at + len(data) + PIECE - 1) // PIECE):
            if piece not in self.old:
                self.old[piece] = os.pread(self.file, PIECE, piece * PIECE)
        os.pwrite(self.file, data, at)

    def answer(self, what, body):
        if what == INIT:
            return struct.pack("<4I2H2I2H8I", 7, 31, 1 << 20, ASYNC_READ | BIG_WRITES | MAX_PAGES, 16, 12, WRITE_MAX, 1,
                               WRITE_MAX // 4096, *[0] * 9)
        if what in (GETATTR, SETATTR):
            return self.attributes()
        if what == OPEN:
            return struct.pack("<QII", 0, DIRECT_IO, 0)
        if what == READ:
            _, at, size = struct.unpack_from("<QQI", body)
            return os.pread(self.file, size, at)
        if what == WRITE:
            _, at, size = struct.unpack_from("<QQI", body)
            self.write(at, body[40:40 + size])
            return struct.pack("<II", size, 0)
        if what == FSYNC:
            self.old.clear()
            return b""
        if what == STATFS:
            return bytes(80)
        return b"" if what in (RELEASE, FLUSH, DESTROY) else None

    def serve_one(self):
        """False when it is unmounted."""
        try:
            request = os.read(self.fuse, WRITE_MAX + 65536)
        except OSError as e:
            if e.errno == errno.ENODEV:
                return False
            if e.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                return True
            raise
        _, what, unique = HEAD_IN.unpack_from(request)[:3]
        if what in SILENT:
            return True
        reply = self.answer(what, memoryview(request)[HEAD_IN.size:])
        wrong = -errno.ENOSYS if reply is None else 0
        reply = reply or b""
        os.write(self.fuse, HEAD_OUT.pack(HEAD_OUT.size + len(reply), wrong, unique) + reply)
        return True

    # ---- the cut ----

    def copy(self, to):
        """What is in the file, holes left out."""
        out = os.open(to, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.ftruncate(out, self.size)
        at = 0
        while at < self.size:
            try:
                at = os.lseek(self.file, at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(self.file, at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(self.file, out, end - at, at, at)
        return out

    def cut(self, to, how, seed):
        out, chance = self.copy(to), random.Random(seed)
        lost = 0
        for piece in sorted(self.old):
            if how == "none" or how == "some" and chance.random() < 0.5:
                os.pwrite(out, self.old[piece], piece * PIECE)
                lost += 1
        os.close(out)
        return "%d of %d pieces since the last flush are lost" % (lost, len(self.old))

    def serve_cut(self):
        c = self.control.accept()[0]
        to, how, seed = c.recv(8192).decode().split("\0")
        c.send(self.cut(to, how, seed).encode())
        c.close()

    def run(self):
        while True:
            ready = select.select([self.fuse, self.control], [], [])[0]
            if self.control in ready:
                self.serve_cut()
            if self.fuse in ready and not self.serve_one():
                return


def cut(path, to, how, seed="0"):
    c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    c.settimeout(60)
    c.connect(path + ".cut")
    c.send("\0".join((to, how, seed)).encode())
    return c.recv(8192).decode()


def main():
    if sys.argv[1] == "cut":
        print(cut(*sys.argv[2:]))
        return
    disk = Disk(os.path.abspath(sys.argv[1]))
    print(disk.mount(), flush=True)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    try:
        disk.run()
    finally:
        os.unlink(disk.path + ".cut")


if __name__ == "__main__":
    main()
