"""The report on prepared data: counts, labels, lengths and some examples. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from passingloop.text import printable

Report = Mapping[str, Any]
"""The JSON of ``passingloop prepare --json``, or a part of it."""

Parts = Mapping[str, Mapping[str, Any]]

GAP = "  "
BOLD, FAINT, GREEN, CYAN = 1, 2, 32, 36
"""Numbers of ECMA-48 (SGR)."""

COUNTS = {
    "read": "rows read",
    "unparsable": "  that cannot be parsed, left out",
    "empty": "  without text, left out",
    "unlabelled": "  without a label, left out",
    "mislabelled": "  with a label that cannot be used, left out",
    "refused": "  with a chat that cannot be used, left out",
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
"""Rows of the first table. Those that begin with spaces are left out if all counts are 0."""

PERCENTILES = ("p0", "p5", "p25", "p50", "p75", "p95", "p99", "p100")
MOST_FREQUENT, LEAST_FREQUENT = 8, 3
"""The numbers of most and of least frequent labels that are shown if there are more."""

MAX_NAME_LENGTH = 24
BAR_WIDTH = 10
"""Characters."""

LOSS_MARKS = "⟦", "⟧"
"""Marks around the text of a chat that the loss counts."""

SAMPLE_LINES = 4
"""Lines of an example that are shown."""

Paint = Callable[[str, int], str]

HORIZONTAL_EIGHTHS = " ▏▎▍▌▋▊▉█"
VERTICAL_EIGHTHS = " ▁▂▃▄▅▆▇█"
"""Bars from zero to a whole character, in eighths."""

MARK = "│"


def page(report: Report, width: int, *, colour: bool) -> Iterator[str]:
    """The lines of the report, of `width` characters at most, unless a path or name is longer."""

    def paint(text: str, number: int) -> str:
        return f"\x1b[{number}m{text}\x1b[0m" if colour and text else text

    for name, source in report["sources"].items():
        head = {"data": name, "tokens": f"{source['folder']}, {_cache_text(source)}"}
        if len(report["sources"]) == 1:
            head |= _summary_rows(report)
        yield from _aligned_lines(head, paint)
        yield ""
        yield from _count_lines(source, paint)
        if source["label_names"]:
            yield ""
            yield from _label_lines(source["parts"], width, paint)
        yield ""
        yield from _length_lines(source, width, paint)
        yield ""
        yield from _sample_lines(source["samples"], width, paint)
    if len(report["sources"]) > 1:
        yield ""
        yield from _aligned_lines(_summary_rows(report), paint)


def _summary_rows(report: Report) -> dict[str, str]:
    key = "batch_size" if report["batch_size"] else "batch_tokens"
    return {
        "tokenizer": f"{report['model']}, at most {report['max_length']:,} tokens an example",
        "steps": f"{report['steps_per_epoch']:,} an epoch with trainer.{key}={report[key]}",
        "took": f"{report['seconds']:.1f} s",
    }


def _cache_text(source: Report) -> str:
    size = f"{source['bytes'] / 1e6:,.1f} MB" if source["bytes"] >= 1e5 else f"{source['bytes'] / 1e3:.1f} kB"
    return f"{size}, {'there already' if source['reused'] else 'made now'}"


def _aligned_lines(rows: Mapping[str, str], paint: Paint) -> Iterator[str]:
    longest = max(map(len, rows))
    for name, text in rows.items():
        yield f"{paint(name.ljust(longest), FAINT)}{GAP}{text}"


def _count_lines(source: Report, paint: Paint) -> Iterator[str]:
    parts = source["parts"]
    rows = [
        (words.format(max_length=source["max_length"]), [_count_text(part.get(kind)) for part in parts.values()])
        for kind, words in COUNTS.items()
        if not words.startswith(" ") or any(part.get(kind) for part in parts.values())
    ]
    return _table_lines("", list(parts), rows, paint)


def _count_text(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table_lines(
    title: str, names: Sequence[str], rows: Sequence[tuple[str, list[str]]], paint: Paint
) -> Iterator[str]:
    """A heading and rows, with names aligned left and numbers aligned right."""
    first = max(len(words) for words, _ in [(title, []), *rows])
    widths = [max(map(len, column)) for column in zip(names, *(cells for _, cells in rows), strict=True)]
    for number, (words, cells) in enumerate([(title, names), *rows]):
        line = GAP.join([words.ljust(first), *(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))])
        yield paint(line, BOLD) if number == 0 else line


def _label_lines(parts: Parts, width: int, paint: Paint) -> Iterator[str]:
    """A line for each label: its count in every part, and a bar for its share of it."""
    names = list(parts["train"]["labels"])
    most = max(max(_shares(part)) for part in parts.values())
    shown, left = _labels_to_show(names, parts["train"]["labels"])
    sizes = {part: max(map(len, map(_count_text, counts["labels"].values()))) for part, counts in parts.items()}
    longest = min(MAX_NAME_LENGTH, max(map(len, ["label", *map(printable, shown)])))
    bar = max(2, min(BAR_WIDTH, (width - longest) // len(parts) - len(GAP) - max(sizes.values()) - 1))
    yield paint(
        GAP.join(["label".ljust(longest), *(part.ljust(bar + 1 + sizes[part]) for part in parts)]).rstrip(), BOLD
    )
    for place, name in enumerate(shown):
        if left and place == MOST_FREQUENT:
            yield f"… {left:,} more …"
        cells = [
            paint(horizontal_bar(counts["labels"][name] / max(1, sum(counts["labels"].values())) / most, bar), CYAN)
            + f" {_count_text(counts['labels'][name]).rjust(sizes[part])}"
            for part, counts in parts.items()
        ]
        yield GAP.join([_truncated(printable(name), longest).ljust(longest), *cells])


def _shares(part: Mapping[str, Any]) -> list[float]:
    total = max(1, sum(part["labels"].values()))
    return [count / total for count in part["labels"].values()]


def _labels_to_show(names: list[str], counts: Mapping[str, int]) -> tuple[list[str], int]:
    """The labels to show, and the number of those left out. If any are left out, labels are sorted by frequency."""
    if len(names) <= MOST_FREQUENT + LEAST_FREQUENT + 1:
        return names, 0
    ordered = sorted(names, key=lambda name: -counts[name])
    return ordered[:MOST_FREQUENT] + ordered[-LEAST_FREQUENT:], len(names) - MOST_FREQUENT - LEAST_FREQUENT


def _length_lines(source: Report, width: int, paint: Paint) -> Iterator[str]:
    """The percentiles of the texts' lengths, and their histograms with a mark at the length where texts are cut."""
    parts, bins = source["parts"], source["bins"]
    rows = [(name, [_count_text(part["lengths"][key]) for key in PERCENTILES]) for name, part in parts.items()]
    yield from _table_lines("tokens a text", PERCENTILES, rows, paint)
    inside = sum(end <= source["max_length"] for end in bins)
    marked = inside < len(bins)
    longest = max(map(len, parts))
    together = -(
        -len(bins) // max(1, width - longest - 2 * len(GAP) - marked)
    )  # bins per bar: a narrow terminal has fewer bars
    for name, part in parts.items():
        counts = part["lengths"]["histogram"]
        below, above = _merged_counts(counts[:inside], together), _merged_counts(counts[inside:], together)
        bars = vertical_bars([*below, *above])
        plot = paint(bars[: len(below)], CYAN) + (MARK + bars[len(below) :] if marked else "")
        yield f"{name.ljust(longest)}{GAP}{plot}".rstrip()
    size = len(_merged_counts(bins[:inside], together))
    rest = len(_merged_counts(bins[inside:], together))
    yield paint(" " * longest + GAP + _axis_line(source, size, rest), FAINT)


