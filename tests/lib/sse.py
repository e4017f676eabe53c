#!/usr/bin/python3
"""A client of server-sent events, with the standard library alone.

usage: sse.py stream|trail|log APP [HOST]     Says what is wrong and exits with 1, or says what it saw.
With HOST through the router, with the token in the environment's TOKEN; else over the unix socket.
"""
import http.client
import json
import os
import socket
import subprocess
import sys

APP = sys.argv[2]


HOST = sys.argv[3] if len(sys.argv) > 3 else ""


class Api(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_INET if HOST else socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", int(os.environ["BERTH_PORT"])) if HOST else os.environ["BERTH_RUN"] + "/api.sock")


def events(method, path, last_id=None, body=None):
    """Opens it now; yields (id, name, data) as they come, comments as ("", ":", text)."""
    api = Api(HOST or "berth")
    headers = {"Accept": "text/event-stream"}
    if HOST:
        headers["Authorization"] = "Bearer " + os.environ["TOKEN"]
    if last_id:
        headers["Last-Event-ID"] = last_id
    api.request(method, path, body, headers)
    response = api.getresponse()
    if response.status != 200 or response.headers["Content-Type"] != "text/event-stream":
        sys.exit(f"{path}: {response.status} {response.headers['Content-Type']} {response.read()[:300]}")

    def walk():
        event = {"id": "", "event": "", "data": ""}
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if not name and not value:
                if event["event"]:
                    yield event["id"], event["event"], event["data"]
                event = {"id": "", "event": "", "data": ""}
            elif line.startswith(b":"):
                yield "", ":", line.decode()
            else:
                event[name] = value
        api.close()
    return walk()


def need(truth, text):
    if not truth:
        sys.exit(text)


def berth(*words):
    subprocess.run(["berth", *words], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def follow_stream():
    all_ = list(events("POST", f"/v1/apps/{APP}/restart"))
    need(all_[0][1] == ":" and all_[-1] == ("", "end", "0"), f"{all_}")
    need(any(e[1] == "output" and e[2].startswith("-----> ") for e in all_), f"no step: {all_}")
    api = Api(HOST or "berth")  # what is refused before it begins is an error like others
    headers = {"Accept": "text/event-stream", "Authorization": "Bearer " + os.environ["TOKEN"]} if HOST else {}
    api.request("POST", f"/v1/apps/{APP}/scale", '{"formation": {"nothing": 1}}', headers)
    refused = api.getresponse()
    need(refused.status == 400 and json.load(refused)["error"]["code"] == "usage", f"{refused.status}")


def follow_trail():
    path = f"/v1/events?app={APP}&limit=1"
    first = events("GET", path)
    next(first), next(first)
    berth("apps:lock", APP)
    seen = next(first)
    need(seen[1] == "event" and json.loads(seen[2])["what"] == "apps:lock", f"{seen}")
    need(seen[0] == str(json.loads(seen[2])["id"]), f"{seen}")
    first.close()
    # Nobody listens; then the client comes back and misses nothing.
    berth("apps:unlock", APP)
    berth("apps:lock", APP)
    berth("apps:unlock", APP)
    again = events("GET", path, seen[0])
    next(again)
    need([json.loads(next(again)[2])["what"] for _ in range(3)] == ["apps:unlock", "apps:lock", "apps:unlock"], "lost")


def follow_log():
    lines = 400
    first = events("GET", f"/v1/apps/{APP}/logs?n=0&follow=1")
    next(first)
    seen, last = [], None
    berth("run:detached", APP, "--", "sh", "-c", f"for i in $(seq {lines}); do echo number $i; done")

    def take(stream, most):
        nonlocal last
        for ident, name, data in stream:
            if name != "log":
                continue
            last = ident
            text = json.loads(data)["text"]
            if text.startswith("number "):
                seen.append(int(text.split()[1]))
            if len(seen) >= most:
                return
    take(first, 37)
    first.close()
    moments = 0
    for stop in (101, 102, 103, 250, lines):
        more = events("GET", f"/v1/apps/{APP}/logs?follow=1", last)
        moments += "/" in last
        take(more, stop)
        more.close()
    need(seen == list(range(1, lines + 1)), f"lost or twice: {seen}")
    # What is there, without going on: it ends by itself.
    rest = list(events("GET", f"/v1/apps/{APP}/logs", last))
    need(rest[-1] == ("", "end", "0") and not any("number" in e[2] for e in rest), f"{rest}")
    print(f"{lines} lines in 6 connections, {moments} of which went on within a microsecond")


{"stream": follow_stream, "trail": follow_trail, "log": follow_log}[sys.argv[1]]()
