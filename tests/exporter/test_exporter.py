from __future__ import annotations

import threading

from passingloop.errors import ConfigError
from passingloop.exporter.exporter import Exporter
from passingloop.usage.usage_report import Request


def test_reading_goes_on_after_any_error_and_says_each_once() -> None:
    stop, said, readings = threading.Event(), list[str](), list[int]()

    def request() -> Request:
        readings.append(1)
        if len(readings) == 4:
            stop.set()
        if len(readings) == 1:
            raise ConfigError("the window is odd")
        raise KeyError("elapsed")

    Exporter(request, [], said.append).keep_reading(0.0, stop)
    assert len(readings) == 4
    assert said == [
        "The figures on use could not be read: the window is odd",
        "The figures on use could not be read, by an error in passingloop: KeyError('elapsed')",
    ]
