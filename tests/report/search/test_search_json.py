from __future__ import annotations

import json
import math

from passingloop.report.search.search_json import as_plain
from tests.report.search.made_search import made_point, made_search


def test_what_is_in_it() -> None:
    sweep = made_search(made_point("a", 0.5, 0.4), made_point("b", 0.6), made_point("bad", None), made_point("new"))
    plain = json.loads(json.dumps(as_plain(sweep), allow_nan=False))
    assert (plain["best"], plain["over"], plain["share"], plain["full_gpu_hours"]) == ("lr/a", False, 0.25, 4.0)
    first, second, _ = plain["rungs"]
    assert (first["points"], first["done"], first["went_on"], first["failed"], first["step"]) == (3, 2, 1, 1, 20)
    assert (second["points"], second["best"]) == (1, 0.4)
    assert [(point["run"], point["state"]) for point in plain["points"]] == [
        ("lr/a", "done"),
        ("lr/b", "done"),
        ("lr/bad", "failed"),
        ("lr/new", "new"),
    ]
    assert plain["points"][0]["values"] == [{"rung": 0, "value": 0.5}, {"rung": 1, "value": 0.4}]


def test_a_value_that_is_no_number_of_json_is_a_word() -> None:
    (point,) = as_plain(made_search(made_point("a", math.nan)))["points"]
    assert point["values"] == [{"rung": 0, "value": "NaN"}]
    assert as_plain(made_search())["best"] is None
