#!/usr/bin/python3
"""Walks every row of the command table, and every operation of the API's description, against a berth that runs.

usage: commands.py help|usage|api APP | examples | schema COMMAND <JSON    APP is live, has the volume APP-data, two releases and a failed deploy
Prints what falls short, a line each; the exit status is 1 when something does.
"""
import collections
import concurrent.futures
import functools
import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time

import jsonschema

sys.dont_write_bytecode = True
import manual

SOURCE = os.environ["BERTH_SOURCE"]
SHARE = os.environ["BERTH_PREFIX"] + "/share/berth/"
APP = sys.argv[2] if len(sys.argv) > 2 else ""
wrong = []


def complain(text):
    wrong.append(text)
    print(text)


def berth(*words, stdin=None):
    return subprocess.run(["berth", *words], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, cwd="/")


def table():
    return json.loads(berth("help", "--format", "json").stdout)


# ---- help, completion, schema ----

def each(check, rows):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(check, rows))


def check_help(c):
    name = c["name"]
    shown = berth(name, "--help")
    if shown.returncode or not c["help"] or c["help"] not in shown.stdout:
        complain(f"{name}: --help exits with {shown.returncode} or lacks its description")
    if f"\nExample:\n    berth {c['example']}" not in shown.stdout or shlex.split(c["example"])[0] != name:
        complain(f"{name}: its help has no example of it")
    options = berth("complete", name, "-").stdout.split()
    for o in c["options"] + [{"name": "help"}, {"name": "format"}]:
        if "--" + o["name"] not in options or "--" + o["name"] not in shown.stdout:
            complain(f"{name}: --{o['name']} is not completed, or not in its help")


def walk_help():
    commands = table()
    offered = berth("complete", "").stdout.split()
    with open(SHARE + "commands.json") as f:
        schemas = json.load(f)["$defs"]
    jsonschema.Draft202012Validator.check_schema({"$defs": schemas})
    each(check_help, commands)
    for name in {c["name"] for c in commands if not c["hidden"]}:
        if name not in offered:
            complain(f"{name}: not completed")
        if name not in schemas:
            complain(f"{name}: cli/answers.json does not say what it prints with --format json")
    for name in set(schemas) - {c["name"] for c in commands}:
        complain(f"{name}: in cli/answers.json, and no command")


# ---- exit statuses ----

def expect(status, words, text, stdin=""):
    r = berth(*words, stdin=stdin)
    if r.returncode != status or text not in r.stderr:
        complain(f"{' '.join(words)}: exits with {r.returncode}, not {status} and \"{text}\": {r.stderr.strip()[:200]}")


def word_of_example(command):
    """The words after the app."""
    if command["name"] in OTHER_WORDS:
        return OTHER_WORDS[command["name"]]
    words = shlex.split(command["example"].split(" < ")[0].split(" > ")[0])[1:]
    return words[1:] if "--global" not in words else [w for w in words if w != "--global"]


# Of files, and without going on for ever.
AT = os.environ.get("WORK", "/tmp")
OTHER_WORDS = {"config:import": ["-"], "git:from-archive": ["-"], "events": [], "certs:add": [AT + "/walk.crt", AT + "/walk.key"],
               "logs": ["-n", "1"]}


def check_usage(row):
    n, c = row
    # The trail keeps what was refused: each asks for another one.
    name, app = c["name"], [] if c["app"] == "none" else [f"no-such-{n}"]
    expect(2, [name, "-Z"], "knows no option -Z")
    if c["app"] == "needed":
        expect(2, [name], "which app?")
    if c["min"]:
        expect(2, [name, *app], " !     ")
    if c["max"] >= 0:
        expect(2, [name, *app, *["x"] * (c["max"] + 1)], "too many arguments")
    if app:
        expect(20, [name, *app, *word_of_example(c)], "no app named " + app[0], SOME_INPUT.get(name, ""))
    if len(name) > 4:
        expect(2, [name[:-1] + "~"], "did you mean: berth ")


def walk_usage():
    each(check_usage, enumerate(table()))


SOME_INPUT = {"config:import": "A=1\n"}

# ---- the examples, and what data commands print ----


