"""Errors of the hub's libraries as errors of passingloop: which dataset, why it cannot be used, and what to do."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passingloop.config.build import did_you_mean
from passingloop.config.data import PARTS
from passingloop.data.files.errors import names_excerpt
from passingloop.data.hub.cache import HubCache, datasets_library
from passingloop.data.hub.settings import HubData
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError

LOG_IN = "log in with `hf auth login`, or put a token into the environment variable HF_TOKEN"


@dataclass(frozen=True, slots=True)
class HubFaults:
    """Translates the errors about one dataset."""

    config: HubData
    cache_root: Path
    cache: HubCache
    has_begun: bool = False
    """Whether `config.revision` is the commit that the run began with, and not that of the settings."""

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """A context for calls of `datasets` and `huggingface_hub`, which raise exceptions of many libraries.

        Raises:
            DataError: the dataset does not exist, is not accessible, or cannot be read.
            ConfigError: the cache cannot be written to.
            MissingError: the hub cannot be reached.
        """
        with _captured_log() as messages:
            try:
                yield
            except PassingloopError:
                raise
            except Exception as problem:
                raise self._translate(problem, _last_named_file(messages)) from problem

    def unreachable_error(self, why: str) -> MissingError:
        """The error for a dataset that is not in the cache while the hub cannot be reached, with a command to fetch
        it."""
        command = ["passingloop", "prepare", "data=hub", f"data.path={self.config.path}"]
        for key in ("config", "revision", *PARTS):
            value = getattr(self.config, key)
            if value:
                command.append(f"data.{key}={value if isinstance(value, str) else _list_value(value)}")
        return MissingError(
            f"You set data.path={self.config.path}, but it is not in the cache, and the hub cannot be reached ({why}). "
            f"Connect; or fetch it on a machine with a network that shares cache_root={self.cache_root}: "
            f"{shlex.join(command)}"
        )

    def config_error(self, revision: str | None) -> ConfigError | None:
        """The error if `data.config` is not one of the dataset's configurations, or is missing and there are
        several."""
        config = self.config
        names = datasets_library().get_dataset_config_names(config.path, revision=revision)
        if config.config is None and len(names) > 1:
            return ConfigError(
                f"You set data.path={config.path}, which has several configurations: {names_excerpt(names)}. Choose "
                f"one, as in data.config={names[0]}."
            )
        if config.config is not None and config.config not in names:
            return ConfigError(
                f"You set data.config={config.config}, but data.path={config.path} has no such configuration. It has: "
                f"{names_excerpt(names)}.{did_you_mean(config.config, names)}"
            )
        return None

    def _translate(self, problem: Exception, file: str) -> PassingloopError:
        """The error for the first exception in the chain of causes that is known; first those about access."""
        chain = list(_causes(problem))
        for explain in (self._access_error, self._connection_error, self._content_error):
            for link in chain:
                if error := explain(link):
                    return error
        source = f"{file} in data.path={self.config.path}" if file else f"data.path={self.config.path}"
        return DataError(f"datasets cannot read {source}: {first_line(chain[-1])}.")

    def _access_error(self, problem: BaseException) -> PassingloopError | None:
        from datasets.exceptions import DatasetNotFoundError
        from huggingface_hub import errors, get_token

        path, token = self.config.path, get_token() is not None
        page = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/datasets/{path}"
        # datasets suppresses the cause of its own error.
        hidden = isinstance(problem, DatasetNotFoundError) and "is a gated dataset" in str(problem)
        match problem:
            case _ if hidden or isinstance(problem, errors.GatedRepoError):
                ask = f"ask for access on {page}" if token else f"accept its conditions on {page}, then {LOG_IN}"
                return DataError(f"You set data.path={path}, which only those may read who were let in: {ask}.")
            case errors.RepositoryNotFoundError():
                private = "your token must be allowed to read it" if token else LOG_IN
                return DataError(
                    f"You set data.path={path}, but there is no such folder here, and on the hub no dataset of that "
                    f"name that you may see. Check the spelling; if it is private, {private}."
                )
            case errors.RevisionNotFoundError() if self.has_begun:
                return DataError(
                    f"The run began with commit {self.config.revision} of data.path={path}, which is no longer on the "
                    "hub. Add rerun=true to begin afresh with the dataset as it is now."
                )
            case errors.RevisionNotFoundError():
                return DataError(
                    f"You set data.revision={self.config.revision}, but {path} has no such branch, tag or commit. "
                    f"{page}/tree/main lists them."
                )
            case errors.HfHubHTTPError() if problem.response.status_code in (401, 403):
                return DataError(
                    f"You set data.path={path}, but the hub does not let you read it ({problem.response.status_code}). "
                    f"If your token is wrong, expired or not made for this, {LOG_IN}."
                )
        return None

    def _connection_error(self, problem: BaseException) -> PassingloopError | None:
        from huggingface_hub import errors
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the HTTP library that it uses

        match problem:
            case errors.OfflineModeIsEnabled():
                return self.unreachable_error("HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set")
            case errors.HfHubHTTPError() if problem.response.status_code == 429:
                return MissingError(f"The hub has had too many requests for {self.config.path} (429). Try again later.")
            case errors.HfHubHTTPError() if problem.response.status_code >= 500:
                return self.unreachable_error(f"it answers {problem.response.status_code}")
            case httpx.TransportError() | TimeoutError() | ConnectionError():
                return self.unreachable_error(first_line(problem))
        return None

    def _content_error(self, problem: BaseException) -> PassingloopError | None:
        import yaml
        from datasets import exceptions
        from datasets.data_files import EmptyDatasetError
        from datasets.table import CastError

        path = self.config.path
        match problem:
            case EmptyDatasetError() | exceptions.DataFilesNotFoundError():
                return DataError(
                    f"You set data.path={path}, but there are no data files that datasets reads, such as Parquet, "
                    "CSV, JSONL or text, or none where its README.md says."
                )
            case RuntimeError() if "scripts are no longer supported" in str(problem):
                return DataError(
                    f"You set data.path={path}, which is made by a script, {str(problem).split()[-1]}. datasets runs "
                    "none any more. The hub may have converted it: data.revision=refs/convert/parquet."
                )
            case CastError():
                return DataError(
                    f"The files of data.path={path} differ in their columns: {problem.details().rstrip('.')}."
                )
            case exceptions.SplitsVerificationError():
                return DataError(
                    f"The files of data.path={path} do not hold what its README.md says (dataset_info: splits): "
                    f"{first_line(problem)[:300]}."
                )
            case yaml.YAMLError():
                message = " ".join(str(problem).split())
                return DataError(f"The YAML at the top of README.md in data.path={path} is wrong: {message}.")
            case OSError() if problem.filename and Path(path) in Path(problem.filename).parents:
                return DataError(f"Cannot read {problem.filename}: {problem.strerror}.")
            case OSError() if problem.errno and problem.strerror:
                return ConfigError(
                    f"data.path={path} cannot be kept in {self.cache.tables} and {self.cache.files}: "
                    f"{problem.strerror}. Make room, or set another cache_root."
                )
        return None


class _LogCapture(logging.Handler):
    """Collects the messages that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _captured_log() -> Iterator[list[str]]:
    """The log messages of `datasets`: only they name the damaged file, its exceptions do not."""
    capture, logger = _LogCapture(), logging.getLogger("datasets")
    logger.addHandler(capture)
    try:
        yield capture.messages
    finally:
        logger.removeHandler(capture)


def _last_named_file(messages: list[str]) -> str:
    """The last file name in the messages, without the commit before it; empty if there is none."""
    files = re.findall(r"(?:file|schema from) '(?:hf://[^@]*@[^/]*/)?([^']+)'", " ".join(messages))
    return files[-1] if files else ""


def first_line(problem: BaseException) -> str:
    """The first line of its message, or else the name of its type."""
    lines = str(problem).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(problem).__name__


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)


def _list_value(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else json.dumps(values)  # Hydra wants quotes around brackets in a list
