"""Whether a run that is complete has learned from the data and the model that are there now.

Only files are compared, because a command that finds its run complete must answer within seconds and without a network.
The digests of large files are stored, so an unchanged file is not read again. Databases, buckets and the hub are not
asked: what a run has read from them is settled by its first attempt.
"""

from __future__ import annotations

from pathlib import Path

from passingloop.config.data import DataConfig, Fingerprint, errors_named, named_sources
from passingloop.config.settings import ModelConfig, RunConfig, Task
from passingloop.model.fingerprint import folder_fingerprint, moved_branch
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.text import say


class InputCheck:
    """Compares the inputs of complete runs with what is there now; those that several runs share are read once."""

    def __init__(self) -> None:
        self._data: dict[tuple[DataConfig, Task, Path], Fingerprint] = {}
        self._models: dict[tuple[ModelConfig, Path], Fingerprint | None] = {}

    def check(self, run: RunDir, config: RunConfig) -> None:
        """Check the data and the model of a complete run; says so if a branch of the hub has moved.

        Raises:
            DataChanged, ModelChanged: a file of them is gone, new or has other content.
            DataError, ConfigError: one cannot be read.
        """
        pinned = record.pinned_values(run)
        if pinned is None:
            return
        record.check_data(pinned, self._current_data(config, pinned.data_fingerprint))
        key = (config.model, config.cache_root)
        if key not in self._models:
            self._models[key] = _current_model(*key)
        record.check_model(pinned, self._models[key])
        if notice := moved_branch(config.model, pinned.model_fingerprint):
            say(f"Notice: {notice}")

    def _current_data(self, config: RunConfig, pinned: Fingerprint) -> Fingerprint:
        """The fingerprint `pinned`, with the current pieces of sources that are local files."""
        current = dict(pinned)
        for name, source in named_sources(config.data).items():
            if source.CHECKED == "here":
                prefix = f"{name}/" if name else ""
                own = {part for part in pinned if not name or part.startswith(prefix)}
                current = {part: pieces for part, pieces in current.items() if part not in own}
                with errors_named(name):
                    pieces = self._source_fingerprint(source, config)
                current |= {f"{prefix}{part}": pieces[part] for part in pieces}
        return current

    def _source_fingerprint(self, source: DataConfig, config: RunConfig) -> Fingerprint:
        from passingloop.data.source import open_source  # takes 70 ms

        key = (source, config.task, config.cache_root)
        if key not in self._data:
            opened = open_source(source, config.task, config.cache_root)
            self._data[key] = {part: opened.identity(part) for part in opened.parts()}
        return self._data[key]


def _current_model(config: ModelConfig, cache_root: Path) -> Fingerprint | None:
    """The fingerprint of a model in a folder; None for one of the hub, which has a commit, or if it is not there."""
    folder = Path(config.path)
    return folder_fingerprint(folder, cache_root, code=config.trust_remote_code) if folder.is_dir() else None
