"""What is typed in the demo, and what the typist waits for."""

from __future__ import annotations

from dataclasses import dataclass

PROMPT = r"\$ $"
"""The end of what the terminal shows when it waits for a line. The prompt of a shell in a job ends in the same way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line that is typed."""

    text: str
    interrupt_at: str = ""
    """Ctrl-C is pressed when the terminal shows this; a regular expression."""
    patience: float = 300.0
    """Seconds until the next prompt. Longer means that something is wrong."""


COMMENT_SECONDS = 2.0
"""How long a comment stands before the next line is typed."""

TRAIN = "passingloop train cluster=dev resources=gpu1 trainer.steps=60"

LINES = (
    Line(text="# A GPU shell: a job with one GPU, and a prompt in it."),
    Line(text="passingloop shell --time 10"),
    Line(text=f"{TRAIN} name=real", interrupt_at=r"step 1\d/", patience=180),
    Line(text="# Ctrl-C has saved. Out of the shell, and the same command into the queue:"),
    Line(text="exit"),
    Line(text=f"{TRAIN} name=real launcher=slurm cluster.qos=scavenger"),
    Line(text="sleep 12; passingloop status"),
    Line(text="# It went on from that step. A sweep takes what is idle:"),
    Line(text=f"{TRAIN} name=sweep launcher=slurm cluster.qos=scavenger -m optim.lr=1e-4,1e-3"),
    Line(text="sleep 12; passingloop status"),
    Line(text="# All GPUs are taken. Someone wants one at once:"),
    Line(text="passingloop shell --qos interactive --time 5 -- printenv CUDA_VISIBLE_DEVICES"),
    Line(text="# One run has saved and made way. It goes on by itself:"),
    Line(text="passingloop wait", patience=600),
    Line(text="passingloop status"),
    Line(text="passingloop report --since 1hours --by experiment"),
)

STILLS = {"shell": "# Ctrl-C has saved", "preemption": "# One run has saved"}
"""Pictures of single moments, by name: what has just been typed then."""
