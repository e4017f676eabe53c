#!/usr/bin/python3
"""Archives of images, checked and made without the tools that others use for them.

image.py verify FILE           every digest, size and diff_id of an OCI layout or a `docker save` in a tar; prints its layers
image.py compare A B           two folders entry by entry: type, mode, owner, size, bytes, target, mtime; says what differs
"""
import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def plain(data):
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dqc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def check(ok, what):
    if not ok:
        sys.exit(what)


def check_layer(data):
    """Sorted, whiteouts first, no device; returns the number of entries."""
    names, folder_seen = set(), {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for m in tar:
            check(not m.isdev() or m.isfifo(), f"{m.name}: a device")
            check(m.name not in names, f"{m.name}: twice")
            names.add(m.name)
            folder, name = os.path.split(m.name)
            if name.startswith(".wh."):
                check(not folder_seen.get(folder), f"{m.name}: after others of its folder")
            elif not m.isdir() or name:
                folder_seen[folder] = True
    return len(names)


def verify(path):
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    blob = lambda d: files["blobs/sha256/" + d.split(":")[1]]
    if "oci-layout" in files:
        for name, data in files.items():
            if name.startswith("blobs/sha256/"):
                check(sha(data).endswith(name[13:]), f"{name} holds other bytes")
        manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]["digest"]))
        for d in manifest["layers"] + [manifest["config"]]:
            check(len(blob(d["digest"])) == d["size"], "a size is wrong")
        config = json.loads(blob(manifest["config"]["digest"]))
        layers = [plain(blob(d["digest"])) for d in manifest["layers"]]
    else:
        manifest = json.loads(files["manifest.json"])[0]
        config = json.loads(files[manifest["Config"]])
        check(sha(files[manifest["Config"]])[7:] == manifest["Config"][:-5], "the configuration's name is wrong")
        layers = [files[name] for name in manifest["Layers"]]
    check([sha(d) for d in layers] == config["rootfs"]["diff_ids"], "a diff_id is wrong")
    check(len(config["history"]) == len(layers), "the history does not fit")
    for data in layers:
        print(sha(data), check_layer(data))


DISK_BASE = 0x70000000  # of layers as they lie on disk (runtime/runtime.h)


def tree(root):
    all_, names = {}, {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            row = [oct(s.st_mode), s.st_uid % DISK_BASE, s.st_gid % DISK_BASE, int(s.st_mtime)]
            if stat.S_ISLNK(s.st_mode):
                row.append(os.readlink(path))
            elif stat.S_ISREG(s.st_mode):
                with open(path, "rb") as f:
                    row += [s.st_size, sha(f.read())]
                # how many of its names are in the tree: an overlay also counts hidden ones
                names.setdefault((s.st_dev, s.st_ino), []).append(row)
            all_[os.path.relpath(path, root)] = row
    for rows in names.values():
        for row in rows:
            row.append(len(rows))
    return all_


# What berthd mounts over is there in every image of ours.
OURS = {"dev", "proc", "sys", "berth", "berth/packs", "berth/host", "cache"}


def compare(a, b):
    x, y = tree(a), tree(b)
    differ = [p for p in sorted((x.keys() | y.keys()) - OURS) if x.get(p) != y.get(p)]
    for p in differ[:20]:
        print(p, x.get(p), y.get(p))
    print(f"{len(x)} entries, {len(differ)} differ")
    sys.exit(1 if differ or len(x) < 3 else 0)


if __name__ == "__main__":
    {"verify": verify, "compare": compare}[sys.argv[1]](*sys.argv[2:])
