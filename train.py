"""Train: `python train.py [overrides]`; `python train.py --help` lists what can be set."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # this folder, in which somebody's data may lie beside a tokenizers.py

try:
    from passingloop.cli.train import main
except ModuleNotFoundError as problem:
    if problem.name != "passingloop":
        raise
    print(
        f"error: passingloop is not installed for {sys.executable}. Run ./scripts/setup, and then .venv/bin/python "
        "train.py, or ./scripts/train, which does both.",
        file=sys.stderr,
    )
    raise SystemExit(3) from None

if __name__ == "__main__":
    raise SystemExit(main())
