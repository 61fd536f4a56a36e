"""Whether a run that is complete has learned from the data and the model that are there now.

A command that finds its run complete must answer within seconds, and also without a network. Files are compared by
content; the digests of large ones are stored, so an unchanged file is not read again. Buckets and the hub are asked for
checksums and commits, databases for the number of rows; nothing is downloaded. What is no longer there, or cannot be
asked, is said, and the run is done nevertheless: only other data and another model are refused.
"""

from __future__ import annotations

from pathlib import Path

from passingloop.config.data import DataConfig, Fingerprint, named_sources
from passingloop.config.settings import ModelConfig, RunConfig, Task
from passingloop.errors import ConfigError, DataError, MissingError
from passingloop.model.fingerprint import PACKAGED, folder_fingerprint, moved_branch, package_folder, pinned_commit
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.text import say

Unknown = ConfigError | DataError | MissingError
"""Why the current data cannot be told."""


class InputCheck:
    """Compares the inputs of complete runs with what is there now; those that several runs share are read once."""

    def __init__(self) -> None:
        self._data: dict[tuple[str, DataConfig, Task, Path], Fingerprint | Unknown] = {}
        self._models: dict[tuple[ModelConfig, Path], Fingerprint | None] = {}

    def check(self, run: RunDir, config: RunConfig) -> None:
        """Check the data and the model of a complete run. Says what cannot be compared, and what has newer versions.

        Raises:
            DataChanged, ModelChanged: a file of them is gone, new or has other content.
        """
        pinned = record.pinned_values(run)
        if pinned is None:
            return
        record.check_data(pinned, self._current_data(config, pinned.data_fingerprint), complete=True)
        record.check_model(pinned, self._current_model(config, pinned.model_fingerprint), complete=True)
        if notice := moved_branch(config.model, pinned.model_fingerprint):
            say(f"Notice: {notice}")

    def _current_data(self, config: RunConfig, pinned: Fingerprint) -> Fingerprint:
        """The fingerprint `pinned`, with the current pieces of all sources that do not keep those of the run."""
        current = dict(pinned)
        for name, source in named_sources(config.data).items():
            prefix = f"{name}/" if name else ""
            own = {part: pieces for part, pieces in pinned.items() if part.startswith(prefix)}
            found = self._source_fingerprint(name, source, config)
            if isinstance(found, Unknown):
                say(f"Notice: the data of this run could not be compared with what it has learned from. {found}")
                continue
            found = {f"{prefix}{part}": pieces for part, pieces in found.items()}
            if not source.has_versions:
                current = {part: pieces for part, pieces in current.items() if part not in own} | found
            elif changed := record.changes(own, found):
                say(
                    f"Notice: the data have changed since this run began: {'; '.join(changed)}. The run keeps what it "
                    f"began with; {_anew(source)} starts afresh with the new."
                )
        return current

    def _source_fingerprint(self, name: str, source: DataConfig, config: RunConfig) -> Fingerprint | Unknown:
        """The current fingerprint of one source, or why it cannot be told."""
        from passingloop.data.probe import SourceCheck, current_fingerprint  # takes 70 ms

        key = (name, source.unlimited(), config.task, config.cache_root)
        if key not in self._data:
            try:
                self._data[key] = current_fingerprint(SourceCheck(*key))
            except (ConfigError, DataError, MissingError) as problem:
                self._data[key] = problem
        return self._data[key]

    def _current_model(self, config: RunConfig, pinned: Fingerprint | None) -> Fingerprint | None:
        """The fingerprint of a model in a folder or package; None for one of the hub, which has a commit.

        Also None if it is no longer there or cannot be read, which is said.
        """
        model = config.model
        folder = Path(model.path)
        if not folder.is_dir():
            if pinned is None or pinned_commit(pinned):
                return None
            packaged = package_folder(model.path)
            if packaged is None or not packaged.is_dir():
                where = "the installed package" if model.path in PACKAGED else "the folder"
                say(f"Notice: {where} of this run's model, {model.path}, is no longer there. The run is complete.")
                return None
            folder = packaged
        key = (model, config.cache_root)
        if key not in self._models:
            try:
                self._models[key] = folder_fingerprint(folder, config.cache_root, code=model.trust_remote_code)
            except ConfigError as problem:
                say(f"Notice: the model of this run could not be compared with what it has learned from. {problem}")
                self._models[key] = None
        return self._models[key]


def _anew(source: DataConfig) -> str:
    """The words with which a run learns from what is there now."""
    return f"rerun=true data.{source.ANEW}=true" if source.ANEW else "rerun=true"
