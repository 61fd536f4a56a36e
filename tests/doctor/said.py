"""What a check has said."""

from __future__ import annotations

from collections.abc import Iterable

from passingloop.doctor.finding import Finding


def levels(findings: Iterable[Finding], check: str | None = None) -> list[str]:
    """The levels of all findings, or of those of one check. What is wrong has a remedy; every finding has evidence."""
    found = list(findings)
    for finding in found:
        assert finding.what.endswith((".", ")"))
        assert finding.evidence
        assert finding.remedy or finding.level in ("ok", "unknown"), finding
        assert not (finding.level == "ok" and finding.remedy), finding
    return [finding.level for finding in found if check in (None, finding.check)]
