"""Train: `python train.py [overrides]`; `python train.py --help` lists what can be set."""

from passingloop.cli.train import main

if __name__ == "__main__":
    raise SystemExit(main())
