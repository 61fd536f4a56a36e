"""Every error a user can meet, each with the exit code its command ends with.

    PassingloopError                  1   the run failed
    ├── ConfigError                   2   a setting is wrong; names the key as typed
    │   └── SlurmRefused              2   Slurm does not do what it was asked for; says what it said
    ├── DataError                     2   the data cannot be used; names file and place
    ├── MissingError                  3   something outside is missing: package, driver, server, device
    │   ├── SlurmMissing              3   Slurm's commands are not installed here
    │   └── SlurmSilent               3   slurmctld does not answer
    ├── RunError                      1   the run cannot go on as it stands
    │   ├── RunBusy                   1   another process is working on this run
    │   ├── DataChanged               1   the data are not those the run began with
    │   ├── OtherVersion              1   another version of the program has written it, in another format
    │   ├── DamagedCheckpoint         1   a checkpoint's bytes are not those that were written
    │   ├── NotSaved                  1   the state could not be written
    │   └── NonFinite                 1   the loss or a gradient is NaN or infinite
    └── Interrupted                 130   asked to stop; everything is saved

A message says what was set or found, why that cannot work, and what to do. Anything that is not a
``PassingloopError`` is a fault of the program and keeps its traceback.
"""

from __future__ import annotations


class PassingloopError(Exception):
    """Base of all errors that are meant for people."""

    exit_code = 1


class ConfigError(PassingloopError):
    """A setting is wrong."""

    exit_code = 2


class DataError(PassingloopError):
    """The data cannot be used as they are."""

    exit_code = 2


class MissingError(PassingloopError):
    """Something the run needs from outside is not there."""

    exit_code = 3


class SlurmRefused(ConfigError):
    """Slurm answered with an error; `text` is what it said, without anything around it."""

    def __init__(self, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class SlurmMissing(MissingError):
    """Slurm's commands are not installed here."""


class SlurmSilent(MissingError):
    """slurmctld does not answer."""


class RunError(PassingloopError):
    """The run cannot go on as it stands."""


class RunBusy(RunError):
    """Another process holds the run."""


class DataChanged(RunError):
    """The data are not those the run began with."""


class OtherVersion(RunError):
    """A file's format is that of another version of the program."""


class DamagedCheckpoint(RunError):
    """A checkpoint's bytes are not those that were written."""


class NotSaved(RunError):
    """The state could not be written: the disk is full, or gone."""


class NonFinite(RunError):
    """A loss or gradient is NaN or infinite; raised before the optimizer has used it."""


class Interrupted(PassingloopError):
    """The run was asked to stop and has saved its state."""

    exit_code = 130
