"""Jobs and traces for the tests of traces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.trace import DAY, Trace

few_examples = settings(max_examples=40, deadline=None)

names = st.sampled_from(["ada", "bob", "cai", "dan-7", "e.f"])
lengths = st.integers(1, 200_000).map(float)


def job(**values: Any) -> TraceJob:
    """A job of an hour on one GPU, except for `values`."""
    facts = {"number": 0, "submit_s": 0.0, "duration_s": 3600.0, "gpus": 1, "cpus": 1, "user": "ada", "account": "a"}
    return TraceJob(**(facts | values))


def trace(*jobs: TraceJob, length_s: float = DAY) -> Trace:
    """The trace of these jobs."""
    return Trace(name="made", length_s=length_s, jobs=()).with_jobs(list(jobs))


@st.composite
def jobs(draw: st.DrawFn) -> TraceJob:
    """Any job that a trace can have."""
    state = draw(st.sampled_from(["completed", "failed", "cancelled", "timeout"]))
    waited = state == "cancelled" and draw(st.booleans())
    gpus = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 16]))
    return job(
        submit_s=draw(st.integers(0, int(DAY) - 1)) / draw(st.sampled_from([1, 8])),
        duration_s=0.0 if waited else draw(lengths),
        patience_s=draw(lengths) if waited else None,
        gpus=gpus,
        cpus=draw(st.integers(0, 64)),
        user=draw(names),
        account=draw(names),
        qos=draw(st.sampled_from(["", "", "interactive", "production"])),
        state=state,
        limit_s=draw(st.none() | lengths),
    )


traces = st.lists(jobs(), min_size=1, max_size=25).map(lambda listed: trace(*listed))


def facts(made: Trace) -> list[TraceJob]:
    """The jobs of a trace in an order that does not depend on their numbers."""
    return sorted((replace(one, number=0) for one in made.jobs), key=repr)
