"""A stand-in for W&B's server on the loopback interface.

The real one cannot be run here. This one answers the few requests that wandb 0.31 makes for a run (GraphQL
`RunResumeStatus`, `UpsertBucket`, `CreateRunFiles`, then `file_stream`), and for the agent of a sweep. It keeps what it
was sent, and remembers how many history lines each run has, which is what resuming depends on.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WandbServer(ThreadingHTTPServer):
    """Listens on a free port; `refuse=404` answers every request with that status, `refuse_history` those with lines of
    a run's history. With `hold_history` the first lines are kept back until `release_history`; they are stored when the
    client is gone, too."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, refuse: int = 0, refuse_history: int = 0, hold_history: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuse = refuse
        self.refuse_history = refuse_history
        self.history_arrived, self._released = threading.Event(), threading.Event()
        if not hold_history:
            self._released.set()
        self.received = b""
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.tags: dict[str, list[str]] = {}
        self.exit_codes: list[int] = []
        self.projects: set[str] = set()
        self.views: dict[str, dict[str, Any]] = {}
        """Workspaces and reports, by their ids."""
        self.sweep: dict[str, Any] = {}
        """The configuration of a sweep."""
        self.points: list[dict[str, Any]] = []
        """What the sweep's agents are still to run: settings by name."""
        self.sweep_of: dict[str, str] = {}
        """The sweep of each run, as its client says."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def release_history(self) -> None:
        self._released.set()

    def await_release(self) -> None:
        """Wait until lines of a history may be answered."""
        self.history_arrived.set()
        self._released.wait(60)

    def stop(self) -> None:
        self._released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that is killed in mid-request is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer

    def do_HEAD(self) -> None:
        self._answer({})

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            self._answer({"data": self._graphql(json.loads(body))})
        elif self.path.endswith("/file_stream"):
            sent = json.loads(body)
            if "wandb-history.jsonl" in sent.get("files", {}):
                self.server.await_release()
            if self.server.refuse_history and "wandb-history.jsonl" in sent.get("files", {}):
                self._answer({}, self.server.refuse_history)
            else:
                self._file_stream(self.path.split("/")[-2], sent)
                self._answer({})
        else:
            self._answer({})

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.received += body + b"\n"
        return body

    def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(self.server.refuse or status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _graphql(self, query: dict[str, Any]) -> dict[str, Any]:
        asked = query.get("variables") or {}
        run = asked.get("name", "")
        project = {"id": "P", "name": "p", "entity": {"id": "E", "name": "me"}}
        named = re.search(r"(?:query|mutation)\s+(\w+)", query["query"])
        match query.get("operationName") or (named and named[1]):
            case "Viewer" | "GetDefaultEntity":
                return {
                    "viewer": {
                        "id": "U",
                        "username": "me",
                        "entity": "me",
                        "email": "",
                        "flags": "{}",
                        "teams": {"edges": []},
                    }
                }
            case "RunResumeStatus":
                known = run in self.server.history
                return {"model": project | {"bucket": self._resumable(run) if known else None}}
            case "UpsertBucket":
                self.server.history.setdefault(run, [])
                self.server.sweep_of |= {run: asked["sweep"]} if asked.get("sweep") else {}
                if asked.get("tags") is not None:
                    self.server.tags[run] = asked["tags"]
                return {"upsertBucket": {"bucket": _bucket(run) | {"project": project}, "inserted": True}}
            case "Run" | "GetRun":
                return {"project": project | {"run": self._listed(run)}}
            case "GetProjects":
                return {"models": _page([_project(name) for name in sorted(self.server.projects)])}
            case "CreateProject":
                name = asked["input"]["name"]
                self.server.projects.add(name)
                return {"result": {"project": _project(name), "model": _project(name), "inserted": True}}
            case "ProjectInternalId":
                known = asked["projectName"] in self.server.projects
                return {"project": {"id": "P", "internalId": "1"} if known else None}
            case "upsertView" | "UpsertView2":
                return {"upsertView": self._upsert_view(asked)}
            case "View" | "ProjectViews":
                found = [view for view in self.server.views.values() if view["type"] == asked.get("viewType", "runs")]
                chosen = [view for view in found if asked.get("viewName") in (None, view["name"])]
                return {"project": project | {"allViews": _page(chosen)}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.server.url}/{name}"} for name in asked["files"]]
                return {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": files}}
            case other:
                return self._sweep(str(other), asked) or {}

    def _sweep(self, operation: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What the agent of a sweep asks for. One that has nothing to do gets the next point."""
        match operation:
            case "SweepWithRuns":
                return {"project": {"sweep": {"config": json.dumps(self.server.sweep), "runs": {"edges": []}}}}
            case "CreateAgent":
                return {"createAgent": {"agent": {"id": "A"}}}
            case "Heartbeat":
                commands = [] if json.loads(asked["runState"]) else [self._next_point()]
                return {"agentHeartbeat": {"agent": {"id": "A"}, "commands": json.dumps(commands)}}
        return None

    def _resumable(self, run: str) -> dict[str, Any]:
        lines = self.server.history[run]
        state = {"historyLineCount": len(lines), "historyTail": json.dumps([json.dumps(line) for line in lines[-1:]])}
        tags = self.server.tags.get(run, [])
        other = {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "tags": tags, "notes": ""}
        return _bucket(run) | state | other | {"wandbConfig": json.dumps({"t": 1})}

    def _next_point(self) -> dict[str, Any]:
        if not self.server.points:
            return {"type": "exit"}
        values = {key: {"value": value} for key, value in self.server.points.pop(0).items()}
        run = f"point{len(self.server.points)}"
        return {"type": "run", "run_id": run, "args": values, "program": "train.py"}

    def _upsert_view(self, asked: dict[str, Any]) -> dict[str, Any]:
        views = self.server.views
        known = [key for key, view in views.items() if key == asked.get("id") or view["name"] == asked["name"]]
        key = known[0] if known else f"V{len(views)}"
        names = ("name", "displayName", "type", "spec", "description")
        place = {"project": {"id": "P", "name": asked["projectName"], "entityName": asked["entityName"]}}
        times = {"createdAt": "2026-11-29T12:00:00", "updatedAt": "2026-11-29T12:00:00"}
        views[key] = {name: asked[name] for name in names} | {"id": key, "user": {}} | place | times
        return {"view": views[key], "inserted": not known}

    def _listed(self, run: str) -> dict[str, Any]:
        """A run as the public API shows it."""
        times = {"createdAt": "2026-11-29T12:00:00", "heartbeatAt": "2026-11-29T12:00:00"}
        user = {"name": "me", "username": "me"}
        lines = {"historyLineCount": len(self.server.history.get(run, ()))}
        other = {"tags": [], "notes": "", "state": "finished", "group": None, "jobType": None, "commit": None}
        more = {"readOnly": False, "user": user, "systemMetrics": "{}", "historyKeys": None, "projectId": 1}
        return _bucket(run) | times | lines | other | more

    def _file_stream(self, run: str, body: dict[str, Any]) -> None:
        sent = body.get("files", {}).get("wandb-history.jsonl")
        if sent:
            self.server.history[run][sent["offset"] :] = [json.loads(line) for line in sent["content"]]
        if body.get("complete"):
            self.server.exit_codes.append(body["exitcode"])


def _page(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    end = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
    return {"pageInfo": end, "edges": [{"node": node, "cursor": ""} for node in nodes]}


def _project(name: str) -> dict[str, Any]:
    about = {"id": "P", "name": name, "entityName": "me", "createdAt": "2026-11-29T12:00:00"}
    return about | {
        "__typename": "Project",
        "isBenchmark": False,
        "user": None,
        "description": "",
        "access": "",
        "views": "{}",
    }


def _bucket(run: str) -> dict[str, Any]:
    return {
        "id": "B",
        "name": run,
        "displayName": run,
        "description": "",
        "config": "{}",
        "summaryMetrics": "{}",
        "sweepName": None,
        "historyLineCount": 0,
    }