def _merged_counts(counts: Sequence[int], together: int) -> list[int]:
    return [sum(counts[start : start + together]) for start in range(0, len(counts), together)]


def _axis_line(source: Report, inside: int, beyond: int) -> str:
    """The line below the bars: the least length, the length where texts are cut, and the end of the last bin."""
    bins, longest = source["bins"], max(part["lengths"]["p100"] for part in source["parts"].values())
    end = f"{bins[-1]:,}{' and more' if longest > bins[-1] else ''}"
    if not beyond:
        return "1".ljust(max(2, inside - len(end))) + end
    mark = f"{MARK} {source['max_length']:,}"
    room = max(1, beyond + 1 - len(mark))
    return "1".ljust(inside) + mark + end.rjust(room) if len(end) < room else "1".ljust(inside) + f"{mark} … {end}"


def _sample_lines(samples: Mapping[str, Sequence[Report]], width: int, paint: Paint) -> Iterator[str]:
    yield paint("examples, as the model reads them", BOLD)
    chats = any(len(sample["pieces"]) > 1 for examples in samples.values() for sample in examples)
    if chats:
        yield f"The loss counts within {' '.join(LOSS_MARKS)}."
    for part, examples in samples.items():
        for sample in examples:
            label = (
                f" [{_truncated(printable(sample['label']), MAX_NAME_LENGTH)}]" if sample["label"] is not None else ""
            )
            text = _sample_text(sample["pieces"], marked=chats)
            lines = textwrap.wrap(
                f"{part} {_short_place(sample['place'])}{label}{GAP}{text}", width, subsequent_indent=GAP
            )
            painted = list(_learned_in_green(lines, paint))
            yield from [*painted[: SAMPLE_LINES - 2], "  …", painted[-1]] if len(lines) > SAMPLE_LINES else painted


def _learned_in_green(lines: Iterable[str], paint: Paint) -> Iterator[str]:
    """The lines of one example, painted from each opening mark to its closing mark, also over several lines."""
    learned = False
    for line in lines:
        painted = ""
        for piece in re.split(f"({'|'.join(LOSS_MARKS)})", line):
            learned = learned or piece == LOSS_MARKS[0]
            painted += paint(piece, GREEN) if learned else piece
            learned = learned and piece != LOSS_MARKS[1]
        yield painted


def _short_place(place: str) -> str:
    """A place without the folder of its file; `--json` has the whole path."""
    return place.rpartition("/")[2] if place.startswith(("/", "gs://")) else place


def _sample_text(pieces: Sequence[Report], *, marked: bool) -> str:
    before, after = LOSS_MARKS if marked else ("", "")
    return "".join(
        f"{before}{printable(piece['text'])}{after}" if piece["counts"] else printable(piece["text"])
        for piece in pieces
    )


def _truncated(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def horizontal_bar(share: float, width: int) -> str:
    """A bar of `width` characters, filled to `share`; a share over 0 is always visible."""
    eighths = max(round(share * width * 8), share > 0)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + HORIZONTAL_EIGHTHS[rest] * (rest > 0)).ljust(width)


def vertical_bars(counts: Sequence[int]) -> str:
    """A character for each count; the largest count is a whole one, and a count over 0 is always visible."""
    most = max(counts, default=0) or 1
    return "".join(VERTICAL_EIGHTHS[max(round(8 * count / most), count > 0)] for count in counts)
