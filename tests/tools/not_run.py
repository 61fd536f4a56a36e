"""A pytest plugin that says in the last line what did not run, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest


class NotRun:
    """Counts skipped tests by reason, and those that --fast left out and slow ones; also with pytest-xdist."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.in_collection: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or its set-up, skipped. pytest reports an expected failure as skipped too: it did run."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.reasons[_reason(report.longrepr)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole module skipped."""
        if report.skipped:
            self.in_collection[_reason(report.longrepr)] += 1

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Tests that -m or -k left out."""
        for item in items:
            marks = [name for name in ("slow", "process") if item.get_closest_marker(name)]
            self.left_out.update(marks[:1])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Each of several processes collects all tests: this one tells the first what it has left out."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["not_run"] = dict(self.left_out), dict(self.in_collection)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """What one of the others has told."""
        told = getattr(node, "workeroutput", {}).get("not_run", (self.left_out, self.in_collection))
        self.left_out, self.in_collection = map(Counter, told)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Later than pytest's own last line."""
        reasons, said = self.reasons + self.in_collection, []
        if reasons:
            why = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
            said.append(f"{reasons.total()} skipped: {why}")
        if self.left_out["process"]:
            said.append(f"{self.left_out['process']} with servers or processes left out: without --fast they run")
        if self.left_out["slow"]:
            said.append(f"{self.left_out['slow']} slow left out: --all runs them")
        if said and not hasattr(config, "workeroutput"):
            print("; ".join(said))


def _reason(skip: object) -> str:
    reason = skip[2] if isinstance(skip, tuple) else str(skip)  # (path, line, reason)
    return str(reason).removeprefix("Skipped: ")
