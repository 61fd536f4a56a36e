"""The figures of speed: the same names everywhere, and in words."""

from __future__ import annotations

import json

from passingloop.track.speed import FIGURES, Speed, known_figures, short_speed, speed_texts

CPU = Speed(
    samples_per_second=812.44, tokens_per_second=9_123.4, padding=0.021, data_wait=0.031, peak_memory=2_300_000_000
)
GPU = Speed(
    samples_per_second=2.5,
    tokens_per_second=10_240.0,
    padding=0.0,
    data_wait=0.25,
    mfu={"all_parameters": 0.578, "without_embedding": 0.545, "causal": 0.511},
)


def test_what_is_not_known_is_left_out_of_rows_and_null_in_a_result() -> None:
    assert CPU.known() == {
        "samples_per_second": 812.4,
        "tokens_per_second": 9123.0,
        "padding": 0.021,
        "data_wait": 0.031,
        "peak_memory_gb": 2.3,
    }
    assert tuple(CPU.all()) == FIGURES
    assert CPU.all()["mfu_causal"] is None
    assert GPU.all()["peak_memory_gb"] is None
    assert set(FIGURES) == CPU.known().keys() | GPU.known().keys()


def test_figures_are_read_back_from_a_result_and_from_a_row() -> None:
    assert known_figures(json.loads(json.dumps(CPU.all()))) == CPU.known()
    assert known_figures({"loss": 0.5, "step": 3, **GPU.known()}) == GPU.known()
    assert known_figures("damaged") == known_figures({"padding": "NaN"}) == {}


def test_in_words() -> None:
    assert CPU.texts() == ["812 samples/s", "data wait 3 %"]
    assert GPU.texts() == ["2.5 samples/s", "data wait 25 %", "MFU 51 %"]
    assert ", ".join(speed_texts(CPU.known())) == (
        "812 samples/s, 9,123 tokens/s, 2 % padding, 3 % data wait, 2.3 GB at most"
    )
    assert speed_texts(GPU.known())[-1] == "MFU 51 % (55 %, 58 % by other definitions)"
    assert speed_texts({}) == []


def test_in_a_column_only_what_is_long_or_known() -> None:
    assert short_speed(CPU.known()) == "812"
    assert short_speed(GPU.known()) == "2.5, MFU 51 %, data wait 25 %"
    assert short_speed({}) == ""
