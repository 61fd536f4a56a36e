"""The ``passingloop`` command: ``passingloop <verb> …``."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from passingloop import __version__
from passingloop.errors import ConfigError
from passingloop.handoff import clean_environment
from passingloop.text import data_exit_code, exit_code

FOLDERS = {
    "runs": ("status", "logs", "wait", "cancel", "rerun", "promote", "diff", "drill", "sweep"),
    "collection": ("list", "tag", "note", "archive", "delete"),
    "queue": ("why", "hold", "release", "priority"),
    "preparation": ("prepare",),
    "watching": ("export-metrics", "dashboard", "sync"),
    "cluster": ("top", "shell", "notebook", "doctor", "report"),
}
"""The verbs by the folder of their modules. A module says in its docstring what the verb is for, adds its arguments in
`add_arguments`, and does it in `main`."""

VERBS = {verb: folder for folder, verbs in FOLDERS.items() for verb in verbs}

ENDING = """\
Without RUN, NAME or JOBID a verb is about all of your runs. `passingloop VERB --help` says more.

exit codes: 0 done; 1 a run failed; 2 the command or the configuration is wrong; 3 something outside is missing,
such as Slurm; 130 interrupted."""


def main() -> int:
    """Run the verb that the command line names. Returns its exit code."""
    clean_environment()
    if sys.argv[1:2] == ["train"]:
        from passingloop.cli.train import main as train

        del sys.argv[1]  # Hydra reads the rest
        return train()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `passingloop status | head` is no mistake
    try:
        return exit_code(lambda: _verb() or data_exit_code())
    finally:
        signal.signal(signal.SIGPIPE, before)


def _verb() -> int:
    """Do what the command line says. Returns the exit code.

    Raises:
        ConfigError: there is no such verb.
    """
    words = sys.argv[1:] or ["--help"]
    if not words[0].startswith("-") and words[0] not in VERBS:
        from passingloop.config.build import did_you_mean

        near = did_you_mean(words[0], ["train", *VERBS])
        raise ConfigError(f"There is no verb {words[0]}.{near} `passingloop --help` lists them.")
    words = _with_signed_values(words)
    parser = _parser([words[0]] if words[0] in VERBS else list(VERBS))
    arguments, rest = parser.parse_known_args(words)
    if rest and ("overrides" not in arguments or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.overrides += rest  # argparse takes no more of them once an option has come between
    return int(_module(arguments.verb).main(arguments))


def _with_signed_values(words: Sequence[str]) -> list[str]:
    """The words; a key that begins with a hyphen, as in ``--sort -test/accuracy``, looks like an option to argparse."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--sort" and "--" not in joined:
            joined[-1] = f"--sort={word}"
        else:
            joined.append(word)
    return joined


def _parser(described: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command line, with only the verbs in `described`: the modules of the others stay unloaded."""
    plain = argparse.RawDescriptionHelpFormatter
    about = _docstring(sys.modules["passingloop"])
    parser = argparse.ArgumentParser("passingloop", description=about, epilog=ENDING, formatter_class=plain)
    parser.add_argument("--version", action="version", version=f"passingloop {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    verbs.add_parser("train", help="train here or submit: the same as `python train.py`")
    for name in described:
        module = _module(name)
        first, _, rest = _docstring(module).partition("\n")
        what = first.partition(": ")[2]
        module.add_arguments(
            verbs.add_parser(name, help=what.rstrip("."), description=f"{what}\n{rest}".strip(), formatter_class=plain)
        )
    return parser


def _docstring(module: ModuleType) -> str:
    """Of `module`; from its source where Python has left it out, as ``python -OO`` does."""
    if module.__doc__ is None and module.__file__:
        import ast

        return ast.get_docstring(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))) or ""
    return module.__doc__ or ""


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"passingloop.cli.{VERBS[verb]}.{verb.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())
