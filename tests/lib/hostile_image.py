#!/usr/bin/python3
"""Archives of images that want out, or more than there is: hostile_image.py FOLDER writes them; prints a line for each,
NAME WHAT-IS-EXPECTED: "refused TEXT" (of the message), or "contained". All but the first, which must be taken."""
import hashlib
import io
import json
import os
import sys
import tarfile

OUT = sys.argv[1]
CANARY = sys.argv[2] if len(sys.argv) > 2 else "/tmp/berth-canary"


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, uid=0, pax=None, size=None):
    m = tarfile.TarInfo(name)
    m.type, m.linkname, m.mode, m.uid = kind, link, mode, uid
    m.size = len(data) if size is None else size
    m.pax_headers = pax or {}
    return m, data


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for m, data in entries:
            t.addfile(m, io.BytesIO(data))
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def docker(layers, ids=None, config_name=None, manifest=None, extra=()):
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + i for i in ids or map(sha, layers)]}}).encode()
    names = [f"l{i}.tar" for i in range(len(layers))]
    files = dict(zip(names, layers))
    files[config_name or sha(config) + ".json"] = config
    files["manifest.json"] = json.dumps(manifest or [{"Config": config_name or sha(config) + ".json", "RepoTags": ["x:1"],
                                                      "Layers": names}]).encode()
    return tar([entry(n, data=d) for n, d in files.items()] + list(extra))


def oci(layer, digest=None, size=None, config_digest=None):
    config = json.dumps({"architecture": "amd64", "os": "linux",
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(layer)]}}).encode()
    d = lambda data, digest=None, size=None: {"digest": "sha256:" + (digest or sha(data)), "size": size or len(data)}
    manifest = json.dumps({"schemaVersion": 2, "config": d(config, config_digest), "layers": [d(layer, digest, size)]}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [d(manifest)]}).encode()
    files = {"oci-layout": b"{}", "index.json": index, "blobs/sha256/" + (config_digest or sha(config)): config,
             "blobs/sha256/" + sha(manifest): manifest, "blobs/sha256/" + (digest or sha(layer)): layer}
    return tar([entry(n, data=x) for n, x in files.items()])


FOLDER, LINK, HARD, DEVICE = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
good = [entry("bin/", FOLDER, mode=0o755), entry("bin/true", data=b"x", mode=0o755)]
deep = "/".join(["d"] * 300)
base = tar(good + [entry("keep/", FOLDER), entry("keep/a", data=b"a"), entry("keep/b", data=b"b"), entry("way", LINK, link="keep")])
away = CANARY.lstrip("/")
up = "../" * 12

