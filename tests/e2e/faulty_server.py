"""An embedding service that answers well `--good` times and then fails in one chosen way.

Standard library only. Prints its port; `die` ends the process at once, mid-answer.
"""

import argparse
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VECTOR = [0.5, 0.5, 0.5, 0.5]
FAULTS = (
    "none", "500", "429", "401", "html", "count", "dimension", "nan", "truncated", "die", "freeze",
    "not-json",
)  # fmt: skip


def answer(vectors):
    rows = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return json.dumps({"object": "list", "data": rows, "usage": {"prompt_tokens": 1}})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    seen = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.reply(404, "{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        with Handler.lock:
            Handler.seen += 1
            good = Handler.seen <= self.server.good
        if good or self.server.fault == "none":
            self.reply(200, answer([VECTOR]))
        else:
            self.fail(self.server.fault)

    def fail(self, fault):
        if fault.isdigit():
            self.reply(int(fault), '{"error": {"message": "on purpose", "type": "x"}}')
        elif fault == "html":
            self.reply(200, "<html><body>Welcome</body></html>", "text/html")
        elif fault == "not-json":
            self.reply(200, '{"data": [{"embedding": [0.5,')
        elif fault == "count":
            self.reply(200, answer([VECTOR, VECTOR]))
        elif fault == "dimension":
            self.reply(200, answer([VECTOR[:3]]))
        elif fault == "nan":
            self.reply(200, answer([[float("nan")] * 4]))
        elif fault == "truncated":
            self.reply(200, answer([VECTOR]), cut=20)
            self.close_connection = True
        elif fault == "die":
            os._exit(1)
        elif fault == "freeze":
            time.sleep(2)
            self.reply(200, answer([VECTOR]))

    def reply(self, status, text, kind="application/json", cut=0):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", choices=FAULTS, default="none")
    parser.add_argument("--good", type=int, default=0)
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fault, server.good = options.fault, options.good
    server.daemon_threads = True
    print(server.server_port, flush=True)  # noqa: T201 - the test reads it
    server.serve_forever()
