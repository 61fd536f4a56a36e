"""How single values of a configuration are read: secrets stay references, and texts stay what was typed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import yaml
from omegaconf import OmegaConf

from passingloop.errors import ConfigError

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS(?!INGLOOP)|(?<!^)(?<!^OLD)PWD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables whose values are never put into a configuration. PWD and OLDPWD are folders."""

_NAMES = """
account cache_root command config connection credentials csv_escape csv_quote dsn email entity label label_separator
max_mem mem gpu_type messages metric name partition password_env path prepare_partition prepare_qos project qos revision
run_mode run_root tags test text time to train validation webhook_env
"""

_GROUPS = """
adapter checkpoint cluster data experiment export launcher model notify optim resources retry sweep tracking
trainer watch
"""

GROUPS = frozenset(_GROUPS.split())
"""The groups of settings, whose choices are the names of files."""

TEXT_SETTINGS = frozenset(_NAMES.split())
"""The names of all settings that are text or paths, or lists of such. Written down, as gathering them from the classes
would import all data sources and optimizers; a test compares."""

REQUIRED_TEXTS = frozenset(["credentials", "label", "metric", "name", "path", "project", "run_mode", "text"])
"""Those of them that cannot be null: there the word null is text like any other. A test compares these as well."""

_NUMBER = r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?|[+-]?(?:inf|nan)"
_STRING = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''

OWN_TEXT = re.compile(r"0|-?[1-9][0-9]*|true|false", re.IGNORECASE)
"""A number or truth value that an option of sbatch may be."""

CHOICE = re.compile(r"^choice\((.*)\)$")

FUNCTION = re.compile(r"\w+\(")
"""A function of Hydra that sweeps over numbers, or changes what it sweeps over."""

ITEM = re.compile(rf"({_STRING})|((?:^|[\[(,])\s*)({_NUMBER}|true|false|null)(?=\s*(?:[\]),]|$))", re.IGNORECASE)
"""A quoted text, or a number, truth value or null that is an item of a list, or all there is."""

PAIR = re.compile(r"(\s*([\w.-]+)\s*:\s*)(.*?)(\s*)", re.DOTALL)
"""What stands between the commas of braces: a key with its value."""

BRACKET = re.compile(rf"{_STRING}|[\[\](){{}},]")
"""A quoted text, a bracket, or a comma."""

DEFAULT = re.compile(rf"(\$\{{\s*oc\.env\s*:[^,{{}}]+,\s*)({_NUMBER}|true|false|null)(?=\s*\}})", re.IGNORECASE)
"""The beginning of a reference to an environment variable, and its default, if that is a number or the like."""

TRUTH_TAG = "tag:yaml.org,2002:bool"

_MISSING = object()


def keep_secrets_as_references() -> None:
    """Replace OmegaConf's ``oc.env`` by one that never resolves a secret, so that `--cfg job --resolve` is safe."""
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def _environment(name: str, default: object = _MISSING) -> object:
    if SECRET_NAME.search(name):
        return f"${{oc.env:{name}}}"
    if name in os.environ:
        return os.environ[name]
    if default is _MISSING:
        raise ConfigError(
            f"the environment variable {name} is not set. Set it, or give a default: ${{oc.env:{name},DEFAULT}}."
        )
    return default


def keep_texts_as_typed() -> None:
    """Make PyYAML read the values of text settings, and all keys, as text: 2024_11_29, 1e3, 0750 and yes, for some.

    A time such as 4:00:00 is text everywhere. YAML 1.1 takes it for the base-60 number 14400, which Slurm would take
    for minutes: ten days.
    """
    yaml.SafeLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)
    yaml.SafeLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def is_text(key: str) -> bool:
    """Whether the setting `key`, such as ``data.text``, is text or a path, or a list of such; or a choice of a group.

    An option of sbatch is text as well, unless it is a whole number, true or false.
    """
    section, _, name = key.lstrip("+").rpartition(".")
    if not section and name in GROUPS:
        return True
    return _is_option(key) or (name in TEXT_SETTINGS and section.rpartition(".")[2] != "parameters")


