"""The page of findings."""

from __future__ import annotations

from passingloop.report.doctor_page import page, summary


def row(level: str, what: str = "It is so.", remedy: str = "") -> dict[str, str]:
    return {"check": "grace", "level": level, "what": what, "evidence": "GraceTime=10", "remedy": remedy}


def test_problems_come_first_and_have_what_to_do() -> None:
    assert list(page([row("ok"), row("problem", "It fails.", "Ask for more.")], 80, colour=False)) == [
        "problem  grace  It fails.",
        "                seen: GraceTime=10",
        "                do:   Ask for more.",
        "ok       grace  It is so.",
        "                seen: GraceTime=10",
    ]


def test_long_sentences_are_wrapped_and_paths_are_not() -> None:
    path = "/shared/" + 80 * "x"
    lines = list(page([row("warning", f"{'word ' * 30}{path} end.")], 80, colour=False))
    assert any(line.strip() == path for line in lines)
    assert all(len(line) <= 80 for line in lines if path not in line)


def test_colour_only_if_asked_for() -> None:
    assert next(page([row("problem")], 80, colour=True)).startswith("\x1b[31mproblem  \x1b[0mgrace")
    assert list(page([], 80, colour=True)) == []


def test_the_summary_counts() -> None:
    assert summary({"ok": 3, "problem": 1}) == "1 would go wrong, 3 in order."
    assert summary({"unknown": 2, "warning": 1, "ok": 0}) == "1 may go wrong, 2 not known."
