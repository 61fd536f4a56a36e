"""What a file is that was taken for text, by its first bytes."""

from __future__ import annotations

UTF32 = "is UTF-32, not UTF-8. Convert it, for instance with iconv -f utf-32 -t utf-8."
UTF16 = "is UTF-16, not UTF-8. Convert it, for instance with iconv -f utf-16{} -t utf-8."

BEGINNINGS = {
    b"PK\x03\x04": "is a zip archive, as Excel's files are, too. Unpack it, or save the table as CSV.",
    b"\x1f\x8b": "is compressed with gzip. Add .gz to its name.",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Add .zst to its name.",
    b"PAR1": "is Parquet. Name it so (.parquet), or set data.format=parquet.",
    b"ARROW1": "is an Arrow file. Write it as Parquet.",
    b"SQLite format 3\0": "is an SQLite database. Read it with data=sql, or export the table as CSV.",
    b"%PDF-": "is a PDF. Extract its text first.",
    b"\xff\xfe\0\0": UTF32,
    b"\0\0\xfe\xff": UTF32,
    b"\xff\xfe": UTF16.format(""),
    b"\xfe\xff": UTF16.format(""),
}
"""Sentences without their subject. Longer beginnings stand before those with which they begin themselves."""

LENGTH = 64
"""Bytes that are enough to tell."""


def not_text(beginning: bytes) -> str:
    """What a file that begins so is instead of text, and what to do about it; nothing if it may be text."""
    for bytes_, what in BEGINNINGS.items():
        if beginning.startswith(bytes_):
            return what
    if len(beginning) > 3 and not any(beginning):
        return "begins with nothing but zeros, as a crash or a full disk leaves behind. Make it again."
    for place, order in ((1, "le"), (0, "be")):  # ASCII in UTF-16 without a byte order mark
        if len(beginning) > 3 and not any(beginning[place::2]) and all(beginning[1 - place :: 2]):
            return UTF16.format(order)
    return ""
