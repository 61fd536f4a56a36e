"""A time limit for calls into libraries that have none: some requests to the hub and some ODBC drivers wait forever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def call_within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call` returns or raises, if it does so in time. Otherwise its thread is left behind: nothing can end it.

    Raises:
        TimeoutError: it did not.
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
