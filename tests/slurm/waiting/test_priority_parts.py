"""Parts of priorities, read from what sprio prints."""

from __future__ import annotations

from passingloop.slurm.waiting.priority_parts import read_priorities

SHOWN = "4|main|18474|0|3333|141|0|15000|0|0|0|\n5|short|9|10|0|0|0|0|0|0|5|cpu=1,gres/gpu=3\nsprio: nothing\n"


def test_parts_add_up_to_the_priority() -> None:
    first, second = read_priorities(SHOWN)
    assert (first.number, first.partition, first.priority) == ("4", "main", 18474)
    assert sum(first.parts.values()) == first.priority
    assert (first.parts["QOS"], first.parts["fairshare"]) == (15000, 3333)
    assert (second.parts["nice"], second.parts["TRES"]) == (-5, 4)
    assert sum(second.parts.values()) == second.priority
