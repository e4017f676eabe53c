#!/usr/bin/python3
"""Large hostile archives, as they are made, to standard output:
files N: a tar of so many empty files, a thousand to a folder; head MB: a
tar's head of a file of that size; zeros N MB: N files of zeros, without an end;
commit N: for git fast-import, a commit of so many empty files on main."""
import os
import sys
import tarfile

kind, numbers = sys.argv[1], [int(n) for n in sys.argv[2:]]
out = sys.stdout.buffer


def name(i):
    return b"many/d%04d/f%07d" % (i // 1000, i)


def head(text, size):
    m = tarfile.TarInfo(text)
    m.size = size
    return m.tobuf(tarfile.GNU_FORMAT)


if kind == "files":
    # One head, of which the name and with it the sum changes: tarfile takes a minute for a million.
    h = bytearray(head(name(0).decode(), 0))
    rest = sum(h) - sum(name(0)) - sum(h[148:156]) + 8 * ord(" ")
    for i in range(numbers[0]):
        n = name(i)
        h[: len(n)] = n
        h[148:156] = b"%06o\0 " % (rest + sum(n))
        out.write(h)
    out.write(bytes(10240))
elif kind == "head":
    out.write(head("zeros", numbers[0] << 20))
elif kind == "zeros":
    part = bytes(1 << 20)
    for i in range(numbers[0]):
        out.write(head("z%d" % i, numbers[1] << 20))
        for _ in range(numbers[1]):
            out.write(part)
elif kind == "commit":
    out.write(b"blob\nmark :1\ndata 0\n\ncommit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 0\n")
    if os.path.exists("head"):
        out.write(b"from %s\n" % open("head", "rb").read().strip())
    for i in range(numbers[0]):
        out.write(b"M 100644 :1 %s\n" % name(i))
    out.write(b"\n")
