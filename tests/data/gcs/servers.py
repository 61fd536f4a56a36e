"""A real emulator of Google Cloud Storage, and a bad line to it."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gcp_storage_emulator.server import create_server


@dataclass
class Emulator:
    """`gcp-storage-emulator`, in memory. `requests` are the lines of its log."""

    url: str
    server: Any
    requests: list[str] = field(default_factory=list)

    def put(self, url: str, content: bytes | str, **metadata: str) -> None:
        """Make or replace an object, and its bucket if there is none."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        if self.server._storage.get_bucket(bucket) is None:
            self._post("/storage/v1/b", json.dumps({"name": bucket}).encode(), "application/json")
        data = content.encode() if isinstance(content, str) else content
        described = b"--x\nContent-Type: application/json\n\n" + json.dumps({"name": name}).encode()
        both = described + b"\n--x\nContent-Type: text/plain\n\n" + data + b"\n--x--"
        self._post(f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart", both, "multipart/related; boundary=x")
        self.server._storage.get_file_obj(bucket, name).update(metadata)

    def get(self, url: str) -> bytes:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        content: bytes = self.server._storage.get_file(bucket, name)
        return content

    def names(self, bucket: str) -> list[str]:
        return sorted(self.server._storage.objects.get(bucket, {}))

    def downloads(self) -> list[str]:
        """The objects whose content was asked for, since this was asked before."""
        asked = [line.split()[1] for line in self.requests if "/download/" in line]
        self.requests.clear()
        return [urllib.parse.unquote(path.split("/o/")[1].split("?")[0]) for path in asked]

    def _post(self, path: str, data: bytes, kind: str) -> None:
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind}, method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def emulator() -> Iterator[Emulator]:
    """Runs in a thread of this process."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    running = Emulator(f"http://127.0.0.1:{server._api._httpd.server_address[1]}", server)
    seen = _Seen(running.requests)
    log = logging.getLogger("gcp_storage_emulator")
    log.addHandler(seen)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield running
    log.removeHandler(seen)
    server.stop()


class _Seen(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.endswith("server") and record.levelno == logging.INFO:
            self._lines.append(record.getMessage().strip('"'))


Fault = Callable[["_Line", bytes, dict[str, str]], None]


@dataclass
class BadLine:
    """A stand-in for a network and a Google that fail, which the emulator cannot be made to: it passes every request
    on to the emulator, but for those that `when` fits, which end as `fault` has it. It hands out access tokens, too.
    """

    emulator: Emulator
    url: str = ""
    when: str = ""
    """A part of the request's line, such as `GET /download`; nothing fits without one."""
    fault: Fault | None = None
    times: int = 1000
    """How often it happens before all goes well."""
    tokens: list[str] = field(default_factory=list)
    """The `Authorization` of each request."""
    released: threading.Event = field(default_factory=threading.Event)
    """Ends what hangs."""

    def fails(self, when: str, fault: Fault, times: int = 1000) -> None:
        self.when, self.fault, self.times = when, fault, times


def answers(status: int, message: str = "") -> Fault:
    """An error as Google words it, or without `message` a bare one."""

    def fault(line: _Line, content: bytes, headers: dict[str, str]) -> None:
        body = json.dumps({"error": {"code": status, "message": message}}).encode() if message else b""
        line.answer(status, body, {"Content-Type": "application/json"})

    return fault


def says(body: bytes) -> Fault:
    """Success, with this content."""
    return lambda line, content, headers: line.answer(200, body, {"Content-Type": "text/html"})


def truncated(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    """The first half, and then the connection is closed."""
    line.answer(200, content[: len(content) // 2], headers, length=len(content))


def shortened(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    """The first half, as if it were all."""
    line.answer(200, content[: len(content) // 2], headers)


def damaged(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    """One other byte."""
    line.answer(200, b"\0" + content[1:], headers)


def hangs(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    line.server.bad.released.wait(60)


def stalls(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    """The first half, and then nothing."""
    line.answer(200, content[: len(content) // 2], headers, length=len(content))
    line.server.bad.released.wait(60)


def drops(line: _Line, content: bytes, headers: dict[str, str]) -> None:
    """No answer at all."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    bad: BadLine


class _Line(BaseHTTPRequestHandler):
    server: _Server

    def pass_on(self) -> None:
        bad = self.server.bad
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.path = (
            urllib.parse.urlsplit(self.path)._replace(scheme="", netloc="").geturl()
        )  # whole where we are a proxy
        if self.path == "/token":
            self.answer(200, json.dumps({"access_token": "planted-token", "expires_in": 3600}).encode(), {})
            return
        bad.tokens.append(self.headers.get("Authorization", ""))
        status, content, headers = self._ask(body)
        if bad.fault is not None and bad.when in self.requestline and bad.times > 0:
            bad.times -= 1
            bad.fault(self, content, headers)
        else:
            self.answer(status, content, headers)

    do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815

    def _ask(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        asked = http.client.HTTPConnection(self.server.bad.emulator.url.removeprefix("http://"))
        asked.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Accept-Encoding"})
        answer = asked.getresponse()
        content = answer.read()
        asked.close()
        return answer.status, content, dict(answer.getheaders())

    def answer(self, status: int, content: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key not in ("Server", "Date", "Content-Length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def bad_line(emulator: Emulator) -> Iterator[BadLine]:
    server = _Server(("127.0.0.1", 0), _Line)
    server.bad = BadLine(emulator, f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.bad
    server.bad.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
