from __future__ import annotations

from dataclasses import replace

from passingloop.report.search.search_content import Cost, SearchProgress
from passingloop.report.search.search_tables import best_sentence, cost_sentence, headline, page
from tests.report.search.made_search import made_point, made_search

POINTS = (
    made_point("best", 0.6, 0.4, 0.2, lr=3e-5),
    made_point("second", 0.5, 0.45),
    made_point("third", 0.7),
    made_point("failed", None),
    made_point("trains", standing="trains", rung=0),
    made_point("new"),
)


def lines(sweep: SearchProgress, width: int | None = None, **options: bool) -> list[str]:
    return list(page(sweep, width, **options))


def words(sweep: SearchProgress, first: str) -> list[str]:
    """The words of the line that begins so."""
    (found,) = [line.split() for line in lines(sweep) if line.startswith(f"{first} ")]
    return found


def test_rungs_and_points() -> None:
    sweep = made_search(*POINTS)
    assert words(sweep, "1/3") == ["1/3", "11", "%,", "step", "20", "5", "3", "2", "1", "0", "0", "1", "0.5"]
    assert words(sweep, "3/3") == ["3/3", "100", "%,", "step", "180", "1", "1", "-", "0", "0", "0", "0", "0.2"]
    assert words(sweep, "lr/best") == ["lr/best", "3e-5", "1", "3/3", "0.2", "complete", "0.00"]
    assert words(sweep, "lr/second")[-4:-1] == ["2/3", "0.45", "paused"]
    assert words(sweep, "lr/failed")[3:5] == ["-", "failed"]
    assert words(sweep, "lr/trains")[4:8] == ["trains", "to", "rung", "1"]
    assert words(sweep, "lr/new")[4:7] == ["has", "not", "begun"]
    assert max(map(len, lines(sweep, 80))) <= 80


def test_the_best_ten_are_shown_unless_all_are_asked_for() -> None:
    sweep = made_search(*(made_point(f"p{number}", float(number)) for number in range(12)))
    assert "and 2 more points: --all" in lines(sweep)
    assert not any(line.startswith("lr/p11") for line in lines(sweep))
    assert any(line.startswith("lr/p11") for line in lines(sweep, everything=True))


def test_a_sweep_without_rungs_has_no_table_of_them() -> None:
    sweep = made_search(made_point("a", 0.5), made_point("b", 0.4), rungs=1, kind="grid", eta=None)
    assert not any(line.startswith("rung") for line in lines(sweep))
    assert "All points train to the end" in headline(sweep)
    assert words(sweep, "lr/b")[-2] == "complete"


def test_what_is_said_of_the_best() -> None:
    assert best_sentence(made_search(made_point("new"))) == "No point has a value yet."
    going = made_search(made_point("a", 0.5, 0.4), made_point("b", 0.6))
    where = "lr/a with optim.lr=1e-4, trainer.seed=1, validation/loss 0.4, at rung 2"
    assert best_sentence(going) == f"Best so far: {where}."
    twins = [made_point(name, 0.6, 0.5, 0.4) for name in "ab"]
    done = made_search(*twins, is_over=True)
    assert best_sentence(done) == (
        "Best: lr/a with optim.lr=1e-4, trainer.seed=1, validation/loss 0.4; 1 other has the same."
    )


def test_what_is_said_of_the_time() -> None:
    cost = made_search().cost
    assert cost_sentence(cost) == (
        "Used: 1.0 GPU-hours, 25 % of the 4.0 GPU-hours that all points would take to the end by the time of their "
        "steps."
    )
    on_cpus = cost_sentence(replace(cost, gpu_hours=0.0, full_gpu_hours=0.0))
    assert on_cpus and on_cpus.startswith("Used: 30 min, 25 % of the 2 h ")
    assert cost_sentence(Cost(hours=0.5, gpu_hours=1.0, full_hours=None, full_gpu_hours=None)) == "Used: 1.0 GPU-hours."
    assert cost_sentence(Cost(hours=0.0, gpu_hours=0.0, full_hours=None, full_gpu_hours=None)) is None


def test_the_rule_is_in_words() -> None:
    assert headline(made_search(*POINTS)) == (
        "lr: halving by validation/loss, 6 points, going on. Of each rung, the best third goes on once all have a "
        "value there."
    )
    asha = headline(made_search(POINTS[0], kind="asha", eta=7, max_points=40, is_over=True))
    assert asha == (
        "lr: asha by validation/loss, 1 point of 40 at most, done. Of each rung, the best 1 of 7 goes on as soon as "
        "there is one."
    )


def test_names_cannot_steer_the_terminal() -> None:
    sweep = made_search(replace(made_point("a", 0.5), settings={"data.text": "\x1b[2J"}), parameters=("data.text",))
    assert "\x1b" not in "".join(lines(sweep))
