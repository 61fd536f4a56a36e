"""Small files of each format, texts that a format could trip over, and how often they are tried."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from passingloop.tasks.chat_template import read_chat

GOOD = [("one train", "a"), ("two trains", "b"), ("three trains", "a")]


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def csv(*rows: tuple[str, ...]) -> str:
    return "".join(",".join(row) + "\n" for row in (("text", "label"), *rows))


def jsonl(*rows: tuple[str | None, ...]) -> str:
    return "".join(json.dumps(dict(zip(("text", "label"), row, strict=True))) + "\n" for row in rows)


def parquet(*rows: tuple[bytes | None, ...]) -> bytes:
    columns = [pa.array(values, pa.binary()).view(pa.string()) for values in zip(*rows, strict=True)]
    with pa.BufferOutputStream() as sink:
        pq.write_table(pa.table(dict(zip(("text", "label"), columns, strict=True))), sink)
        return sink.getvalue().to_pybytes()


CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]

HOSTILE = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('",;\t\n\r\\\x00\x1c\x85\u2028\ufeff')))
"""All of Unicode but surrogates, with what CSV, JSON and line splitting could trip over made likely."""
ROUND_TRIP = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def messages(chats: Iterable[str | None]) -> list[list[dict[str, Any]] | None]:
    """The messages of chats as a source gives them, without the fields that say what is learned."""
    return [None if chat is None else list(read_chat(chat).messages) for chat in chats]
