"""Trees of images. tar FOLDER: a layer of berth as a tar with the ids that it has inside, to stdout. diff OURS THEIRS
CONFIG-OURS CONFIG-THEIRS: two trees and two configurations; prints what differs but for times, status 1 when something does."""
import hashlib
import json
import os
import stat
import sys
import tarfile

BASE = 0x70000000  # RUNTIME_DISK_UID_BASE
# What each tool mounts or makes for its own use.
LEFT_OUT = {"dev", "proc", "sys", "run/secrets", "etc/hosts", "etc/hostname", "etc/resolv.conf", "berth", "cache", "run/.containerenv"}


def inside(number):
    return number - BASE if number >= BASE else number


def write_tar(folder):
    def shift(entry):
        entry.uid, entry.gid = inside(entry.uid), inside(entry.gid)
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
        for name in sorted(os.listdir(folder)):
            if name not in LEFT_OUT:
                out.add(os.path.join(folder, name), name, filter=shift)


def describe(path, st, links):
    kind = stat.S_IFMT(st.st_mode)
    text = "%o %d:%d" % (st.st_mode, inside(st.st_uid), inside(st.st_gid))
    if kind == stat.S_IFLNK:
        return text + " -> " + os.readlink(path)
    if kind != stat.S_IFREG:
        return text
    with open(path, "rb") as f:
        text += " %d %s" % (st.st_size, hashlib.sha256(f.read()).hexdigest()[:16])
    if st.st_nlink > 1:
        text += " same as " + links.setdefault((st.st_dev, st.st_ino), path[len(links[None]):])
    names = [n for n in os.listxattr(path) if n.startswith(("security.", "user.")) and "selinux" not in n]
    return text + "".join(" %s=%s" % (n, os.getxattr(path, n).hex()) for n in sorted(names))


def walk(top):
    found, links = {}, {None: top}
    for folder, folders, files in os.walk(top):
        relative = os.path.relpath(folder, top)
        relative = "" if relative == "." else relative + "/"
        folders[:] = sorted(f for f in folders if relative + f not in LEFT_OUT)
        for name in sorted(folders + files):
            if relative + name not in LEFT_OUT:
                path = os.path.join(folder, name)
                found[relative + name] = describe(path, os.lstat(path), links)
    return found


def config(path):
    with open(path) as f:
        c = json.load(f)
    labels = {k: v for k, v in (c.get("Labels") or {}).items() if not k.startswith("io.buildah.")}
    kept = {k: c.get(k) or None for k in ("Entrypoint", "Cmd", "User", "WorkingDir", "ExposedPorts", "Volumes", "StopSignal", "Shell")}
    kept["Env"] = sorted(c.get("Env") or [])
    kept["Labels"] = labels or None
    return kept


def main():
    if sys.argv[1] == "tar":
        return write_tar(sys.argv[2])
    ours, theirs = walk(sys.argv[2]), walk(sys.argv[3])
    a, b = config(sys.argv[4]), config(sys.argv[5])
    differences = ["%s: %s / %s" % (k, ours.get(k), theirs.get(k)) for k in sorted(ours.keys() | theirs.keys()) if ours.get(k) != theirs.get(k)]
    differences += ["config %s: %s / %s" % (k, a[k], b[k]) for k in a if a[k] != b[k]]
    for line in differences[:60]:
        print(line)
    print("equal, %d files" % len(ours) if not differences else "%d differences" % len(differences))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
