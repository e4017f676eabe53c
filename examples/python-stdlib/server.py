"""A page and a health check from Python's standard library; SIGTERM ends it after the requests under way."""
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = {"/": "Hello from python-stdlib\n", "/health": "ok\n"}
        body = known.get(self.path.split("?")[0], "not found\n").encode()
        self.send_response(200 if self.path.split("?")[0] in known else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print("request", self.path)


server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "5000"))), Handler)
# shutdown() waits for the loop that this handler interrupts: so from another thread.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("python-stdlib listens on", server.server_port)
server.serve_forever()
print("python-stdlib stops")
