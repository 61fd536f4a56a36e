"""From the errors that Hydra and OmegaConf raise to sentences for people."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from passingloop.config.build import choice, did_you_mean, hints, section_classes, unknown_key
from passingloop.config.data import AnyData
from passingloop.config.settings import OptimConfig, RunConfig
from passingloop.errors import ConfigError

QUOTES = (
    'Write key=value, with texts in quotes where there are commas or brackets: \'data.train=["~/a.csv","b, c.csv"]\'.'
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
        case MissingMandatoryValue():
            return ConfigError(f"{error.full_key} has no value. Set {error.full_key}=…")
        case InterpolationResolutionError():
            return ConfigError(f"{error.full_key}: {_resolution_problem(error)}")
        case ConfigCompositionException():
            return ConfigError(_composition_problem(error))
        case _ if "Config group override" in str(error):
            return ConfigError(_no_choice(typed))
        case _:
            return ConfigError(f"{_without_hydra_advice(error)}. You typed: {' '.join(typed)}")


@functools.cache  # 0.6 ms, and every point of a sweep asks
def known_keys() -> tuple[str, ...]:
    """Every setting and section by its full name, as the command line spells it."""
    return tuple(dict.fromkeys(_keys(RunConfig)))


def _keys(cls: type, prefix: str = "") -> Iterator[str]:
    for name, hint in hints(cls).items():
        yield prefix + name
        for section in section_classes(hint):
            yield from _keys(section, f"{prefix}{name}.")


def _unknown_choice(file: str, options: Sequence[str]) -> str:
    group, _, choice = file.rpartition("/")
    if not group:
        return f"There is no configuration file {choice}.yaml."
    listed = f" Choose from: {', '.join(sorted(options))}." if options else ""
    if choice.isdecimal():
        return f"You set {group}={choice}, but {group} takes the name of a choice.{listed}"
    return f"You set {group}={choice}, but {group} has no such choice.{did_you_mean(choice, options)}{listed}"


def _composition_problem(error: ConfigCompositionException) -> str:
    text = str(error)
    if parts := re.match(r"Could not override '(.+)'", text):
        inner = getattr(error.__cause__, "full_key", None)  # optim={a:1} names optim, but means optim.a
        key = inner if inner and parts[1] in known_keys() else parts[1]
        return _of_another_choice(key) or unknown_key(key, known_keys())
    if parts := re.match(r"Could not delete from config. '(.+)' does not exist", text):
        key = parts[1]
        return f"{key} is null already: leave ~{key} out." if key in known_keys() else unknown_key(key, known_keys())
    if parts := re.match(r"Could not append to config. An item is already at '(.+)'", text):
        return f"{parts[1]} has a value already. Write {parts[1]}=… without the +."
    if parts := re.match(r"(.+) appears more than once in|Multiple values for (.+)\. To", text):
        group = parts[1] or parts[2]
        return f"{group} is chosen already. Write {group}=… without the +."
    if parts := re.match(r"Ambiguous value for argument '((.+?)=(.*))'", text):
        return (
            f"You set {parts[1]}, which is more than one value. Add -m to train with each of them, write "
            f"{parts[2]}=[{parts[3]}] for a list, or '{parts[2]}=\"{parts[3]}\"' for a text with commas."
        )
    if parts := re.match(r"Error merging override (.+)", text):
        return f"'{parts[1]}' is not understood{_cause(error)}."
    return f"{_without_hydra_advice(error)}."


def _of_another_choice(key: str) -> str:
    """A sentence if `key` is a setting of another choice of data or optimizer, else nothing."""
    group, _, name = key.partition(".")
    classes = section_classes({"data": AnyData, "optim": OptimConfig}.get(group))
    choices = [choice(cls) for cls in classes if name in hints(cls)]
    if not choices:
        return ""
    *others, last = [f"{group}={each}" for each in choices]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"{key} is a setting of {listed}, which is not chosen here. Add {last if not others else others[0]}."


def _no_choice(typed: Sequence[str]) -> str:
    """For the word that gives a group of settings something else than the name of a choice."""
    parser = OverridesParser.create()
    for word in typed:
        if word.startswith("-") or isinstance(parser.parse_override(word).value(), str | list):
            continue
        key = word.lstrip("~+").partition("=")[0]
        if key not in known_keys() or any(other.startswith(f"{key}.") for other in known_keys()):
            return f"You set {word}, but {key} takes the name of a choice. `--help` shows the choices."
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