layers = {
    "good": ("taken", [tar(good)]),
    "dotdot": ("refused dots", [tar(good + [entry(up + away, data=b"out")])]),
    "dotdot-inside": ("refused dots", [tar(good + [entry("a/../../" + up + away, data=b"out")])]),
    "absolute": ("refused absolute", [tar(good + [entry(CANARY, data=b"out")])]),
    "through-link": ("refused below", [tar(good + [entry("s", LINK, link=os.path.dirname(CANARY)),
                                                   entry("s/" + os.path.basename(CANARY), data=b"out")])]),
    "through-proc": ("refused below", [tar(good + [entry("s", LINK, link="/proc/1/root"), entry("s/x", data=b"out")])]),
    "through-lower-link": ("refused below", [base, tar([entry("way/new", data=b"x")])]),
    "hardlink-out": ("refused dots", [tar(good + [entry("h", HARD, link=up + away)])]),
    "hardlink-missing": ("refused not there", [tar(good + [entry("h", HARD, link="etc/shadow")])]),
    "hardlink-link": ("refused not there", [tar(good + [entry("s", LINK, link="/proc/self"), entry("h", HARD, link="s/environ")])]),
    "whiteout-bare": ("refused hides nothing", [base, tar([entry("keep/.wh.")])]),
    "whiteout-up": ("refused hides nothing", [base, tar([entry("keep/.wh...")])]),
    "whiteout-through-link": ("refused below", [base, tar([entry("way/.wh.a")])]),
    "wrong-digest": ("refused digest", None),
    "sparse-bomb": ("refused larger", [tar(good + [entry("big", pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "big", "GNU.sparse.realsize": str(1 << 43)},
        data=b"1\n0\n1\n".ljust(512, b"\0") + b"x")])]),
    "deep": ("contained", [tar(good + [entry(deep + "/f", data=b"deep")])]),
    "devices": ("contained", [tar(good + [entry("null", DEVICE), entry("fifo", tarfile.FIFOTYPE), entry("dev/sda", DEVICE),
                                          entry("dev/x", data=b"x"), entry("proc/sys/kernel/core_pattern", data=b"|/x")])]),
    "twice": ("contained", [tar(good + [entry("f", LINK, link=CANARY), entry("f", data=b"second"), entry("f/", FOLDER),
                                        entry("f", data=b"third")])]),
    "owners": ("contained", [tar(good + [entry("f", data=b"x", uid=4000000000, mode=0o6777)])]),
    "xattrs": ("contained", [tar(good + [entry("o/", FOLDER, pax={"SCHILY.xattr.trusted.overlay.opaque": "y",
                                                                "SCHILY.xattr.user.overlay.opaque": "y",
                                                                "SCHILY.xattr.user.kept": "1"}),
                                        entry("ping", data=b"x", pax={"SCHILY.xattr.security.capability": "CAPS"})])]),
    "whiteouts": ("contained", [base, tar([entry("keep/new", data=b"n"), entry("keep/.wh.a"), entry("keep/.wh.none"),
                                           entry(".wh..wh.plnk")])]),
    "opaque": ("contained", [base, tar([entry("keep/", FOLDER), entry("keep/new", data=b"n"), entry("keep/.wh..wh..opq")])]),
    "case": ("contained", [tar(good + [entry("README", data=b"1"), entry("readme", data=b"2"), entry(".git/config", data=b"3"),
                                       entry("e\u0301", data=b"4"), entry("\u00e9", data=b"5"), entry("git~1", data=b"6")])]),
}
archives = {name: (how, docker(made)) for name, (how, made) in layers.items() if made}
archives["wrong-digest"] = ("refused digest", docker([base], ids=["0" * 64]))
archives["config-name"] = ("refused other bytes", docker([base], config_name="0" * 64 + ".json"))
archives["missing-layer"] = ("refused lacks", docker([base], manifest=[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["no.tar"]}],
                                                     config_name="c.json"))
archives["layer-out"] = ("refused lacks", docker([base], manifest=[{"Config": "c.json", "RepoTags": ["x:1"],
                                                                    "Layers": ["../../etc/passwd"]}], config_name="c.json"))
archives["layer-link"] = ("refused lacks", docker([base], manifest=[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}],
                                                  config_name="c.json", extra=[entry("l.tar", LINK, link="/etc/passwd")]))
archives["layer-loop"] = ("refused lacks", docker([base], manifest=[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}],
                                                  config_name="c.json", extra=[entry("l.tar", LINK, link="l.tar")]))
archives["no-json"] = ("refused JSON", tar([entry("manifest.json", data=b"{[")]))
archives["two"] = ("refused images", docker([base], manifest=[{"Config": "a"}, {"Config": "b"}]))
archives["oci-digest"] = ("refused other bytes", oci(base, digest="1" * 64))
archives["oci-size"] = ("refused other bytes", oci(base, size=5))
archives["oci-config"] = ("refused other bytes", oci(base, config_digest="2" * 64))
archives["oci"] = ("contained", oci(base))
archives["no-tar"] = ("refused archive", b"this is no archive at all" * 100)
archives["empty"] = ("refused archive", b"")
archives["cut"] = ("refused", docker([base])[:5000])

for name, (how, data) in archives.items():
    with open(os.path.join(OUT, name + ".tar"), "wb") as f:
        f.write(data)
    print(name, how)
