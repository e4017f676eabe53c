#!/usr/bin/python3
"""Source archives that want out, or more than there is: hostile_source.py FOLDER CANARY writes them; prints a line for
each, FILE EXPECTED TEXT: "refused" with the text in the message, "taken". All are for berth git:from-archive."""
import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

OUT, CANARY = sys.argv[1], sys.argv[2]
FOLDER, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
ZEROS = bytes(1 << 20)


def member(name, kind=tarfile.REGTYPE, link="", mode=0o644, size=0, pax=None):
    m = tarfile.TarInfo(name)
    m.type, m.linkname, m.mode, m.size, m.pax_headers = kind, link, mode, size, pax or {}
    return m


class Zeros(io.RawIOBase):
    def read(self, n=-1):
        return ZEROS[:n]


def tar(*entries, good=True):
    """entries: (member, data); the app itself comes first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        if good:
            t.add(os.environ["APP_SOURCE"], ".")
        for m, data in entries:
            m.size = m.size or len(data)
            t.addfile(m, io.BytesIO(data))
    return out.getvalue()


def many_zeros(files, mb, around):
    """A tar of so many files of zeros, through a program that compresses."""
    with tempfile.TemporaryFile() as f:
        p = subprocess.Popen(around, stdin=subprocess.PIPE, stdout=f)
        with tarfile.open(fileobj=p.stdin, mode="w|", format=tarfile.GNU_FORMAT) as t:
            for i in range(files):
                t.addfile(member(f"z{i}", size=mb << 20), Zeros())
        p.stdin.close()
        p.wait()
        f.seek(0)
        return f.read()


def overlapping_zip(files, mb):
    """D. Fifield's: each file's data quotes the next one's head and goes on with its data, down to one kernel of zeros."""
    def head(name, crc, packed, size):
        return struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, crc, packed, size, len(name), 0) + name

    kernel = ZEROS * mb
    data, crc, quoted, entries = zlib.compress(kernel, 9)[2:-4], zlib.crc32(kernel), b"", []
    for i in range(files - 1, -1, -1):
        name = b"f%05d" % i
        entries.append((name, crc, len(data), len(quoted) + len(kernel)))
        local = head(*entries[-1])
        data = struct.pack("<BHH", 0, len(local), len(local) ^ 0xFFFF) + local + data
        quoted = local + quoted
        crc = zlib.crc32(kernel, zlib.crc32(quoted))
    body, directory, at = data[5:], b"", 0
    for name, crc, packed, size in reversed(entries):
        directory += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, packed, size, len(name),
                                 0, 0, 0, 0, 0, at) + name
        at += 30 + len(name) + 5
    return body + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, files, files, len(directory), len(body), 0)


def zip_of(*entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in entries:
            z.writestr(name, data)
    return out.getvalue()


def device():
    m = member("dev/sda", tarfile.BLKTYPE)
    m.devmajor, m.devminor = 8, 0
    return m


away, up = CANARY.lstrip("/"), "../" * 12
good = tar()
cases = {
    "plain.tar": ("taken", "", good),
    "bzip2.tar.bz2": ("taken", "", bz2.compress(good)),
    "xz.tar.xz": ("taken", "", lzma.compress(good)),
    "dotdot.tar": ("refused", "dots", tar((member(up + away), b"out"))),
    "dotdot-inside.tar": ("refused", "dots", tar((member("a/" + up + away), b"out"))),
    "dotdot.zip": ("refused", "dots", zip_of((up + away, b"out"))),
    "absolute.tar": ("refused", "absolute", tar((member(CANARY), b"out"))),
    "through-link.tar": ("refused", "below", tar((member("s", LINK, os.path.dirname(CANARY)), b""),
                                                 (member("s/" + os.path.basename(CANARY)), b"out"))),
    "chained-links.tar": ("refused", "below", tar((member("a", LINK, "b"), b""), (member("b", LINK, "/"), b""),
                                                  (member("a/" + away), b"out"))),
    "links-alone.tar": ("taken", "", tar((member("abs", LINK, CANARY), b""), (member("up", LINK, up + away), b""),
                                         (member("loop", LINK, "loop"), b""))),
    "hardlink-out.tar": ("refused", "not in the archive", tar((member("h", HARD, away), b""))),
    "hardlink-up.tar": ("refused", "dots", tar((member("h", HARD, up + away), b""))),
    "device.tar": ("refused", "neither a file", tar((device(), b""))),
    "fifo.tar": ("refused", "neither a file", tar((member("pipe", tarfile.FIFOTYPE), b""))),
    "setuid.tar": ("taken", "", tar((member("suid", mode=0o6755), b"#!/bin/sh\nid -u\n"))),
    "git-folder.tar": ("taken", "left out", tar((member(".git/config"), b"[core]\n\tpager = touch " + CANARY.encode()))),
    "git-upper.tar": ("refused", ".git", tar((member(".GIT/config"), b"x"))),
    "git-short.tar": ("refused", ".git", tar((member("x/git~1/config"), b"x"))),
    "git-hfs.tar": ("refused", "git refused the commit", tar((member(".g\u200cit/config"), b"x"))),
    "git-stream.tar": ("refused", "git refused the commit", tar((member(".git::$INDEX_ALLOCATION/config"), b"x"))),
    "git-modules-link.tar": ("refused", "git refused the commit", tar((member(".gitmodules", LINK, CANARY), b""))),
    "deep.tar": ("refused", "nested", tar((member("/".join(["d"] * 300) + "/f"), b"x"))),
    "long-name.tar": ("refused", "255", tar((member("n" * 300), b"x"))),
    "forms.tar": ("taken", "", tar((member("forms/caf\u00e9"), b"1"), (member("forms/cafe\u0301"), b"2"),
                                   (member("forms/README"), b"3"), (member("forms/readme"), b"4"))),
    "sparse.tar": ("refused", "larger than", tar((member("big", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                                                    "GNU.sparse.name": "big",
                                                                    "GNU.sparse.realsize": str(1 << 40)}),
                                                 b"1\n0\n512\n".ljust(512, b"\0") + b"x" * 512))),
    "claims.tar": ("refused", "larger than", member("big", size=1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(10240)),
    "twice-compressed.tar.gz.gz": ("refused", "more than once", gzip.compress(gzip.compress(good))),
    "empty.tar": ("refused", "no files", bytes(10240)),
    "page.tar": ("refused", "no archive", b"<html>404</html>"),
    "truncated.tar": ("refused", "", good[: len(good) // 2 - 100]),
    "zeros.tar.gz": ("refused", "times as large", many_zeros(10, 10, ["gzip", "-1"])),
    "zeros.tar.zst": ("refused", "times as large", many_zeros(10, 10, ["zstd", "-q", "-1"])),
    "zeros.tar.xz": ("refused", "times as large", many_zeros(10, 10, ["xz", "-0"])),
    "overlapping.zip": ("refused", "times as large", overlapping_zip(100, 1)),
}

for name, (expected, text, data) in cases.items():
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    print(name, expected, text)
