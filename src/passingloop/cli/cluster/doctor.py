"""``passingloop doctor``: what would go wrong with your runs here, by which evidence, and what to do.

Looks at the cluster, at run_root and cache_root, and at the environment; it changes nothing, and takes some seconds.
With --node it also looks from a node, in a job of one task. Overrides are those of `passingloop train`, such as
cluster=ours resources=node8: they say which runs are meant.

exit codes: 0 nothing would go wrong; 1 something would; 2 the command or the configuration is wrong; 3 there is no
Slurm, but --node or launcher=slurm asks for it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from dataclasses import asdict

from passingloop.cli.rows import as_json
from passingloop.config.command_line import configs_of
from passingloop.errors import ConfigError
from passingloop.report import doctor_page
from passingloop.text import has_colour, say

PATIENCE = 120.0
"""Seconds to wait for a node."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--node", action="store_true", help="look from a node as well, in a small job")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=float, default=PATIENCE, help="how long to wait for a node (120)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train, such as cluster.qos=scavenger")


def main(arguments: argparse.Namespace) -> int:
    """Print the findings. Returns 0, or 1 if something would go wrong.

    Raises:
        ConfigError: an override is wrong, or asks for several runs.
        MissingError: there is no Slurm, or it is silent, but is asked for.
    """
    from passingloop.doctor.examination import examine  # late: `--help` needs none of it
    from passingloop.doctor.finding import exit_code_of

    if not arguments.patience >= 1:
        raise ConfigError(f"You set --patience {arguments.patience:g}, but a node is waited for 1 s at least.")
    configs = configs_of(arguments.overrides)
    if len(configs) != 1:
        raise ConfigError("passingloop doctor takes the settings of one run. Leave out what makes a sweep of them.")
    if arguments.node:
        say(f"Waiting for a node, {arguments.patience:.0f} s at most.")
    findings = list(examine(configs[0], from_node=arguments.node, patience=arguments.patience))
    rows = [asdict(finding) for finding in findings]
    if arguments.json:
        print(as_json(rows))
    else:
        colour = sys.stdout.isatty() and has_colour()
        print("\n".join(doctor_page.page(rows, shutil.get_terminal_size().columns, colour=colour)))
    say(doctor_page.summary(Counter(finding.level for finding in findings)))
    return exit_code_of(findings)
