"""``time: 4:00:00`` in a YAML file stays what was typed."""

from __future__ import annotations

import yaml


def keep_times_as_typed() -> None:
    """Make PyYAML read 4:00:00 as text.

    YAML 1.1 takes it for the base-60 number 14400, which Slurm would take for minutes: ten days.
    """
    yaml.SafeLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text: str = loader.construct_scalar(node)
    number: int | str = text if ":" in text else loader.construct_yaml_int(node)
    return number
