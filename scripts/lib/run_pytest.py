"""Run pytest, then say in the last line what did not run, and why: `python scripts/lib/run_pytest.py [arguments]`."""

import sys
from collections import Counter
from collections.abc import Sequence

import pytest


class NotRun:
    """A pytest plugin that counts skipped tests by reason, and slow ones that were left out."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.slow = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or its set-up, skipped. pytest reports an expected failure as skipped too: it did run."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._count(report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole module skipped."""
        if report.skipped:
            self._count(report.longrepr)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Tests that -m or -k left out."""
        self.slow += sum(item.get_closest_marker("slow") is not None for item in items)

    def _count(self, skip: object) -> None:
        reason = skip[2] if isinstance(skip, tuple) else str(skip)  # (path, line, reason)
        self.reasons[reason.removeprefix("Skipped: ")] += 1

    def __str__(self) -> str:
        parts = []
        if self.reasons:
            why = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common())
            parts.append(f"{self.reasons.total()} skipped: {why}")
        if self.slow:
            parts.append(f"{self.slow} slow left out: --all runs them")
        return "; ".join(parts)


if __name__ == "__main__":
    not_run = NotRun()
    code = pytest.main(sys.argv[1:], plugins=[not_run])
    if str(not_run):
        print(not_run)
    raise SystemExit(code)
