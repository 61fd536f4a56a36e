"""A stand-in for the Hugging Face hub, which no one can install: the few answers that `datasets` asks for.

Endpoints and headers as in the client that is installed (huggingface_hub 2.4: hf_api.py, file_download.py,
hf_file_system.py). What it cannot show: Xet, LFS redirects to other hosts, rate limits, the dataset viewer.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_planted_secret_of_the_tests"  # lets one see private datasets

Files = dict[str, bytes]


@dataclass
class Repository:
    """One dataset with its commits; `main` is a branch like any other."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    access: str = "open"
    """`open`, `private` (who may not see it is told that there is nothing) or `gated` (asked to log in)."""

    def push(self, files: Files, branch: str = "main") -> str:
        """A new commit on `branch`, with these files only; returns its hash."""
        content = [(path, hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())]
        sha = hashlib.sha1(json.dumps([len(self.commits), content]).encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


class HubStandIn:
    """Serves `repositories`; everything it is asked is in `asked`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.fault: int | str | None = None
        """A status that answers everything, or `hang`: no answer until the test is over."""
        self.spared = ""
        """The path of requests that are answered all the same."""
        self.awake = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[HubStandIn]:
        """It answers within the block, and is gone after it."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.awake.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @contextmanager
    def failing(self, fault: int | str, spared: str = "") -> Iterator[None]:
        """Everything but one path is answered with this status, or not at all."""
        self.awake.clear()
        self.fault, self.spared = fault, spared
        try:
            yield
        finally:
            self.fault = None
            self.awake.set()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        fault = None if path == self.hub.spared else self.hub.fault
        if fault == "hang":
            self.hub.awake.wait(120)
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._say(fault, {"error": "planted"})
            return
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(*match.groups())
        elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?", path):
            self._tree(*match.groups())
        elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/paths-info/([^/]+)", path):
            self._paths(*match.groups())
        elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(*match.groups())
        else:
            self._say(404, {"error": "no such endpoint"})

    def _commit(self, name: str, revision: str | None) -> tuple[str, Files] | None:
        """The hash and files, or None if that has been answered already."""
        repository = self.hub.repositories.get(name)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.access == "private" and not known):
            # As the hub has it: a stranger is not told whether a private dataset exists.
            self._say(404 if known else 401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        if repository.access == "gated" and "/resolve/" in self.path:
            status = 403 if known else 401
            self._say(status, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
            return None
        sha = repository.branches.get(revision or "main", revision or "")
        if sha not in repository.commits:
            self._say(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return sha, repository.commits[sha]

    def _info(self, name: str, revision: str | None) -> None:
        if found := self._commit(name, revision):
            sha, files = found
            siblings = [{"rfilename": path} for path in files]
            self._say(200, {"id": name, "_id": "1", "sha": sha, "siblings": siblings, "tags": [], "private": False})

    def _tree(self, name: str, revision: str, folder: str | None) -> None:
        if found := self._commit(name, revision):
            below = f"{folder}/" if folder else ""
            recursive = "recursive=true" in self.path.lower() or "recursive=1" in self.path
            entries = [entry for entry in _entries(found[1]) if entry["path"].startswith(below)]
            if not recursive:
                entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(below)]
            if folder and not entries:
                self._say(404, {"error": "no such folder"}, {"X-Error-Code": "EntryNotFound"})
            else:
                self._say(200, entries)

    def _paths(self, name: str, revision: str) -> None:
        if found := self._commit(name, revision):
            wanted = json.loads(self._body)["paths"]
            self._say(200, [entry for entry in _entries(found[1]) if entry["path"] in wanted])

    def _file(self, name: str, revision: str, path: str) -> None:
        if not (found := self._commit(name, revision)):
            return
        sha, files = found
        commit = {"X-Repo-Commit": sha}
        if path not in files:
            self._say(404, {"error": "Entry not found"}, commit | {"X-Error-Code": "EntryNotFound"})
            return
        data, status = files[path], 200
        headers = commit | {"ETag": f'"{_oid(data)}"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(match[1]), int(match[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._send(status, data, headers)

    def _say(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Type": "application/json"} | (headers or {})
        if status >= 400:
            headers |= {"X-Error-Message": answer["error"]}
        self._send(status, json.dumps(answer).encode(), headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entries(files: Files) -> list[dict[str, Any]]:
    folders = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    return [
        *({"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in sorted(folders)),
        *({"type": "file", "oid": _oid(data), "size": len(data), "path": path} for path, data in files.items()),
    ]