def quote_texts(word: str) -> str:
    """A word of the command line in which the numbers and truth values of text settings stand in quotes.

    So Hydra's grammar reads ``name=1e3``, also in lists, braces and sweeps, as the text that it is. Functions of a
    sweep, such as ``range(1,4)``, stay what they are; ``choice(1,2)``, in which Hydra takes the quotes off, is ``1,2``.
    """
    key, equals, values = word.partition("=")
    values = CHOICE.sub(r"\1", values)
    if FUNCTION.match(values):
        return word
    return key + equals + ",".join(_quote(key, value) for value in _split(values))


def _quote(key: str, value: str) -> str:
    """The value of the setting or section `key`, whose text settings are quoted."""
    if value.startswith("{") and value.endswith("}"):
        pairs = [PAIR.fullmatch(pair) for pair in _split(value[1:-1])]
        if all(pairs):
            quoted = (f"{pair[1]}{_quote(f'{key}.{pair[2]}', pair[3])}{pair[4]}" for pair in pairs if pair)
            return "{" + ",".join(quoted) + "}"
    if not is_text(key):
        return value
    value = _with_text_defaults(key, value)
    return ITEM.sub(lambda item: item[1] or f"{item[2]}{_quoted(key, item[3])}", value)


def _with_text_defaults(key: str, value: str) -> str:
    """The value of a text setting, with the defaults of environment variables in quotes other than those around it."""
    mark = '"' if value.startswith("'") else "'"
    return DEFAULT.sub(lambda part: part[1] + _quoted(key, part[2]).replace('"', mark), value)


def _split(text: str) -> list[str]:
    """`text` between its commas; those in brackets and quotes do not count."""
    parts, start, depth = [], 0, 0
    for token in BRACKET.finditer(text):
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if token[0] == "," and not depth:
            parts.append(text[start : token.start()])
            start = token.end()
    return [*parts, text[start:]]


def _quoted(key: str, value: str) -> str:
    """`value` of the text setting `key` in quotes, if Hydra would read something else than the same text from it."""
    if (_is_option(key) and OWN_TEXT.fullmatch(value)) or (value.lower() == "null" and not is_required(key)):
        return value
    return f'"{value}"'


def is_required(key: str) -> bool:
    """Whether the text setting `key` cannot be null."""
    return key.lstrip("+").rpartition(".")[2] in REQUIRED_TEXTS and not _is_option(key)


def _is_option(key: str) -> bool:
    """Whether `key` is an option of sbatch, which may be text, a whole number or a truth value."""
    return key.rpartition(".")[0].rpartition(".")[2] == "extra"


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text: str = loader.construct_scalar(node)
    number: int | str = text if ":" in text else loader.construct_yaml_int(node)
    return number


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Iterator[object]:
    """What PyYAML makes of `node`, once its keys and the values of text settings are marked as text."""
    section = getattr(node, "section", "")
    for name, value in node.value:
        _mark_text(name, "")
        value.section = str(name.value)  # PyYAML makes the mappings within this one later
        key = f"{section}.{name.value}"
        if is_text(key):
            for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not (_is_option(key) and (item.tag == TRUTH_TAG or OWN_TEXT.fullmatch(str(item.value)))):
                    _mark_text(item, key)
    yield from loader.construct_yaml_map(node)


def _mark_text(node: yaml.Node, key: str) -> None:
    """Make text of a key, which is that of no setting (""), or of a value of the text setting `key`."""
    is_null = node.tag == "tag:yaml.org,2002:null" and node.value.lower() == "null"
    if node.tag in (TRUTH_TAG, "tag:yaml.org,2002:int", "tag:yaml.org,2002:float") or (is_null and is_required(key)):
        node.tag = "tag:yaml.org,2002:str"
    elif node.tag == "tag:yaml.org,2002:str" and isinstance(node.value, str) and key:
        node.value = _with_text_defaults(key, node.value)
