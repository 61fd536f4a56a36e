"""What takes notices in tests: a real HTTP server, and an executable that writes down what it was given."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WRITER = """import json, os, sys
given = {{"argv": sys.argv[1:], "stdin": sys.stdin.buffer.read().decode(),
         "env": {{k: v for k, v in os.environ.items() if k.startswith("PASSINGLOOP_NOTICE_")}}}}
with open({output!r}, "a") as file:
    file.write(json.dumps(given) + "\\n")
sys.exit({code})
"""


def writing_program(path: Path, output: Path, code: int = 0) -> Path:
    """An executable at `path` that appends what it is given to `output`, and ends with `code`."""
    script = path.with_name(f"{path.name}.py")
    script.write_text(WRITER.format(output=str(output), code=code))
    words = shlex.join([sys.executable, str(script)])  # a line with #! takes no path with a space in it
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


@dataclass
class Hook:
    """A server for a webhook, and what it was sent."""

    answers: list[int]
    """Status codes; the last one is given from then on."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""


@contextmanager
def hook_server(answers: Sequence[int], silent: bool = False) -> Iterator[Hook]:
    """A server on this machine. `silent`: it accepts connections and never answers."""
    hook, stop = Hook(list(answers)), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.requests.append({"path": self.path, "body": json.loads(body)})
            if silent:
                stop.wait()
                return
            code = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{hook.address}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hook
    stop.set()
    server.shutdown()
    server.server_close()
    thread.join()
