"""What sbatch says of a job that it refuses, with what to do."""

from __future__ import annotations

import pytest

from passingloop.errors import SlurmRefused
from passingloop.slurm.batch import read_expected_start, refusal_sentence
from passingloop.slurm.notation import timestamp


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "invalid partition specified: x; allocation failure: Invalid partition name specified",
            "invalid partition specified: x; Invalid partition name specified. Set a cluster.partition that you may",
        ),
        (
            "allocation failure: Invalid account or account/partition combination specified",
            "Invalid account or account/partition combination specified. Set a cluster.account that you are a member",
        ),
        (
            "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
            "Requested time limit is invalid (missing or exceeds some limit). Set a shorter resources.time.",
        ),
        ("allocation failure: User's group not permitted to use this partition", "partition. Set a cluster.partition"),
        ("allocation failure: Memory specification can not be satisfied", "satisfied. No node has what resources"),
        (
            "QOSMaxSubmitJobPerUserLimit; allocation failure: Job violates accounting/QOS policy (job submit limit)",
            "(job submit limit). Submit fewer at a time",
        ),
        ("Your project has no GPU hours left, says the site", "Your project has no GPU hours left, says the site."),
    ],
)
def test_a_refusal_says_what_to_do(said: str, words: str) -> None:
    assert words in refusal_sentence(said)


def test_the_expected_start_is_read() -> None:
    said = (
        "sbatch: Job 7 to start at 2026-11-29T12:49:13 using 1 processors on nodes n1 in partition main\n"
        "sbatch:   Preempts: 5,6\n"
    )
    assert read_expected_start(said) == timestamp("2026-11-29T12:49:13")
    assert read_expected_start(said.replace("2026-11-29T12:49:13", "Unknown")) is None
    assert read_expected_start("") is None


def test_a_refusal_can_be_raised_again_with_more_words() -> None:
    refusal = SlurmRefused("sbatch: no.", text="no")
    assert refusal.text == "no"
    assert str(type(refusal)(f"{refusal} 2 are submitted.")) == "sbatch: no. 2 are submitted."
