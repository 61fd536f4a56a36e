"""Why a job waits, as a page."""

from __future__ import annotations

from dataclasses import replace

from passingloop.pending.answer import Change, Trial
from passingloop.report import why_page
from tests.pending.situation import BOB, HOUR, NOW, answer, cap, running

TEAM = cap("account", "team-a", "all", "gres/gpu", 8, 12)
SOONER = Trial(
    change=Change(what="1 GPU instead of 4", setting="resources.gpus=1", options={"gres": "gpu:1"}), start=NOW
)
LATER = replace(
    SOONER,
    start=NOW + HOUR,
    change=replace(SOONER.change, setting="cluster.qos=x", options={"qos": "x"}, note="may be preempted"),
)
REFUSED = Trial(change=SOONER.change, refusal="Invalid qos specification")
ANSWER = replace(answer("AssocGrpGRES", caps=(TEAM,)), trials=(LATER, REFUSED, SOONER), expected_start=NOW + 5 * HOUR)


def rows(**changes: object) -> list[str]:
    return why_page.lines(replace(ANSWER, **changes), "job 100", NOW, owner_settings=False)  # type: ignore[arg-type]


def test_what_is_known_has_a_line_each() -> None:
    title, why, *held, freed, place, priority, first, start, sooner, later = rows()
    assert title == "job 100"
    assert why.startswith("why       All jobs of account team-a together have 12 of its 8 GPUs;")
    assert why.endswith("(AssocGrpGRES)")
    assert [line[:10].strip() for line in held] == ["held by", "", ""]
    assert held[0][10:].startswith("bob: 4 GPUs in job 12, until ")
    assert held[1][10:].startswith("ann: 4 GPUs in job 11, until ")
    assert held[2][10:] == "4 GPUs by jobs that Slurm does not show you"
    assert freed.startswith("freed by  Job 12 (bob, 4 GPUs) ends at ")
    assert place == "place     2 of 3; those before it ask for 4 GPUs"
    assert priority == "priority  500 = age 100 + fairshare 200 + QOS 200"
    assert first == "          first in the queue: 900 = age 100 + fairshare 100 + QOS 700"
    assert start.startswith("start     expected ")
    assert sooner == "sooner    now with 1 GPU instead of 4: --gres=gpu:1"
    assert later.endswith("(may be preempted): --qos=x")


def test_changes_are_settings_where_a_run_waits() -> None:
    assert why_page.lines(ANSWER, "run", NOW, owner_settings=True)[-2].endswith(": resources.gpus=1")


def test_that_nothing_starts_it_sooner_is_said() -> None:
    assert rows(trials=(REFUSED,))[-1] == "sooner    Slurm was asked about 1 other request, and none starts sooner"
    resources = {"category": "resources", "limit": None, "unit": "gres/gpu"}
    assert rows(**resources, expected_start=None, unchanged_start=NOW, trials=(SOONER,))[-1].endswith(
        "none starts sooner"
    )


def test_many_holders_are_counted() -> None:
    jobs = [running(str(200 + number), f"user{number % 7}", "n1", 1.0 + number, gpus=1) for number in range(21)]
    lines = why_page.lines(answer("Resources", others=(*jobs, BOB)), "job 100", NOW, owner_settings=False)
    held = [line for line in lines if " GPUs in job" in line or "more users" in line]
    assert len(held) == 5
    assert held[0].startswith("held by   bob: 4 GPUs in job 12, until")
    assert "user0: 3 GPUs in jobs 200, 207, 214, until" in held[1]
    assert held[4].endswith("4 more users: 12 GPUs")


def test_what_is_not_known_has_the_evidence_below() -> None:
    lines = why_page.lines(answer("MoonPhase", fields={"Reason": "MoonPhase"}), "job 100", NOW, owner_settings=False)
    assert lines[-2] == "unknown   What MoonPhase means, and what ends it, is not known here."
    assert lines[-1] == "          Slurm shows Reason=MoonPhase"


def test_on_a_terminal_nothing_is_wider_than_it() -> None:
    page = list(why_page.page(ANSWER, "job 100 " * 20, NOW, 80, owner_settings=True, colour=False))
    assert max(map(len, page)) <= 80
    assert " ".join(" ".join(page).split()).count("job 100") == 20
    assert "\x1b" not in "".join(page)
    assert "\x1b[36mwhy       \x1b[0m" in "\n".join(
        why_page.page(ANSWER, "x", NOW, 80, owner_settings=True, colour=True)
    )


def test_slurms_estimate_leaves_out_limits_on_use() -> None:
    """So a change that starts later than the estimate, but before the limit has room, is sooner."""
    between = replace(SOONER, start=NOW + 0.4 * HOUR)
    early = replace(ANSWER, expected_start=NOW + 0.2 * HOUR, trials=(between,))
    assert early.sooner == [between]
    lines = why_page.lines(early, "job 100", NOW, owner_settings=False)
    assert any(line.endswith("by Slurm's estimate, which leaves limits like this one out") for line in lines)
    late = replace(SOONER, start=NOW + 2 * HOUR)
    assert replace(early, trials=(late,)).sooner == []
