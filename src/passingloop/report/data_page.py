"""What preparing has found in the data, for people: counts, labels, lengths and a few examples. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
"""As ``passingloop prepare --json`` prints it."""

Parts = Mapping[str, Mapping[str, Any]]

GAP = "  "
BOLD, FAINT, GREEN, CYAN = 1, 2, 32, 36
"""ECMA-48 (SGR) numbers."""

COUNTS = {
    "read": "rows read",
    "unparsable": "  that cannot be parsed, left out",
    "empty": "  without text, left out",
    "unlabelled": "  without a label, left out",
    "mislabelled": "  with a label that cannot be used, left out",
    "used": "texts",
    "nothing": "  with nothing to predict, left out",
    "too_long": "  cut at {max_length:,} tokens",
    "duplicate": "  with the text of an earlier one",
    "conflicting": "  with the text of another, and another label",
    "leaked_from_train": "  that stand in the training data too",
    "leaked_from_others": "  that stand in another source's training data",
    "examples": "examples",
    "tokens": "tokens",
}
"""Rows of the first table; those that begin with spaces are shown only where there is something to count."""

PERCENTILES = ("p0", "p5", "p25", "p50", "p75", "p95", "p99", "p100")
FIRST, LAST = 8, 3
"""Labels that are shown where there are more: the most and the least frequent."""

LONGEST_NAME = 24
BAR = 10
"""Characters."""

COUNTED = "⟦", "⟧"
"""Around the words of a chat that the loss counts."""

LINES = 4
"""Of an example."""

Paint = Callable[[str, int], str]

ACROSS = " ▏▎▍▌▋▊▉█"
UP = " ▁▂▃▄▅▆▇█"
"""From nothing to a whole character, in eighths."""

MARK = "│"


def page(report: Report, width: int, *, colour: bool) -> Iterator[str]:
    """Lines of `width` characters at most, unless a path or a name is longer."""

    def paint(text: str, number: int) -> str:
        return f"\x1b[{number}m{text}\x1b[0m" if colour and text else text

    for name, source in report["sources"].items():
        head = {"data": name, "tokens": f"{source['folder']}, {_made(source)}"}
        if len(report["sources"]) == 1:
            head |= _head(report)
        yield from _aligned(head, paint)
        yield ""
        yield from _counts(source, paint)
        if source["label_names"]:
            yield ""
            yield from _labels(source["parts"], width, paint)
        yield ""
        yield from _lengths(source, width, paint)
        yield ""
        yield from _samples(source["samples"], width, paint)
    if len(report["sources"]) > 1:
        yield ""
        yield from _aligned(_head(report), paint)


def _head(report: Report) -> dict[str, str]:
    key = "batch_size" if report["batch_size"] else "batch_tokens"
    return {
        "tokenizer": f"{report['model']}, at most {report['max_length']:,} tokens an example",
        "steps": f"{report['steps_per_epoch']:,} an epoch with trainer.{key}={report[key]}",
        "took": f"{report['seconds']:.1f} s",
    }


def _made(source: Report) -> str:
    size = f"{source['bytes'] / 1e6:,.1f} MB" if source["bytes"] >= 1e5 else f"{source['bytes'] / 1e3:.1f} kB"
    return f"{size}, {'there already' if source['reused'] else 'made now'}"


def _aligned(rows: Mapping[str, str], paint: Paint) -> Iterator[str]:
    longest = max(map(len, rows))
    for name, text in rows.items():
        yield f"{paint(name.ljust(longest), FAINT)}{GAP}{text}"


def _counts(source: Report, paint: Paint) -> Iterator[str]:
    parts = source["parts"]
    rows = [
        (words.format(max_length=source["max_length"]), [_number(part.get(kind)) for part in parts.values()])
        for kind, words in COUNTS.items()
        if not words.startswith(" ") or any(part.get(kind) for part in parts.values())
    ]
    return _table("", list(parts), rows, paint)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(title: str, names: Sequence[str], rows: Sequence[tuple[str, list[str]]], paint: Paint) -> Iterator[str]:
    """A heading and rows: words on the left, numbers aligned on the right."""
    first = max(len(words) for words, _ in [(title, []), *rows])
    widths = [max(map(len, column)) for column in zip(names, *(cells for _, cells in rows), strict=True)]
    for number, (words, cells) in enumerate([(title, names), *rows]):
        line = GAP.join([words.ljust(first), *(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))])
        yield paint(line, BOLD) if number == 0 else line


def _labels(parts: Parts, width: int, paint: Paint) -> Iterator[str]:
    """A line for each label: its count in every part, and a bar for its share of it."""
    names = list(parts["train"]["labels"])
    most = max(max(_shares(part)) for part in parts.values())
    shown, left = _chosen(names, parts["train"]["labels"])
    sizes = {part: max(map(len, map(_number, counts["labels"].values()))) for part, counts in parts.items()}
    longest = min(LONGEST_NAME, max(map(len, ["label", *map(_visible, shown)])))
    bar = max(2, min(BAR, (width - longest) // len(parts) - len(GAP) - max(sizes.values()) - 1))
    yield paint(
        GAP.join(["label".ljust(longest), *(part.ljust(bar + 1 + sizes[part]) for part in parts)]).rstrip(), BOLD
    )
    for place, name in enumerate(shown):
        if left and place == FIRST:
            yield f"… {left:,} more …"
        cells = [
            paint(horizontal_bar(counts["labels"][name] / max(1, sum(counts["labels"].values())) / most, bar), CYAN)
            + f" {_number(counts['labels'][name]).rjust(sizes[part])}"
            for part, counts in parts.items()
        ]
        yield GAP.join([_short(_visible(name), longest).ljust(longest), *cells])


def _shares(part: Mapping[str, Any]) -> list[float]:
    total = max(1, sum(part["labels"].values()))
    return [count / total for count in part["labels"].values()]


def _chosen(names: list[str], counts: Mapping[str, int]) -> tuple[list[str], int]:
    """The labels to show, and how many are left out; if any are, the most frequent come first."""
    if len(names) <= FIRST + LAST + 1:
        return names, 0
    ordered = sorted(names, key=lambda name: -counts[name])
    return ordered[:FIRST] + ordered[-LAST:], len(names) - FIRST - LAST


def _lengths(source: Report, width: int, paint: Paint) -> Iterator[str]:
    """Percentiles of the texts' lengths, and their histograms with a mark where texts are cut."""
    parts, bins = source["parts"], source["bins"]
    rows = [(name, [_number(part["lengths"][key]) for key in PERCENTILES]) for name, part in parts.items()]
    yield from _table("tokens a text", PERCENTILES, rows, paint)
    inside = sum(end <= source["max_length"] for end in bins)
    marked = inside < len(bins)
    longest = max(map(len, parts))
    together = -(-len(bins) // max(1, width - longest - 2 * len(GAP) - marked))  # a narrow terminal has fewer bars
    for name, part in parts.items():
        counts = part["lengths"]["histogram"]
        below, above = _gathered(counts[:inside], together), _gathered(counts[inside:], together)
        bars = vertical_bars([*below, *above])
        plot = paint(bars[: len(below)], CYAN) + (MARK + bars[len(below) :] if marked else "")
        yield f"{name.ljust(longest)}{GAP}{plot}".rstrip()
    size = len(_gathered(bins[:inside], together))
    rest = len(_gathered(bins[inside:], together))
    yield paint(" " * longest + GAP + _axis(source, size, rest), FAINT)


def _gathered(counts: Sequence[int], together: int) -> list[int]:
    return [sum(counts[start : start + together]) for start in range(0, len(counts), together)]


def _axis(source: Report, inside: int, beyond: int) -> str:
    """What stands below the bars: where they begin, where texts are cut, and where the last begins or ends."""
    bins, longest = source["bins"], max(part["lengths"]["p100"] for part in source["parts"].values())
    end = f"{bins[-1]:,}{' and more' if longest > bins[-1] else ''}"
    if not beyond:
        return "1".ljust(max(2, inside - len(end))) + end
    mark = f"{MARK} {source['max_length']:,}"
    room = max(1, beyond + 1 - len(mark))
    return "1".ljust(inside) + mark + end.rjust(room) if len(end) < room else "1".ljust(inside) + f"{mark} … {end}"


def _samples(samples: Mapping[str, Sequence[Report]], width: int, paint: Paint) -> Iterator[str]:
    yield paint("examples, as the model reads them", BOLD)
    chats = any(len(sample["pieces"]) > 1 for examples in samples.values() for sample in examples)
    if chats:
        yield f"The loss counts within {' '.join(COUNTED)}."
    for part, examples in samples.items():
        for sample in examples:
            label = f" [{_short(_visible(sample['label']), LONGEST_NAME)}]" if sample["label"] is not None else ""
            text = _written(sample["pieces"], marked=chats)
            lines = textwrap.wrap(f"{part} {sample['row']:,}{label}{GAP}{text}", width, subsequent_indent=GAP)
            kept = [*lines[: LINES - 2], "  …", lines[-1]] if len(lines) > LINES else lines
            yield from (line.replace(COUNTED[0], paint(COUNTED[0], GREEN)) for line in kept)


def _written(pieces: Sequence[Report], *, marked: bool) -> str:
    before, after = COUNTED if marked else ("", "")
    return "".join(
        f"{before}{_visible(piece['text'])}{after}" if piece["counts"] else _visible(piece["text"]) for piece in pieces
    )


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _visible(text: str) -> str:
    """Line ends and control characters as they are written in programs: a terminal must not obey the data."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def horizontal_bar(share: float, width: int) -> str:
    """A bar of `width` characters, `share` of it filled; what is not nothing can be seen."""
    eighths = max(round(share * width * 8), share > 0)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + ACROSS[rest] * (rest > 0)).ljust(width)


def vertical_bars(counts: Sequence[int]) -> str:
    """A character for each count, the largest a whole one; what is not nothing can be seen."""
    most = max(counts, default=0) or 1
    return "".join(UP[max(round(8 * count / most), count > 0)] for count in counts)
