"""Uses hub datasets in a fresh process, as the hub's libraries read their environment when they are imported.

Takes lines of JSON on stdin, each a list of requests; several are carried out at the same time, in a process each. A
request names settings of `data`, the task and the cache; the answer has what the source said, or its error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from passingloop.config.build import build
from passingloop.data.hub import repository, source
from passingloop.data.hub.cache import datasets_library
from passingloop.data.hub.settings import HubData
from passingloop.errors import DataError, PassingloopError


def refuse(problem: DataError) -> None:
    """No row may be bad."""
    raise problem


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the source says to a look, and then to `train` being read."""
    repository.ANSWER_SECONDS, source.SPLITS_SECONDS = request["patience"], request["listing"]
    said: dict[str, Any] = {}
    try:
        config = build(HubData, request["data"], prefix="data.")
        hub = source.Hub(config, request["task"], Path(request["cache"]), request["kept"])
        for step in request["do"]:
            if step == "look":
                hub.check()
            elif step == "size":
                said["size"] = hub.size()
            elif step == "identity":
                said["identity"] = hub.identity("train")
            else:
                said["rows"] = [row for batch in hub.read("train", refuse) for row in batch.to_pylist()]
    except PassingloopError as error:
        said["error"] = f"{type(error).__name__}: {error}"
    return said


def at_once(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of processes that begin together."""
    pipes = []
    for request in requests:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                json.dump(answer(request), out)
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    answers = []
    for reading in pipes:
        with os.fdopen(reading) as pipe:
            answers.append(json.load(pipe))
        os.wait()
    return answers


if __name__ == "__main__":
    datasets_library()  # imported before the processes part
    for line in sys.stdin:
        requests = json.loads(line)
        print(json.dumps(at_once(requests) if len(requests) > 1 else [answer(requests[0])]), flush=True)
