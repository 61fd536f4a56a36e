"""Train: `python train.py [overrides]`; `python train.py --help` lists what can be set."""

import sys

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
