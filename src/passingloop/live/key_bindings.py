"""The keys of the live view, and the line that names them. Pure."""

from __future__ import annotations

from dataclasses import replace

from passingloop.live.drawing import Line
from passingloop.live.run_row import Arrangement

FAR = 1_000_000
"""More lines than there are."""

MOVES = {"down": 1, "j": 1, "up": -1, "k": -1, "home": -FAR, "g": -FAR, "end": FAR, "G": FAR}
PAGES = {"pagedown": 1, "space": 1, "pageup": -1}

ABOUT_A_RUN = ("l", "enter", "f", "w", "p", "c")
LEAVE_PAGE = ("escape", "q", "enter", "left", "question_mark", "h")

HELP = """\
up down  k j       choose a run; page up, page down, home, end go further
l  enter           follow its log; Ctrl-C comes back
w                  why it waits: the limits, the jobs before it, what would start it sooner
c                  cancel it; asks first, and what trains saves first
p                  report: advice on it, and what all of your runs used in the last 7 days

/                  show only runs with all of these words in name, state, job, node; escape shows all
a                  show only what trains or waits, or all runs
o                  sort by state, name, progress, time left, loss, since when
r                  in reverse
u                  read everything anew

q  Ctrl-C          quit
Ctrl-Z             put to the background; fg comes back

GPUs   A bar of all GPUs by what they do. Slurm counts a GPU as in use if a job has it, whether it computes or not.
QOS    The GPUs that running jobs of each QOS have, and in brackets those that waiting jobs ask for.
loss   The newest values of the training loss. The last figure is the newest.
busy   How busy the run's GPUs have been in the last half hour, from 0 to 100 %; of a run without GPU, its CPUs.
left   At the pace of this attempt, with validation and saves. "quiet" is for how long no step was done."""

HINTS = (
    ("l", "log"),
    ("c", "cancel"),
    ("w", "why"),
    ("p", "report"),
    ("/", "filter"),
    ("o", "sort"),
    ("a", "active"),
    ("?", "help"),
    ("q", "quit"),
)
FIRST = ("?", "q", "l", "c", "w", "/", "p", "o", "a")
"""The hints in the order in which they are kept where not all of them fit."""


def lines_moved(key: str, height: int) -> int:
    """How many lines further down the key goes, where `height` lines are seen; 0 if it is for something else."""
    return MOVES.get(key, PAGES.get(key, 0) * height)


def rearranged(arrangement: Arrangement, key: str) -> Arrangement:
    """Which runs are shown, and in which order, after a key; as before, if it is for something else."""
    match key:
        case "escape":
            return replace(arrangement, words="", active_only=False)
        case "a":
            return replace(arrangement, active_only=not arrangement.active_only)
        case "o":
            return arrangement.next_sort()
        case "r":
            return replace(arrangement, reverse=not arrangement.reverse)
    return arrangement


def hints_line(width: int) -> Line:
    """The keys, as many as fit."""
    kept: list[str] = []
    for key in FIRST:
        if _width([*kept, key]) <= width:
            kept.append(key)
    line: Line = ()
    for key, word in HINTS:
        if key in kept:
            line += (("  " if line else "", ""), (key, "bold"), (f" {word}", "dim"))
    return line


def filter_line(words: str) -> Line:
    return (("/", "bold"), (words, ""), ("_", "dim"), ("   enter keeps it, escape shows all", "dim"))


def question_line(question: str) -> Line:
    return ((f"{question} ", "alarm"), ("  y", "bold"), (" yes  ", ""), ("any other key", "bold"), (" no", ""))


def _width(keys: list[str]) -> int:
    words = dict(HINTS)
    return sum(len(key) + 1 + len(words[key]) for key in keys) + 2 * (len(keys) - 1)
