"""From the errors that Hydra and OmegaConf raise to sentences for people."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError

from passingloop.config.build import did_you_mean, unknown_key
from passingloop.config.compose import choices, known_keys
from passingloop.errors import ConfigError

QUOTES = (
    "Write key=value, and put a value with any of , = ~ # & ( ) [ ] { } in quotes, as in 'data.train=\"a, b.csv\"'."
)


def explain(error: Exception, typed: Sequence[str] = ()) -> ConfigError:
    """The sentence for an error that was raised while composing what was `typed`."""
    match error:
        case ConfigError():
            return error
        case MissingConfigException(missing_cfg_file=str(file)):
            return ConfigError(_unknown_choice(file, error.options or []))
        case OverrideParseException():
            return ConfigError(f"'{error.override}' is not understood{_cause(error)}. {QUOTES}")
        case InterpolationResolutionError():
            return ConfigError(f"{error.full_key}: {_resolution_problem(error)}")
        case ConfigCompositionException():
            return ConfigError(_composition_problem(error))
        case _ if "Config group override" in str(error):
            return ConfigError(_no_choice(typed))
        case _:
            return ConfigError(f"{_without_hydra_advice(error)}. You typed: {' '.join(typed)}")


def _unknown_choice(file: str, options: Sequence[str]) -> str:
    group, _, choice = file.rpartition("/")
    if not group:
        return f"There is no configuration file {choice}.yaml."
    return (
        f"You set {group}={choice}, but {group} has no such choice.{did_you_mean(choice, options)} "
        f"Choose from: {', '.join(sorted(options)) or 'nothing, the group is empty'}."
    )


def _composition_problem(error: ConfigCompositionException) -> str:
    text = str(error)
    if found := re.match(r"Could not override '(.+)'", text):
        return unknown_key(getattr(error.__cause__, "full_key", None) or found[1], known_keys())
    if found := re.match(r"Could not delete from config. '(.+)' does not exist", text):
        key = found[1]
        return f"{key} is null already: leave ~{key} out." if key in known_keys() else unknown_key(key, known_keys())
    if found := re.match(r"Could not append to config. An item is already at '(.+)'", text):
        return f"{found[1]} has a value already. Write {found[1]}=… without the +."
    if found := re.match(r"(.+) appears more than once in|Multiple values for (.+)\. To", text):
        group = found[1] or found[2]
        return f"{group} is chosen already. Write {group}=… without the +."
    if found := re.match(r"Ambiguous value for argument '((.+?)=(.*))'", text):
        return (
            f"You set {found[1]}, which is more than one value. Add -m to train with each of them, write "
            f"{found[2]}=[{found[3]}] for a list, or '{found[2]}=\"{found[3]}\"' for a text with commas."
        )
    if found := re.match(r"Error merging override (.+)", text):
        return f"'{found[1]}' is not understood{_cause(error)}."
    return f"{_without_hydra_advice(error)}."


def _no_choice(typed: Sequence[str]) -> str:
    """For the word that gives a group of settings something else than the name of a choice."""
    for word in typed:
        key, _, value = word.lstrip("~+").partition("=")
        if "=" in word and not key:
            return f"'{word}' has no key. {QUOTES}"
        options = choices(key)
        if options and value not in options:
            return (
                f"You set {word}, but {key} takes the name of a choice: {', '.join(options)}. Or set one of its keys, "
                "as in optim.lr=1e-4."
            )
    return f"A group of settings takes the name of a choice. You typed: {' '.join(typed)}"


def _resolution_problem(error: InterpolationResolutionError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return _first_line(error)


def _cause(error: Exception) -> str:
    return f": {_first_line(error.__cause__)}" if error.__cause__ else ""


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _without_hydra_advice(error: Exception) -> str:
    """Hydra's message in one paragraph."""
    return re.sub(r"\s*\n\s*", " ", str(error).strip()).rstrip(".")
