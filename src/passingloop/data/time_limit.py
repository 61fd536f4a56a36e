"""A time limit for calls of libraries without one: some requests to the hub and some ODBC drivers never return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def call_with_timeout(seconds: float, call: Callable[[], Result]) -> Result:
    """The result of `call`, which runs in a thread. After a timeout the thread is abandoned, as it cannot be stopped.

    Raises:
        TimeoutError: it took longer than `seconds`. Exceptions of `call` are raised as they are.
    """
    answers: list[Result] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run, daemon=True, name="time-limit")
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return answers[0]
