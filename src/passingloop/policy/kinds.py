"""The kinds of values in a policy: how each is read from the file, from Slurm's output, and written for both."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passingloop.slurm.notation import UNITS, duration_text, megabytes, seconds

QOS_FLAGS = (
    "DenyOnLimit",
    "EnforceUsageThreshold",
    "NoDecay",
    "NoReserve",
    "OverPartQOS",
    "PartitionMaxNodes",
    "PartitionMinNodes",
    "PartitionTimeLimit",
    "Relative",
    "RequiresReservation",
    "UsageFactorSafe",
)
"""sacctmgr(1), SPECIFICATIONS FOR QOS, releases 22.05 to 26.05."""

PREEMPT_MODES = ("cancel", "cluster", "gang", "requeue", "suspend", "within")
ADMIN_LEVELS = ("none", "operator", "administrator")

NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?")
UNSAFE_TEXT = re.compile(r"[\"'|\\\x00-\x1f]")
"""What sacctmgr takes for its own punctuation."""

TIME = re.compile(r"(\d+-\d+(:[0-5]\d(:[0-5]\d)?)?|\d+:[0-5]\d:[0-5]\d)")
LARGEST = 2**32 - 3
"""Slurm keeps counts in 32 bits; the two largest numbers mean no limit and infinite."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value. In the program a value is text in a form of its own, so that equal values are equal texts."""

    read: Callable[[str], str]
    """From the file. Raises ValueError with what is wrong and what to do, to follow the value."""
    shown: Callable[[str], str] = str
    """As the file has it."""
    word: Callable[[str], str] = str
    """As sacctmgr takes it."""
    reported: Callable[[str], str] = str
    """From what sacctmgr prints."""


def name(text: str) -> str:
    """A name of an account or a QOS."""
    if not NAME.fullmatch(text):
        if NAME.fullmatch(text.lower()):
            raise ValueError(f"has capitals, but Slurm keeps such names in lower case. Write {text.lower()}.")
        raise ValueError("is no name: use a to z, digits, '_', '-' and '.' only.")
    return text


def user_name(text: str) -> str:
    """A name of a user."""
    if not USER_NAME.fullmatch(text):
        raise ValueError("is no name of a user: use letters, digits, '_', '-', '.' and '@' only.")
    return text


def choice(text: str, known: Sequence[str], what: str) -> str:
    """The one of `known` that is `text`, in any capitals."""
    for one in known:
        if one.lower() == text.lower():
            return one
    near = difflib.get_close_matches(text.lower(), [one.lower() for one in known], 1)
    meant = next((f" Did you mean {one}?" for one in known if one.lower() in near), "")
    raise ValueError(f"is no {what}.{meant} There are {', '.join(known)}.")


def count(text: str) -> str:
    """A whole number from 0."""
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"is no whole number{_unit(text)}. Write a number such as 2.")
    if int(text) > LARGEST:
        raise ValueError(f"is more than Slurm can count. Write {LARGEST} or less, or leave the line out for no limit.")
    return str(int(text))


def _unit(text: str) -> str:
    return ", which this takes without a unit" if re.fullmatch(r"\d+ ?[A-Za-z]+", text) else ""


def shares(text: str) -> str:
    """1 or more, or ``parent``."""
    if text == "parent":
        return text
    try:
        number = count(text)
    except ValueError:
        raise ValueError("is no whole number from 1, nor `parent`.") from None
    if number == "0":
        raise ValueError(
            "would leave all of these jobs without any claim, for good. Write 1 or more; to stop them, set max_jobs: 0."
        )
    return number


def time(text: str) -> str:
    """Seconds, from ``H:MM:SS``, ``D-HH``, ``D-HH:MM`` or ``D-HH:MM:SS``."""
    if TIME.fullmatch(text):
        return f"{seconds(text) or 0:.0f}"
    if text.isdecimal():
        as_read = f"; other programs read {duration_text(int(text))} in YAML as {text}" if int(text) >= 3600 else ""
        raise ValueError(f"is a number without a unit{as_read}. Write H:MM:SS or D-HH:MM:SS.")
    if re.fullmatch(r"\d+:\d+", text):
        raise ValueError(
            f"may mean hours and minutes, while Slurm takes it for minutes and seconds. Write {text}:00 or 0:{text}."
        )
    raise ValueError("is no time. Write H:MM:SS or D-HH:MM:SS.")


def limit_time(text: str) -> str:
    """Seconds that make whole minutes, as Slurm keeps time limits."""
    value = time(text)
    if int(value) % 60:
        raise ValueError("has seconds, but Slurm keeps such limits in whole minutes. Write them as :00.")
    if value == "0":
        raise ValueError("would let no job run. Leave the line out for no limit.")
    return value


def reported_time(text: str) -> str:
    """Seconds, from what sacctmgr prints."""
    value = seconds(text) if text else None
    return "" if value is None else f"{value:.0f}"


