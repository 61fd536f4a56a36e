"""The tables of a simulation's page: objectives, groups, shares, jobs that never started, cost."""

from __future__ import annotations

from passingloop.report.html.markup import Child, element
from passingloop.report.html.quantities import ABSENT, SPACE, duration, number
from passingloop.report.html.sections import section
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.simulation.figure_words import wait as wait_words
from passingloop.report.simulation.policy_figures import By, JobFigures, Simulation, Wait
from passingloop.report.usage.usage_figures import PRICE_NAMES

GROUPS: dict[By, tuple[str, str]] = {
    "qos": ("QOS", "By QOS"),
    "account": ("Account", "By account"),
    "size": ("Size", "By size"),
}


def objectives(simulation: Simulation) -> Child:
    """What became of each objective of the policy file."""
    if not simulation.judgements:
        return None
    words: dict[bool | None, Child] = {
        True: "met",
        False: element("span", "missed", class_="missed"),
        None: "not judged",
    }
    rows = [
        [
            text_cell(one.objective),
            Cell(words[one.is_met], {False: "0", None: "1", True: "2"}[one.is_met]),
            text_cell(one.found),
            text_cell(one.wanted),
            text_cell(one.missed_by),
        ]
        for one in simulation.judgements
    ]
    columns = [Column(title, is_text=True) for title in ("Objective", "Verdict", "Found", "Wanted", "Missed by")]
    return section(
        "objectives",
        "Objectives",
        table("The objectives of the policy file", columns, rows, identity="objective-table", all_rows=True),
    )


def groups(simulation: Simulation) -> Child:
    """A table for each way to group, with a row for each policy."""
    panels = [
        element("div", _group_table(kind, simulation), class_="panel", data_title=title)
        for kind, (_, title) in GROUPS.items()
    ]
    return element("div", panels, class_="panels", data_label="Grouped by")


def _group_table(kind: By, simulation: Simulation) -> Child:
    one, title = GROUPS[kind]
    against = simulation.against
    columns = [
        Column(one, is_text=True),
        *([Column("Policy", is_text=True)] if against else []),
        Column("Jobs"),
        Column("GPU-hours"),
        Column("Wait", "median"),
        Column("Wait", "95 %"),
        Column("Wait", "99 %"),
        Column("Started", "in 1 min"),
        Column("Preempted"),
        Column("Lost", "of GPU-hours"),
        Column("Never", "started"),
    ]
    rows = []
    for group in simulation.figures.groups[kind]:
        policy = [text_cell(simulation.figures.policy)] if against else []
        rows.append([text_cell(group.name), *policy, *_job_cells(group)])
        if against and (other := against.group(kind, group.name)):
            rows.append([text_cell(group.name), text_cell(against.policy), *_job_cells(other)])
    return table(f"Jobs {title[:1].lower()}{title[1:]}", columns, rows, identity=f"{kind}-table")


def _job_cells(jobs: JobFigures) -> list[Cell]:
    waits = jobs.waits
    return [
        number_cell(jobs.jobs),
        number_cell(jobs.gpu_hours),
        *(_wait_cell(one) for one in ((waits.median, waits.p95, waits.p99) if waits else (None, None, None))),
        share_cell(waits.soon[0] if waits else None),
        number_cell(jobs.preemptions),
        share_cell(jobs.lost_share),
        number_cell(jobs.never_started),
    ]


def _wait_cell(wait: Wait | None) -> Cell:
    if wait is None:
        return Cell(ABSENT)
    return Cell(wait_words(wait).replace(" ", SPACE), wait.seconds)


def shares(simulation: Simulation) -> Child:
    """What accounts got of their shares in the time in which they asked for them."""
    figures, against = simulation.figures, simulation.against
    columns = [
        Column("Account", is_text=True),
        Column("Share", "configured"),
        Column("Used", "of GPU-hours"),
        Column("Asked for it", "of the time"),
        Column("Got", figures.policy),
        *([Column("Got", against.policy)] if against else []),
    ]
    rows = []
    for one in figures.shares:
        other = against.share(one.account) if against else None
        got = [one, other] if against else [one]
        rows.append(
            [
                text_cell(one.account),
                share_cell(one.configured),
                share_cell(one.used),
                share_cell(one.asked),
                *(share_cell(each.got if each and each.counts else None, bar=True) for each in got),
            ]
        )
    if not rows:
        return None
    return section(
        "shares",
        "Shares of accounts",
        element(
            "p",
            "What each account held of its configured share while it asked for that much or more. Above 100 % it had "
            "what others left. ",
            f"Jain's index is {number(figures.jain)}",
            f", under {against.policy} {number(against.jain)}." if against else ".",
        ),
        table("What accounts got of their shares", columns, rows, identity="share-table", sorted_by=1),
    )


def never_started(simulation: Simulation) -> Child:
    """Jobs that had not started at the end, by Slurm's reason."""
    columns = [
        Column("Reason", is_text=True),
        Column("Policy", is_text=True),
        Column("Jobs"),
        Column("GPU-hours", "they would take"),
        Column("Longest wait"),
    ]
    rows = [
        [
            text_cell(one.reason),
            text_cell(figures.policy),
            number_cell(one.jobs),
            number_cell(one.gpu_hours),
            Cell(f"> {duration(one.longest_wait)}", one.longest_wait),
        ]
        for figures in (simulation.figures, simulation.against)
        if figures
        for one in figures.never_started
    ]
    if not rows:
        return None
    return section(
        "never-started",
        "Jobs that never started",
        element("p", "They still waited when the replay ended."),
        table("Jobs that never started, by reason", columns, rows, identity="never-table", all_rows=True),
    )


def costs(simulation: Simulation) -> Child:
    """What the GPU-hours cost that jobs held, that were lost, and that stood idle."""
    priced = [one for one in (simulation.figures, simulation.against) if one and one.cost and one.cost.held]
    if not priced or not priced[0].cost:
        return None
    note = priced[0].cost.note
    columns = [
        Column("Price", is_text=True),
        Column("Policy", is_text=True),
        *(Column(title, note.currency) for title in ("Jobs", "Lost of that", "Idle GPUs")),
    ]
    rows = [
        [
            text_cell(PRICE_NAMES[kind]),
            text_cell(one.policy),
            *(number_cell(part[kind].amount) for part in (one.cost.held, one.cost.lost, one.cost.idle)),
        ]
        for one in priced
        if one.cost
        for kind in one.cost.held
    ]
    return section(
        "cost",
        "Cost",
        table("Cost by kind of price", columns, rows, identity="cost-table", all_rows=True),
        element("p", f"Prices of {note.date}: {note.source}.", class_="source"),
    )
