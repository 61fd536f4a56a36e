"""``passingloop notebook`` on a real cluster: a real Jupyter server, and kernels that compute in its job."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.cluster.cluster import PATIENCE, Finished, until
from tests.cluster.desk import Desk


@dataclass(frozen=True)
class Kernel:
    """A kernel of a Jupyter server, asked as the browser asks it."""

    url: str
    token: str

    def ask(self, path: str, method: str = "GET", **content: object) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        data = json.dumps(content).encode() if content else None
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def run(self, *cells: str) -> str:
        """What new cells print; an error fails the test."""
        kernel = self.ask("api/kernels", "POST", name="python3")["id"]
        address = f"{self.url.replace('http', 'ws')}api/kernels/{kernel}/channels"
        channels = websocket.create_connection(
            address, timeout=PATIENCE, header=[f"Authorization: token {self.token}"], suppress_origin=True
        )
        printed = ""
        for number, code in enumerate(cells):
            header = {"msg_id": f"cell-{number}", "msg_type": "execute_request", "session": "test", "version": "5.3"}
            message = {"header": header | {"username": "", "date": ""}, "parent_header": {}, "metadata": {}}
            channels.send(json.dumps(message | {"channel": "shell", "content": {"code": code, "silent": False}}))
            ends = {"execute_reply", "idle"}  # what is printed comes before the second, on a channel of its own
            while ends:
                said = json.loads(channels.recv())
                if said["parent_header"].get("msg_id") != f"cell-{number}":
                    continue
                content = said["content"]
                printed += content.get("text", "") if said["msg_type"] == "stream" else ""
                assert said["msg_type"] != "error", "\n".join(content["traceback"])
                ends -= {said["msg_type"], content.get("execution_state")}
        channels.close()
        return printed


TRAINING_CELL = """
import torch
from os import environ

[texts] = [[row["text"] for row in part[:8]] for part in rows.values()]
labels = torch.tensor([model.config.label2id[row["label"]] for row in rows[""][:8]])
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
losses = []
for _ in range(5):
    loss = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt"), labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(environ["SLURM_JOB_ID"], environ["CUDA_VISIBLE_DEVICES"], losses[-1] < losses[0])
"""


def holders_of(token: str) -> list[str]:
    """The processes that show it on their command line or in their environment."""
    found = []
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
        with contextlib.suppress(OSError):
            if token.encode() in path.read_bytes():
                found.append(str(path))
    return found


def opened(done: Finished) -> tuple[Kernel, str]:
    """The server at the URL that the command has printed, and the page that it opens."""
    assert done.returncode == 0, done.stderr
    match = re.fullmatch(r"(http://127\.0\.0\.1:(\d+)/)lab(\S*)\?token=(\S+)\n", done.stdout)
    assert match, done.stdout
    assert f"ssh -N -L {match[2]}:127.0.0.1:{match[2]} " in done.stderr  # on this cluster its nodes are there
    return Kernel(match[1], match[4]), match[3]


def test_a_notebook_runs_in_a_job_that_stays(desk: Desk) -> None:
    first = desk.verb("notebook", "--cpus=1")
    server, page = opened(first)
    [job] = desk.active("passingloop-notebook")
    assert page == ""
    assert server.run("import os", "print(os.environ['SLURM_JOB_ID'], os.getcwd())") == f"{job} {desk.folder}\n"
    assert holders_of(server.token) == []
    with pytest.raises(urllib.error.HTTPError, match="403"):
        replace(server, token="another").ask("api/kernels")
    assert desk.verb("notebook").stdout == first.stdout
    assert desk.active() == []  # shells are sessions of their own
    assert f"Ended Slurm job {job}." in desk.verb("notebook", "--end").stderr
    until(lambda: desk.active("passingloop-notebook") == [])


@pytest.mark.slow
def test_it_trains_with_what_a_run_had_and_ends_when_it_is_idle(
    desk: Desk, limits: Callable[[float, float], None]
) -> None:
    limits(30, 40)
    assert desk.train("name=earlier").returncode == 0
    server, opens = opened(desk.verb("notebook", "--like", "earlier"))
    [job] = desk.active("passingloop-notebook")
    [page] = desk.folder.glob("like-earlier-*.ipynb")
    assert opens == f"/tree/{page.name}"
    cells = [cell["source"] for cell in json.loads(page.read_text())["cells"] if cell["cell_type"] == "code"]
    assert server.run(*cells, TRAINING_CELL).splitlines()[-1] in (f"{job} 0 True", f"{job} 1 True")
    until(lambda: desk.active("passingloop-notebook") == [])
    assert "neither GPU, CPU nor keyboard were in use for" in desk.output()