def close(schema):
    """What stands in a schema is all there is: an answer that tells more is not described."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for v in schema.values():
            close(v)
    elif isinstance(schema, list):
        for v in schema:
            close(v)
    return schema


def load(name):
    with open(SHARE + name) as f:
        return close(json.load(f))


@functools.cache
def documents():
    return {n: load(n) for n in ("commands.json", "openapi.json")}


@functools.cache
def resolver():
    return jsonschema.RefResolver("http://berth/commands.json", documents()["commands.json"],
                                  store={"http://berth/" + n: d for n, d in documents().items()})


def validator(schema):
    return jsonschema.Draft202012Validator(schema, resolver=resolver(),
                                           format_checker=jsonschema.draft202012_format_checker)


def documents_of(output):
    """One document, or one a line; None: neither."""
    for parts in ([output], output.splitlines()):
        try:
            return [json.loads(part) for part in parts]
        except ValueError:
            pass
    return None


def compare(text, answer, schema):
    for e in list(validator(schema).iter_errors(answer))[:3]:
        complain(f"{text}: at {'/'.join(map(str, e.absolute_path))}: {e.message[:300]}")


def compare_stdin():
    compare(APP, json.load(sys.stdin), {"$ref": "http://berth/commands.json#/$defs/" + APP})


class Walk:
    """tests/e2e/examples.walk, line by line in one shell: its head says what the words mean."""

    def __init__(self):
        self.rows = {c["name"]: c for c in table()}
        self.examples = {name: text for name, (_, text) in manual.examples(SOURCE + "/docs/COMMANDS.md").items()}
        self.schemas = documents()["commands.json"]["$defs"]
        self.shell = manual.Shell()
        self.count, self.asked = collections.Counter(), set()

    def run(self, command, errors=""):
        began = time.monotonic()
        status, printed = self.shell.run(f"{{ {manual.here(command)}\n}} {errors}")
        if os.environ.get("WALK_TIMES"):
            print(f"{time.monotonic() - began:6.2f} {command}")
        if status:
            complain(f"{command}: exits with {status}: {' | '.join(printed)[-600:]}")
        return "\n".join(printed)

    def ask(self, name, words=""):
        """The answer as JSON is what its schema says: one document, or one a line; where that is false, there is none."""
        text, schema = f"berth {name} --format json {words}", self.schemas.get(name)
        output = self.run(text, "2>/dev/null")
        self.count["answers"] += 1
        self.asked.add(name)
        answers = documents_of(output) if schema is not False else []
        if answers is None or (schema is False and output.strip()):
            complain(f"{text} prints, against its schema: {output[:200]}")
        for answer in answers or []:
            compare(text, answer, schema)

    def again(self, name, text):
        """The words of an example that is asked once more: a report without the one line, a file without being written."""
        row = self.rows[name]
        if self.schemas.get(name, False) is False or row["own_format"] or re.search(" > | -t ", text):
            return
        own = [o["name"] for o in row["options"]] + ["format"]
        words = re.sub(r" --([\w-]+)$", lambda m: m.group() if m.group(1) in own else "", text)
        words = words.split(" ", 2)[2:]
        self.ask(name, *words)
        if words and row["app"] == "possible":
            self.ask(name)

    def example(self, name, ids, once):
        shown = self.examples[name]
        if shlex.split(shown)[1] != name:
            complain(f"{name}: its example is of another command: {shown}")
        for pair in ids:
            shown = re.sub(rf"(?<![\w.-]){pair.split('=')[0]}(?![\w.-])", lambda m, v=pair.split("=", 1)[1]: v, shown)
        self.run(shown)
        self.count["examples"] += 1
        if not once:
            self.again(name, shown)

    def go(self, path):
        elsewhere = set()
        for verb, rest in manual.walk(path):
            words = rest.split()
            if verb in ("example", "once"):
                self.example(words[0], words[1:], verb == "once")
            elif verb == "json":
                self.ask(words[0], rest.partition(" ")[2])
            elif verb == "elsewhere":
                elsewhere |= set(words[1:])
            elif verb == "shown":
                self.run(manual.plain(rest))
                self.count["others"] += 1
            elif verb == "sh":
                self.run(rest)
        for name, row in self.rows.items():
            if not row["hidden"] and self.schemas.get(name, False) is not False and name not in self.asked | elsewhere:
                complain(f"{name} prints data and is not asked: give it a line in {path}")
        self.shell.end()


def walk_examples():
    began, walk = time.monotonic(), Walk()
    version = {"$ref": "http://berth/openapi.json#/components/schemas/Version"}
    if not list(validator(version).iter_errors({"version": "1", "more": 1})):
        complain("what is not described is not found")
    walk.go(SOURCE + "/tests/e2e/examples.walk")
    print(f"{walk.count['examples']} of {len(walk.examples)} examples and {walk.count['others']} more commands of the pages run, "
          f"{walk.count['answers']} answers as JSON, in {time.monotonic() - began:.1f} s")


# ---- the API ----

class Api(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["BERTH_RUN"] + "/api.sock")

    def ask(self, method, path, body=None):
        self.request(method, path, None if body is None else json.dumps(body))
        r = self.getresponse()
        return r.status, r.headers.get_content_type(), r.read()


WRONG = {"string": 7, "boolean": "yes", "integer": "7", "object": [1], "array": {"a": 1}}


def types_of(schema):
    t = schema["type"]
    return t[0] if isinstance(t, list) else t


def check_refusals(api, method, path, where, operation):
    """Nothing is done by these: they are refused before the handler."""
    def refused(body, text, query=""):
        status, _, answer = api.ask(method, path + query, body)
        e = json.loads(answer).get("error", {})
        if status != 400 or e.get("exit") != 2 or text not in e.get("message", ""):
            complain(f"{where} with {body or query}: {status} {answer[:200]}")

    refused(None, "unknown query word", "?no-such-word=1")
    if "requestBody" not in operation:
        return refused({"no-such-field": 1}, "unknown field")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if schema["additionalProperties"] is False:
        refused({"no-such-field": 1}, "unknown field")
    for name, sub in schema["properties"].items():
        refused({name: WRONG[types_of(sub)]}, name + " must be ")
    for name in schema["required"]:
        refused({n: GOOD[types_of(s)] for n, s in schema["properties"].items() if n != name}, name + " is missing")
    return None


GOOD = {"string": "x", "boolean": True, "integer": 1, "object": {}, "array": []}
QUERIES = {"/v1/apps/{app}/diff": "?from=v1&to=v2", "/v1/images/history": "?image=", "/v1/images/diff": "?from=&to="}


def fill(api, path):
    words = {"app": APP, "volume": APP + "-data", "topic": "ps", "member": "nobody", "id": "1", "name": "1"}
    if "/certs/" in path:
        words["name"] = "default"
    if path.endswith("/builds/{name}"):
        words["name"] = json.loads(api.ask("GET", f"/v1/apps/{APP}/builds")[2])[0]["id"]
    return path.format(**words), QUERIES.get(path, "").replace("=", "=" + APP if "image" in path else "=")


def check_form(document):
    """What OpenAPI 3.1 asks of it, beside the schemas."""
    ids, names = set(), re.compile(r"{(\w+)}")

    def check_references(v):
        for sub in v.values() if isinstance(v, dict) else v if isinstance(v, list) else []:
            check_references(sub)
        if isinstance(v, dict) and "$ref" in v and v["$ref"].split("/")[-1] not in document["components"]["schemas"]:
            complain(f"openapi.json: {v['$ref']} is not there")

    check_references(document)
    for path, item in document["paths"].items():
        for method, o in item.items():
            parameters = [(p["in"], p["name"]) for p in o["parameters"]]
            needed = {p["name"] for p in o["parameters"] if p["required"]}
            in_path = [n for kind, n in parameters if kind == "path"]
            if names.findall(path) != in_path or needed != set(in_path):
                complain(f"openapi.json: {path}: its parameters are {parameters}")
            if len(set(parameters)) != len(parameters) or o["operationId"] in ids or not o["summary"] or not o["x-role"]:
                complain(f"openapi.json: {method} {path}: a name twice, or no summary")
            ids.add(o["operationId"])
            for code, response in o["responses"].items():
                if not re.fullmatch("[1-5][0-9][0-9]|default", code) or not response["description"]:
                    complain(f"openapi.json: {method} {path}: response {code}")


def walk_api():
    api = Api("berth")
    served = json.loads(api.ask("GET", "/v1/openapi.json")[2])
    installed = documents()["openapi.json"]
    if close(json.loads(json.dumps(served))) != installed:
        complain("the installed openapi.json is not the one that is served")
    check_form(served)
    for schema in served["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    asked = 0
    for path, item in installed["paths"].items():
        for method, operation in item.items():
            real, query = fill(api, path)
            check_refusals(api, method.upper(), real, f"{method.upper()} {path}", operation)
            asked += 1
            if method != "get":
                continue
            status, kind, answer = api.ask("GET", real + query)
            response = operation["responses"].get(str(status), operation["responses"]["default"])
            if kind not in response["content"] or status >= 400:
                complain(f"GET {real}: {status} {kind}, {answer[:200]}")
            elif kind == "application/json":
                compare(f"GET {real}", json.loads(answer),
                        {"$ref": "http://berth/openapi.json" + response["content"][kind]["schema"]["$ref"]})
    status, _, answer = api.ask("GET", "/v1/no-such-route")
    if status != 404 or b"there is nothing at" not in answer:
        complain("a route that is not there is answered like one that is")
    print(f"{asked} operations")


{"schema": compare_stdin, "help": walk_help, "usage": walk_usage, "examples": walk_examples, "api": walk_api}[sys.argv[1]]()
sys.exit(1 if wrong else 0)
