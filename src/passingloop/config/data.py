"""Where the examples come from: what the settings of every source have and answer, and the list of the sources.

The settings of each source stand in its own folder, `passingloop/data/<source>/settings.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from passingloop.config.bounds import at_least, between, limited, one_character, one_or_more, positive
from passingloop.config.build import NamedClasses, Options, load_class, to_plain
from passingloop.errors import PassingloopError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

SimilarLabels = Literal["refuse", "fold", "keep"]
"""What becomes of labels that look alike; see `NamedData.similar_labels`."""

Fingerprint = Mapping[str, Mapping[str, str]]
"""For each part of the data, its pieces (a file's path, say) and a digest of the content of each."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source by dotted names: its classes are imported when it is chosen, not when it is listed."""

    folder: str
    settings: str
    """Name of the class in `<folder>.settings`, a `DataConfig`."""
    reader: str
    """Name of the class in `<folder>.source`, a `passingloop.data.source.Source`."""

    def reader_class(self) -> Any:
        """The class that reads it, made from settings, task, `cache_root`, and what the run began with."""
        return load_class(f"{self.folder}.source.{self.reader}")


SOURCES = {
    "files": SourceEntry("passingloop.data.files", "FilesData", "Files"),
    "gcs": SourceEntry("passingloop.data.gcs", "GcsData", "Gcs"),
    "hub": SourceEntry("passingloop.data.hub", "HubData", "Hub"),
    "sql": SourceEntry("passingloop.data.sql", "SqlData", "Sql"),
    "stdlib_docs": SourceEntry("passingloop.data.stdlib", "StdlibData", "StdlibDocs"),
}
"""The sources by their `data.source`. A new one is a line here, a folder, and a file of defaults in config/data/."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the examples come from and what of them is used."""

    CHOICES: ClassVar[Mapping[str, type[DataConfig]]] = NamedClasses(
        {source: f"{entry.folder}.settings.{entry.settings}" for source, entry in SOURCES.items()}
    )

    NOT_LEARNED: ClassVar[frozenset[str]] = frozenset()
    """Settings that say how one gets at the data, not which they are: the signature leaves them out."""

    ENCODED: ClassVar[frozenset[str]] = frozenset({"limit", "validation_fraction", "test_fraction", "on_bad"})
    """Settings that tokens depend on, beside the content of what is read, which `Source.identity` describes."""

    CHECKED: ClassVar[Literal["never", "here", "in a process"]] = "in a process"
    """Where `Source.check` and `Source.size` are called before a run is started or submitted: `here` if they need
    neither a driver nor a server, which may hang or crash; `never` if nothing can be wrong."""

    ANEW: ClassVar[str | None] = None
    """The setting, if there is one, that has everything read again although a cache holds it."""

    source: str
    """Set by the choice of the group, as in `data=files`."""

    limit: int | None = limited(one_or_more)
    """At most this many examples per part, the first ones in stable-hash order; null takes all."""

    max_length: int | None = limited(at_least(2))
    """Tokens per example. Longer texts are cut; with `task=causal_lm` they are continued in further examples.
    Null is the model's own limit, at most 256, or 1024 for causal_lm."""

    validation_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside where there are no validation data, by a stable hash of the text."""

    test_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside where there are no test data, by a stable hash of the text."""

    on_bad: Literal["fail", "drop"]
    """What becomes of examples without text or label, and of lines that cannot be parsed. All are counted and the
    first ones named; then `fail` stops before anything is trained, and `drop` goes on without them."""

    def located(self, folder: Path, section: str) -> Self:
        """The settings with absolute paths, so that they are the same on every machine and from every folder.

        Args:
            folder: where relative paths begin.
            section: the settings' name as typed, `data` or `data.sources.NAME`, for messages.

        Raises:
            ConfigError: a path cannot be one.
        """
        return self

    def contradictions(self, section: str) -> Iterator[str]:
        """A sentence for each combination of settings of `section` that cannot work."""
        if self.validation_fraction + self.test_fraction > 0.9:
            yield (
                f"{section}.validation_fraction={self.validation_fraction} and "
                f"{section}.test_fraction={self.test_fraction} leave less than a tenth to train on. Lower them."
            )

    def learned(self) -> dict[str, Any]:
        """The settings that the signature covers."""
        return {name: value for name, value in to_plain(self).items() if name not in self.NOT_LEARNED}

    def unlimited(self) -> Self:
        """The same data whatever part of them is used: what is checked once for a sweep over that."""
        return dataclasses.replace(self, limit=None, max_length=None, validation_fraction=0.0, test_fraction=0.0)

    def local_files(self) -> tuple[Path, ...]:
        """Files whose size and time of last change tell whether the data are still those that were prepared.

        Raises:
            DataError: one is not there.
        """
        return ()

    @property
    def has_versions(self) -> bool:
        """Whether a run that has begun reads the data that it began with again, whatever there is by then."""
        return False

    @property
    def reads_anew(self) -> bool:
        """Whether everything is to be read again although a cache holds it."""
        return self.ANEW is not None and bool(getattr(self, self.ANEW))

    @property
    def chat_column(self) -> str | None:
        """The column that holds chats, if examples are chats."""
        return None

    HAS_COLUMNS: ClassVar[bool] = False
    """Whether the settings name columns of the data."""

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that hold labels."""
        return ()

    @property
    def separator(self) -> str | None:
        """What separates the labels in a text; None where they are lists."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedData(DataConfig):
    """Data whose parts and columns have names."""

    ENCODED: ClassVar[frozenset[str]] = DataConfig.ENCODED | {"text", "label", "label_separator", "messages"}

    HAS_COLUMNS: ClassVar[bool] = True

    TRAIN: ClassVar[str]
    """What `data.train` names, with an example of its value, as in "a split, such as {}=train"."""

    train: tuple[str, ...]
    """Training data: paths or globs (`files`), `gs://` URLs or globs (`gcs`), queries or tables (`sql`), splits such
    as `train[:10%]` (`hub`); one or a list."""

    validation: tuple[str, ...]
    """Validation data; empty splits `data.validation_fraction` off the training data."""

    test: tuple[str, ...]
    """Test data; empty splits `data.test_fraction` off the training data."""

    text: str
    """Column that holds the text."""

    label: str | tuple[str, ...]
    """Column that holds the label: text or whole numbers (`task=classification`), a list of such (`task=multilabel`), a
    number (`task=regression`). Several columns of numbers as a list: `data.label=[price,area]`."""

    label_separator: str | None = None
    """What stands between the labels where the column holds them as text, such as `;` (`task=multilabel`). Null: the
    column holds lists. An empty text or list is a text without labels, null is a mistake."""

    similar_labels: SimilarLabels = "refuse"
    """What becomes of labels that differ in nothing but case, blanks, invisible characters or the form of Unicode, such
    as `fruit` and `Fruit `: `refuse` names them with their places before anything is trained, `fold` makes them one
    class, `keep` keeps them apart."""

    messages: str | None
    """Column that holds a chat, a list of `{role, content}` (`task=causal_lm`). Set it to train on the
    assistant's answers only; null trains on `data.text`."""

    def contradictions(self, section: str) -> Iterator[str]:
        if not self.train:
            yield f"data={self.source} needs {section}.train: {self.TRAIN.format(f'{section}.train')}."
        yield from super(NamedData, self).contradictions(section)

    def named(self) -> Iterator[tuple[Part, str]]:
        """Every name with the part that it is set for."""
        return ((part, name) for part in PARTS for name in getattr(self, part))

    @property
    def chat_column(self) -> str | None:
        return self.messages

    @property
    def label_columns(self) -> tuple[str, ...]:
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def separator(self) -> str | None:
        return self.label_separator


@dataclass(frozen=True, kw_only=True, slots=True)
class FormattedData(NamedData):
    """Data in files: CSV, TSV, JSONL, Parquet and plain text."""

    ENCODED: ClassVar[frozenset[str]] = NamedData.ENCODED | {"format", "csv_quote", "csv_escape"}

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the files or objects; `auto` goes by their names, before any `.gz` or `.zst`."""

    csv_quote: str | None = limited(one_character, '"')
    """CSV and TSV: the character around fields; inside such a field it is doubled. Null: quotes are text like any."""

    csv_escape: str | None = limited(one_character, None)
    """CSV and TSV: the character that makes the next one part of the field, such as `\\` before a quote. Null: none
    does, and a quote inside a quoted field is doubled."""

    def contradictions(self, section: str) -> Iterator[str]:
        yield from super(FormattedData, self).contradictions(section)
        if self.csv_escape is not None and self.csv_escape == self.csv_quote:
            yield f"You set {section}.csv_escape={self.csv_escape}, which is {section}.csv_quote. Leave it out."


@dataclass(frozen=True, kw_only=True, slots=True)
class MixData:
    """Several sources at once. Each is a section of its own, with all the settings of its kind:
    `data=mix +data@data.sources.faq=files data.sources.faq.train=faq.csv +data@data.sources.shop=sql …`."""

    source: Literal["mix"]
    """Set by the choice `data=mix`."""

    sources: Mapping[str, DataConfig]
    """The sources by the names that metrics show."""

    weights: Mapping[str, float] = limited(positive)
    """How often an epoch takes each example of a source: 1 unless it is set here, as in `+data.weights.faq=2`."""

    def located(self, folder: Path, section: str) -> Self:
        """As `DataConfig.located`, for all sources."""
        sources = {name: source.located(folder, f"{section}.sources.{name}") for name, source in self.sources.items()}
        return dataclasses.replace(self, sources=Options(sources))

    def contradictions(self, section: str) -> Iterator[str]:
        """As `DataConfig.contradictions`, of the mix and of all sources."""
        if not self.sources:
            yield (
                f"data=mix needs sources, each a section with a name: +data@{section}.sources.faq=files "
                f"{section}.sources.faq.train=faq.csv."
            )
        for name in self.weights.keys() - self.sources.keys():
            listed = ", ".join(self.sources)
            yield f"You set {section}.weights.{name}, but {section}.sources has: {listed}. Name one of those."
        for name, source in self.sources.items():
            yield from source.contradictions(f"{section}.sources.{name}")

    def learned(self) -> dict[str, Any]:
        """As `DataConfig.learned`."""
        return to_plain(self) | {"sources": {name: source.learned() for name, source in self.sources.items()}}


AnyData = DataConfig | MixData


def named_sources(data: AnyData) -> Mapping[str, DataConfig]:
    """The sources of a mix by their names, or the one there is, which has none."""
    return data.sources if isinstance(data, MixData) else {"": data}


@contextmanager
def errors_named(source: str) -> Iterator[None]:
    """An error in here is one of that `source` of a mix, and says so. Data from one place only have no name.

    Raises:
        PassingloopError: what is raised within.
    """
    try:
        yield
    except PassingloopError as problem:
        if not source:
            raise
        raise type(problem)(f"data.sources.{source}: {problem}") from problem
