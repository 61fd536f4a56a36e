"""What a job asks for: parts of a GPU, and GPUs of a type."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.rundir.submission import Home
from passingloop.submit.request import request
from passingloop.submit.sbatch import script
from tests.conftest import Compose
from tests.slurm.site import FACTS


def test_a_part_of_a_gpu_brings_its_part_of_the_cpus(compose: Compose, work: Path) -> None:
    asked = request(compose("resources=shard", "resources.shards=1"), FACTS)
    assert (asked.gpus, asked.shards, asked.tasks, asked.nodes) == (0, 1, 1, 1)
    assert asked.cpus == 62 // 4 // 2, "a quarter of the node's CPUs goes with a GPU, and half of that with a shard"
    text = script(asked, Home(work), work)
    assert "#SBATCH --gres=shard:1\n" in text
    assert "gpus" not in text


@pytest.mark.parametrize("kind", ["a100", "1g.10gb"])
def test_gpus_of_a_type(compose: Compose, work: Path, kind: str) -> None:
    asked = request(compose(f"resources.gpu_type={kind}", "resources.gpus=2"), FACTS)
    assert f"#SBATCH --gpus-per-node={kind}:2\n" in script(asked, Home(work), work)


@pytest.mark.parametrize(
    "words",
    [
        ["resources.shards=1", "resources.gpus=2"],
        ["resources.shards=1", "resources.nodes=2"],
        ["resources.shards=1", "resources.gpu_type=a100"],
        ["resources.shards=1", "+cluster.extra.gres=gpu:1"],
        ["resources.gpu_type=a100", "+cluster.extra.gpus_per_node=1"],
    ],
)
def test_what_says_two_things_is_refused(compose: Compose, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"resources\.(shards|gpu_type)"):
        compose(*words)
