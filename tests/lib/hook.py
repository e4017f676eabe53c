"""A receiver of webhooks: checks each signature, writes a line of JSON a request to FILE, answers 200, or as often as
FAIL says 503 first.   hook.py PORT FILE SECRET [FAIL]"""
import hashlib
import hmac
import http.server
import json
import sys

port, path, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
fail = int(sys.argv[4]) if len(sys.argv) > 4 else 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global fail
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        row = {
            "signed": hmac.compare_digest(signed, self.headers.get("X-Hub-Signature-256", "")),
            "event": self.headers.get("X-Berth-Event"),
            "delivery": self.headers.get("X-Berth-Delivery"),
            "stamp": self.headers.get("X-Berth-Timestamp"),
            "answer": 503 if fail > 0 else 200,
            "body": json.loads(body),
        }
        with open(path, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
        fail -= 1
        self.send_response(row["answer"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