def time_text(value: str) -> str:
    """Seconds as ``H:MM:SS`` or ``D-HH:MM:SS``."""
    return duration_text(float(value))


def factor(text: str) -> str:
    """A number from 0."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError("is no number from 0, such as 0.25.")
    return f"{float(text):g}"


def reported_factor(text: str) -> str:
    """A number, from what sacctmgr prints: ``0.250000``."""
    return f"{float(text):g}" if text else ""


def fraction(text: str) -> str:
    """A number from 0 to 1."""
    if float(factor(text)) > 1:
        raise ValueError("is more than 1, the whole. Write a number from 0 to 1.")
    return factor(text)


def description(text: str) -> str:
    """Free text, in lower case, as Slurm keeps it."""
    if found := UNSAFE_TEXT.search(text):
        raise ValueError(f"has the character {found[0]!r}, which sacctmgr takes for its own. Leave it out.")
    return text.lower()


def memory(text: str) -> str:
    """Megabytes, from a size with its unit."""
    if text.isdecimal():
        raise ValueError(f"is a size without a unit, which Slurm takes for megabytes. Write {text}G or {text}M.")
    if not re.fullmatch(r"\d+[MGTP]", text):
        raise ValueError("is no size such as 64G. The units are M, G, T and P.")
    return f"{megabytes(text):.0f}"


def memory_text(value: str) -> str:
    """Megabytes in the largest unit that gives a whole number."""
    size = int(value)
    unit = next(unit for unit in ("P", "T", "G", "M") if size % (UNITS[unit] // UNITS["M"]) == 0)
    return f"{size // (UNITS[unit] // UNITS['M'])}{unit}"


def hours(text: str) -> str:
    """Minutes, from hours."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError("is no number of hours, such as 5000. Write it without a unit.")
    minutes = float(text) * 60
    if minutes != round(minutes):
        raise ValueError("makes no whole minutes, as Slurm counts them.")
    return f"{minutes:.0f}"


def hours_text(value: str) -> str:
    """Minutes as hours; only for values that `hours` has read or `makes_hours` accepts."""
    return f"{int(value) / 60:g}" if int(value) % 60 else str(int(value) // 60)


def makes_hours(value: str) -> bool:
    """Whether minutes can be written as hours without loss."""
    return f"{float(hours_text(value)) * 60:.6f}" == f"{int(value):.6f}"


def sorted_names(text: str) -> str:
    """Names separated by commas, each once, in order; those with + or - by name."""
    found = {part.strip() for part in text.split(",") if part.strip()}
    return ",".join(sorted(found, key=lambda one: one.lstrip("+-")))


def names(text: str) -> str:
    """Names of QOS, separated by commas; in a list of what may be used also ``+name`` and ``-name``."""
    for one in text.split(","):
        try:
            name(one)
        except ValueError as error:
            raise ValueError(f"has {one!r}, which {error}") from None
    return sorted_names(text)


def allowed_names(text: str) -> str:
    """Names of QOS that may be used: a list, or what is added to that of the account above or removed from it."""
    parts = text.split(",")
    signed = [part for part in parts if part[:1] in ("+", "-")]
    if signed and len(signed) != len(parts):
        raise ValueError("mixes names with + or - and names without. Write a whole list, or only changes to it.")
    names(",".join(part.lstrip("+-") for part in parts))
    return sorted_names(text)


def flags(text: str) -> str:
    """Flags of a QOS."""
    return sorted_names(",".join(choice(one, QOS_FLAGS, "flag of a QOS") for one in text.split(",")))


def preempt_mode(text: str) -> str:
    """How jobs of a QOS are preempted."""
    return sorted_names(",".join(choice(one, PREEMPT_MODES, "preempt mode") for one in text.split(",")))


def admin_level(text: str) -> str:
    """What a user may do in slurmdbd."""
    return choice(text, ADMIN_LEVELS, "level")


COUNT = Kind(count)
SHARES = Kind(shares)
LIMIT_TIME = Kind(limit_time, time_text, time_text, reported_time)
TIME_SPAN = Kind(time, time_text, time_text, reported_time)
SECONDS = Kind(time, time_text, str, reported_time)
FACTOR = Kind(factor, reported=reported_factor)
FRACTION = Kind(fraction, reported=reported_factor)
TEXT = Kind(description, reported=str.lower)
QOS_NAME = Kind(name)
ACCOUNT_NAME = Kind(name)
QOS_NAMES = Kind(names, reported=sorted_names)
ALLOWED_QOS = Kind(allowed_names, reported=sorted_names)
FLAGS = Kind(flags, reported=sorted_names)
PREEMPT_MODE = Kind(preempt_mode, reported=lambda text: sorted_names(text.lower()))
ADMIN_LEVEL = Kind(admin_level, reported=str.lower)
HOURS = Kind(hours, hours_text)
MEMORY = Kind(memory, memory_text, reported=lambda text: f"{megabytes(text):.0f}")
