"""Where the examples come from: a class for each choice of the group ``data``, told apart by its `source`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from passingloop.config.limits import at_least, between, limited, one_or_more, positive

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

Fingerprint = Mapping[str, Mapping[str, str]]
"""For each part of the data, its pieces (a file's path, say) and a digest of the content of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the examples come from and what of them is used."""

    source: str
    """Set by the choice of the group, as in `data=files`."""

    limit: int | None = limited(one_or_more)
    """At most this many examples per part, the first ones in stable-hash order; null takes all."""

    max_length: int | None = limited(at_least(2))
    """Tokens per example. Longer texts are cut (classification) or continued in further examples (causal_lm).
    Null is the model's own limit, at most 256 for classification and 1024 for causal_lm."""

    validation_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside where there are no validation data, by a stable hash of the text."""

    test_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside where there are no test data, by a stable hash of the text."""

    on_bad: Literal["fail", "drop"]
    """What becomes of examples without text or label, and of lines that cannot be parsed. All are counted and the
    first ones named; then `fail` stops before anything is trained, and `drop` goes on without them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StdlibData(DataConfig):
    """Docstrings of the running Python's standard library, each labelled with its module. For trying things out."""

    source: Literal["stdlib_docs"]
    """Set by the choice `data=stdlib_docs`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedData(DataConfig):
    """Data whose parts and columns have names."""

    train: tuple[str, ...]
    """Training data: paths or globs (`files`), `gs://` URLs or globs (`gcs`), queries or tables (`sql`), splits such
    as `train[:10%]` (`hub`); one or a list."""

    validation: tuple[str, ...]
    """Validation data; empty splits `data.validation_fraction` off the training data."""

    test: tuple[str, ...]
    """Test data; empty splits `data.test_fraction` off the training data."""

    text: str
    """Column that holds the text."""

    label: str
    """Column that holds the label (`task=classification`): strings or integers."""

    messages: str | None
    """Column that holds a chat, a list of `{role, content}` (`task=causal_lm`). Set it to train on the
    assistant's answers only; null trains on `data.text`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesData(NamedData):
    """Files: CSV, TSV, JSONL, Parquet and plain text."""

    source: Literal["files"]
    """Set by the choice `data=files`."""

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the files; `auto` goes by the file name, before any `.gz` or `.zst`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GcsData(NamedData):
    """Objects in Google Cloud Storage, in the formats of files."""

    source: Literal["gcs"]
    """Set by the choice `data=gcs`."""

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the objects; `auto` goes by their name, before any `.gz` or `.zst`."""

    credentials: str
    """`default` finds them as Google's tools do, `anonymous` reads public buckets, a path is a service account's
    key file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubData(NamedData):
    """A dataset of the Hugging Face hub, or a folder in that form."""

    source: Literal["hub"]
    """Set by the choice `data=hub`."""

    path: str
    """Dataset id such as `fancyzhx/ag_news`, or a folder that `datasets.load_dataset` reads."""

    config: str | None
    """Which of the dataset's configurations; null where it has one only."""

    revision: str | None
    """Branch, tag or commit on the hub; null is the default branch."""

    streaming: bool
    """Read the dataset as it arrives and keep its tokens only, for what does not fit on the disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlData(NamedData):
    """Rows of any database with an ODBC driver. What is read is kept, and read again with `data.refresh` only."""

    source: Literal["sql"]
    """Set by the choice `data=sql`."""

    dsn: str | None
    """Data source name, from odbc.ini."""

    connection: str | None
    """ODBC connection string without a password, such as `Driver=PostgreSQL Unicode;Server=db;Database=shop`."""

    password_env: str | None
    """Environment variable that holds the password. Null leaves it to the driver: odbc.ini, PGPASSFILE, Kerberos."""

    parameters: Mapping[str, str | int | float | bool | None]
    """Values for the `:name` in the queries: `+data.parameters.since=2026-01-01`."""

    refresh: bool
    """Read anew what an earlier run has read. A run that has begun keeps what it began with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixData:
    """Several sources at once. Each is a section of its own, with all the settings of its kind:
    `data=mix +data@data.sources.faq=files data.sources.faq.train=faq.csv +data@data.sources.shop=sql …`."""

    source: Literal["mix"]
    """Set by the choice `data=mix`."""

    sources: Mapping[str, AnySource]
    """The sources by the names that metrics show."""

    weights: Mapping[str, float] = limited(positive)
    """How often an epoch takes each example of a source: 1 unless it is set here, as in `+data.weights.faq=2`."""


AnySource = FilesData | GcsData | HubData | SqlData | StdlibData
AnyData = AnySource | MixData


def named_sources(data: AnyData) -> Mapping[str, AnySource]:
    """The sources of a mix by their names, or the one there is, which has none."""
    return data.sources if isinstance(data, MixData) else {"": data}


TRAIN = {
    "files": "a path or a glob, such as data.train=train.csv",
    "gcs": "a URL or a glob, such as data.train=gs://bucket/train-*.parquet",
    "hub": "a split, such as data.train=train",
    "sql": "a query or a table, such as data.train=questions",
}
"""What `data.train` names, by source."""


def contradictions(data: AnyData) -> Iterator[str]:
    """What no single setting can say to be wrong, in sentences."""
    if isinstance(data, MixData):
        yield from _in_mix(data)
        return
    if isinstance(data, NamedData) and not data.train:
        yield f"data={data.source} needs data.train: {TRAIN[data.source]}."
    if isinstance(data, FilesData | GcsData):
        yield from _in_names(data)
    if isinstance(data, SqlData) and (data.dsn is None) == (data.connection is None):
        yield "data=sql needs either data.dsn, a name from odbc.ini, or data.connection, an ODBC connection string."
    if data.validation_fraction + data.test_fraction > 0.9:
        yield (
            f"data.validation_fraction={data.validation_fraction} and data.test_fraction={data.test_fraction} leave "
            "less than a tenth to train on. Lower them."
        )


def _in_names(data: FilesData | GcsData) -> Iterator[str]:
    """Files that are named as objects in Google Cloud Storage, or the other way round."""
    named = [(part, name) for part in PARTS for name in getattr(data, part)]
    for part, name in named:
        set_to = f"You set data.{part}={name}, but"
        if isinstance(data, FilesData):
            if name.startswith("gs://"):
                yield f"{set_to} data=files reads local files. Set data=gcs for Google Cloud Storage."
        elif not name.startswith("gs://"):
            yield f"{set_to} data=gcs reads objects such as gs://bucket/train.csv. Set data=files for local files."
        elif not re.fullmatch(r"gs://[^/\s*?\[\]]+/.*[^/]", name, re.DOTALL):
            yield f"{set_to} that names no object. Name the objects, for instance data.{part}=gs://bucket/data/*.csv."


def _in_mix(data: MixData) -> Iterator[str]:
    if not data.sources:
        yield (
            "data=mix needs sources, each a section with a name: +data@data.sources.faq=files "
            "data.sources.faq.train=faq.csv."
        )
    for name in data.weights.keys() - data.sources.keys():
        yield f"You set data.weights.{name}, but data.sources has: {', '.join(data.sources)}. Name one of those."
    for name, source in data.sources.items():
        yield from (problem.replace("data.", f"data.sources.{name}.") for problem in contradictions(source))
