#!/usr/bin/python3
"""What stands beside a registry in tests.

registry.py image DIR PROGRAM PAGE     an OCI layout in DIR, made without berth's code: two layers, a web server with one page
registry.py tokens PORT DIR            token server over https: ann with password harbour-9 may do all, anybody may pull open/...
registry.py liar PORT DIR LAYOUT PEER  a registry over https with the image of LAYOUT under many names, each with one trick (liar,
                                       below); what it and its peer are asked is written to DIR/asked, one JSON a line
registry.py peer PORT DIR LAYOUT       the other host that it leads to
registry.py proxy PORT DIR             a proxy that connects to this host, whatever name it is given
DIR has server.pem, server.key (TLS) and token.pem, token.key (of tokens).
"""
import base64
import gzip
import hashlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- an image ----


def layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, data in files:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def image(folder, program, page):
    plain = [layer([("serve", 0o755, open(program, "rb").read())]), layer([("www/index.html", 0o644, page.encode() + b"\n")])]
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux",
        "config": {"Entrypoint": ["/serve"], "Cmd": ["--root", "/www"], "ExposedPorts": {"8000/tcp": {}},
                   "Env": ["PORT=8000"], "User": "33:33", "WorkingDir": "/www"},
        "rootfs": {"type": "layers", "diff_ids": [sha(p) for p in plain]}, "history": [{}, {}]}
    os.makedirs(folder + "/blobs/sha256")

    def blob(data, kind):
        with open(f"{folder}/blobs/sha256/{sha(data)[7:]}", "wb") as f:
            f.write(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": sha(data), "size": len(data)}

    layers = [blob(gzip.compress(p, mtime=0), "layer.v1.tar+gzip") for p in plain]
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": layers}
    top = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    top["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    for name, value in (("index.json", {"schemaVersion": 2, "manifests": [top]}), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(f"{folder}/{name}", "w") as f:
            json.dump(value, f)


# ---- servers ----


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def login(self):
        """(user, password), or None."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        return tuple(base64.b64decode(value).decode().split(":", 1)) if kind == "Basic" else None

    def note(self):
        row = {"host": self.server.title, "method": self.command, "path": self.path,
               "authorization": self.headers.get("Authorization"), "range": self.headers.get("Range")}
        with self.server.lock, open(self.server.folder + "/asked", "a") as f:
            f.write(json.dumps(row) + "\n")


def serve(handler, title, port, folder, plain=False, **more):
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    server.daemon_threads = True
    if not plain:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder + "/server.pem", folder + "/server.key")
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.title, server.folder, server.lock = title, folder, threading.Lock()
    for key, value in more.items():
        setattr(server, key, value)
    server.serve_forever()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(folder, user, service, access):
    der = ssl.PEM_cert_to_DER_cert(open(folder + "/token.pem").read())
    now = int(time.time())
    parts = [{"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]},
             {"iss": "tests", "sub": user, "aud": service, "iat": now, "nbf": now - 10, "exp": now + 300, "jti": str(time.time_ns()),
              "access": access}]
    text = ".".join(base64url(json.dumps(p).encode()) for p in parts)
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", folder + "/token.key"], input=text.encode(), stdout=subprocess.PIPE,
                            check=True).stdout
    return text + "." + base64url(signed)


class Tokens(Handler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        login = self.login()
        if login not in (None, ("ann", "harbour-9")):
            return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}')
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":", 2)
            granted = actions.split(",") if login else ["pull"] if name.startswith("open/") else []
            access.append({"type": kind, "name": name, "actions": granted})
        text = token(self.server.folder, login[0] if login else "", query.get("service", [""])[0], access)
        return self.answer(200, json.dumps({"token": text}).encode(), Content_Type="application/json")


def blob_of(layout, digest):
    return open(f"{layout}/blobs/sha256/{digest.split(':')[1]}", "rb").read()


class Proxy(Handler):
    def do_CONNECT(self):
        self.note()
        there = socket.create_connection(("127.0.0.1", int(self.path.rsplit(":", 1)[1])))
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=self.pump, args=(there, self.connection))
        back.start()
        self.pump(self.connection, there)
        back.join()
        self.close_connection = True

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Peer(Handler):
    def do_GET(self):
        self.note()
        self.answer(200, blob_of(self.server.layout, self.path.rsplit("/", 1)[1]))

    def do_PUT(self):
        self.note()
        self.take()

    def take(self):
        """A blob whose digest is in the query, or a manifest."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        digest = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("digest", [sha(data)])[0]
        self.answer(201 if sha(data) == digest else 400)


class Liar(Peer):
    """/v2/NAME/…: NAME is the trick."""

    def do_GET(self):
        self.note()
        path = urllib.parse.urlparse(self.path).path
        if path == "/token":
            return self.answer(200, b'{"token":"a-token-of-the-liar"}')
        if self.headers.get("Authorization") != "Bearer a-token-of-the-liar":
            realm = "http://elsewhere.tests/token" if "/realm/" in path else f"https://{self.headers['Host']}/token"
            return self.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="liar"')
        if path == "/v2/":
            return self.answer(200, b"{}")
        _, _, name, kind, reference = path.split("/", 4)
        return (self.manifest if kind == "manifests" else self.blob)(name, reference)

    def do_HEAD(self):
        self.note()
        self.answer(404)

    def do_POST(self):
        self.note()
        if self.headers.get("Authorization") != "Bearer a-token-of-the-liar":
            return self.answer(401, WWW_Authenticate=f'Bearer realm="https://{self.headers["Host"]}/token",service="liar"')
        away = self.server.peer if "/away/" in self.path else ""
        return self.answer(202, Location=f"{away}/v2/{self.path.split('/')[2]}/blobs/uploads/1?state=x")

    def do_PUT(self):
        """drop: each blob breaks on its way, then finds the server busy; wrong: it has something else in the end."""
        self.note()
        tries = self.server.tries[self.path] = self.server.tries.get(self.path, 0) + 1
        if "/drop/blobs/" in self.path and tries < 3:
            self.rfile.read(10)
            self.close_connection = True
            return self.answer(503) if tries == 2 else None
        if "/wrong/manifests/" in self.path:
            self.rfile.read(int(self.headers["Content-Length"]))
            return self.answer(201, Docker_Content_Digest="sha256:" + 64 * "1")
        return self.take()

    def manifest(self, name, reference):
        top = json.load(open(self.server.layout + "/index.json"))["manifests"][0]
        data = blob_of(self.server.layout, top["digest"])
        if name == "other":
            data += b"\n"
        if name == "schema1":
            data = b'{"schemaVersion":1,"name":"schema1"}'
        self.answer(200, data, Content_Type=top["mediaType"], **({"Docker_Content_Digest": top["digest"]} if name == "other" else {}))

    def blob(self, name, digest):
        data = blob_of(self.server.layout, digest)
        if len(data) < 5000:  # the configuration, the page
            return self.answer(200, data)
        if name == "away":
            return self.answer(307, Location=f"{self.server.peer}/blobs/{digest}")
        if name == "http":
            return self.answer(307, Location=f"http://127.0.0.1:1/blobs/{digest}")
        if name == "around":
            return self.answer(307, Location=self.path)
        if name == "bytes":
            return self.answer(200, b"x" + data[1:])
        if name == "more":
            return self.answer(200, data + b"x")
        return self.parts(name, data)

    def parts(self, name, data):
        """broken: half of what is left each time, with ranges; whole: the same without, once; short: never an end; slow: no end."""
        start = 0
        wanted = self.headers.get("Range")
        if wanted and name in ("broken", "short"):
            start = int(wanted[6:-1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.close_connection = True
        if name == "slow":
            for i in range(600):
                self.wfile.write(data[i * 1000:i * 1000 + 1000])
                time.sleep(0.1)
        end = (start + len(data) + 1) // 2 if name == "broken" else len(data) // 2
        if name == "whole" and wanted or len(data) - start < 100000 and name == "broken":
            end = len(data)
        self.wfile.write(data[start:end])


def main(what, *args):
    if what == "image":
        image(*args)
    elif what == "tokens":
        serve(Tokens, "tokens", *args)
    elif what == "liar":
        serve(Liar, "liar", args[0], args[1], layout=args[2], peer=args[3], tries={})
    elif what == "peer":
        serve(Peer, "peer", args[0], args[1], layout=args[2])
    elif what == "proxy":
        serve(Proxy, "proxy", *args, plain=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
