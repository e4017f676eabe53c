#!/usr/bin/env python3
"""A headless chromium with one page of a site, over its DevTools pipe.

usage: chromium.py URL [--spki HASH] [SWITCH…]

The site's host is this host, whatever its name. HASH: the key (SHA-256, base64) of a certificate that is taken though
nobody vouches for it. Each line of standard input is a name: run(NAME) of the page is called, and the text it promises
is printed, then a line "end". Ends with its input.
"""
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

START_S, STEP_S = 60, 120


class Chromium:
    def __init__(self, profile, switches):
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()
        # --no-sandbox: it runs as root, and the only page is the test's own.
        words = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
                 "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
                 "--user-data-dir=" + profile] + switches

        def pipes():
            a, b = os.dup(to_browser), os.dup(from_browser)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.errors = open(os.path.join(profile, "errors"), "w+b")
        self.process = subprocess.Popen(words, close_fds=False, preexec_fn=pipes, stdin=subprocess.DEVNULL,
                                        stdout=self.errors, stderr=self.errors)
        os.close(to_browser)
        os.close(from_browser)
        self.raw, self.ids = b"", itertools.count(1)

    def message(self, end):
        while b"\0" not in self.raw:
            if not select.select([self.into], [], [], max(end - time.monotonic(), 0))[0]:
                raise TimeoutError("chromium does not answer")
            got = os.read(self.into, 1 << 16)
            if not got:
                self.errors.seek(0)
                raise EOFError("chromium ended: " + self.errors.read()[-2000:].decode(errors="replace"))
            self.raw += got
        text, self.raw = self.raw.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, seconds, session=None, **params):
        """A method of the DevTools protocol; its result."""
        number, end = next(self.ids), time.monotonic() + seconds
        ask = {"id": number, "method": method, "params": params}
        if session:
            ask["sessionId"] = session
        os.write(self.out, json.dumps(ask).encode() + b"\0")
        while (got := self.message(end)).get("id") != number:
            pass
        if "error" in got:
            raise RuntimeError("%s: %s" % (method, got["error"]["message"]))
        return got["result"]

    def open(self, url):
        """Opens the page, loaded; its session."""
        target = self.call("Target.createTarget", START_S, url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", START_S, targetId=target, flatten=True)["sessionId"]
        went = self.call("Page.navigate", START_S, session, url=url)
        if went.get("errorText"):
            raise RuntimeError("%s: %s" % (url, went["errorText"]))
        ready = "new Promise(done => document.readyState == 'complete' ? done('') : addEventListener('load', () => done('')))"
        self.value(session, ready, START_S)
        return session

    def value(self, session, expression, seconds):
        got = self.call("Runtime.evaluate", seconds, session, expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"]["exception"].get("description", "an exception"))
        return got["result"]["value"]

    def close(self):
        try:
            self.call("Browser.close", 10)
        except (OSError, EOFError, TimeoutError):
            self.process.kill()
        self.process.wait(20)


def main():
    url, switches = sys.argv[1], sys.argv[2:]
    if switches[:1] == ["--spki"]:
        switches[:2] = ["--ignore-certificate-errors-spki-list=" + switches[1]]
    switches.append("--host-resolver-rules=MAP %s 127.0.0.1" % urlsplit(url).hostname)
    with tempfile.TemporaryDirectory(prefix="berth-chromium.", ignore_cleanup_errors=True) as profile:
        chromium = Chromium(profile, switches)
        try:
            session = chromium.open(url)
            print("end", flush=True)
            for name in sys.stdin:
                print(chromium.value(session, "run(%s)" % json.dumps(name.strip()), STEP_S) + "\nend", flush=True)
        finally:
            chromium.close()


main()
