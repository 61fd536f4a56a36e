"""The errors that are reported to users, each with the exit code of its command.

    PassingloopError                  1   the run failed
    ├── ConfigError                   2   a setting is wrong; the message has the key as typed
    │   └── SlurmRefused              2   Slurm refuses a request; the message has its reason
    ├── DataError                     2   the data cannot be used; the message has file and line
    ├── MissingError                  3   something is missing: package, driver, server, device
    │   ├── SlurmMissing              3   Slurm's commands are not installed here
    │   └── SlurmSilent               3   slurmctld does not answer
    ├── RunError                      1   the run cannot go on
    │   ├── RunBusy                   1   another process trains this run
    │   ├── Superseded               75   a newer attempt trains this run
    │   ├── TimeLimitReached          1   the job's time ran out before its processes could start
    │   ├── DataChanged               1   the data differ from those the run began with
    │   ├── ModelChanged              1   the model differs from the one the run began with
    │   ├── OtherVersion              1   a file has another format version
    │   ├── DamagedCheckpoint         1   the bytes of a checkpoint do not have its checksums
    │   ├── NotSaved                  1   the state could not be written
    │   └── NonFinite                 1   the loss or a gradient is NaN or infinite
    └── Interrupted                 130   the run was asked to stop and has saved

A message says what was set or found, why it cannot work, and what to do. Any other exception is a bug of the program
and is shown with its traceback.
"""

from __future__ import annotations

import os

ELSEWHERE = os.EX_TEMPFAIL
"""Exit code of a job whose run continues in another job, or not at all."""


class PassingloopError(Exception):
    """Base of all errors that are reported as a message without traceback."""

    exit_code = 1


class ConfigError(PassingloopError):
    """A setting is wrong."""

    exit_code = 2


class DataError(PassingloopError):
    """The data cannot be used."""

    exit_code = 2


class MissingError(PassingloopError):
    """Something that the run needs is missing: a package, driver, server or device."""

    exit_code = 3


class SlurmRefused(ConfigError):
    """A Slurm command failed; `text` is its error message alone."""

    def __init__(self, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class SlurmMissing(MissingError):
    """Slurm's commands are not installed here."""


class SlurmSilent(MissingError):
    """slurmctld does not answer."""


class RunError(PassingloopError):
    """The run cannot go on."""


class RunBusy(RunError):
    """Another process trains the run."""


class Superseded(RunError):
    """A newer attempt at the run has started, so this one writes nothing more."""

    exit_code = ELSEWHERE


class TimeLimitReached(RunError):
    """The job's time ran out before the processes of an attempt could start."""


class DataChanged(RunError):
    """The data differ from those the run began with."""


class ModelChanged(RunError):
    """The model, its tokenizer or its chat template differs from the one the run began with."""


class OtherVersion(RunError):
    """A file has another format version than this program reads."""


class DamagedCheckpoint(RunError):
    """The bytes of a checkpoint do not have the checksums in its manifest."""


class NotSaved(RunError):
    """A checkpoint could not be written: the disk is full or missing."""


class NonFinite(RunError):
    """The loss or a gradient is NaN or infinite. Raised before the optimizer uses it."""


class Interrupted(PassingloopError):
    """The run was asked to stop and has saved its state."""

    exit_code = 130
