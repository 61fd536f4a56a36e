"""The source that the configuration chooses."""

from __future__ import annotations

from passingloop.config.settings import DataConfig, Task
from passingloop.data.source import Source
from passingloop.errors import ConfigError


def open_source(config: DataConfig, task: Task) -> Source:
    """The source behind `data=…`, ready to be read. Each is imported only when it is chosen.

    Raises:
        ConfigError: the source has nothing of the kind that is asked for.
        DataError: a file that the configuration names is not there.
    """
    if config.source == "files":
        from passingloop.data.files import Files

        return Files(config, task)
    if config.messages is not None:
        raise ConfigError(
            f"You set data.messages={config.messages}, but data=stdlib_docs has no chats. Leave it out, or "
            "set data=files."
        )
    from passingloop.data.stdlib_docs import StdlibDocs

    return StdlibDocs(task)
