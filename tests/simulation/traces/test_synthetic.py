from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from passingloop.errors import ConfigError
from passingloop.simulation.traces.offered_load import offered_load
from passingloop.simulation.traces.published_figures import CLUSTERS
from passingloop.simulation.traces.synthetic import Wish, synthetic_trace

WISH = Wish(cluster="philly", gpus=512, load=0.95, days=7, users=120, accounts=12, seed=0)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_published_figures_are_whole_and_agree_with_each_other(cluster: str) -> None:
    """GPU time by size, over GPUs and jobs, is a mean duration: with that of the summary it agrees only if the curves
    were read right. In Acme's time sizes up to 1,024 are counted with the next one that has a name."""
    figures = CLUSTERS[cluster]
    assert sum(jobs for jobs, _ in figures.sizes.values()) == pytest.approx(100, abs=0.05)
    assert sum(time for _, time in figures.sizes.values()) == pytest.approx(100, abs=0.2)
    assert list(figures.durations) == sorted(figures.durations)
    for of in (0, 1):
        assert sum(pair[of] for pair in figures.states.values()) == pytest.approx(1, abs=0.002)
    mean = sum(time / 100 * figures.mean_gpu_seconds / size for size, (_, time) in figures.sizes.items())
    assert mean == pytest.approx(figures.mean_duration_s, rel=0.2 if cluster == "acme" else 0.005)


@pytest.mark.parametrize(("cluster", "gpus", "days"), [("philly", 512, 14), ("helios", 1024, 7), ("acme", 2288, 2)])
def test_jobs_have_the_published_shares(cluster: str, gpus: int, days: float) -> None:
    figures = CLUSTERS[cluster]
    jobs = synthetic_trace(replace(WISH, cluster=cluster, gpus=gpus, days=days)).jobs
    sizes, states = Counter(job.gpus for job in jobs), Counter(job.state for job in jobs)
    assert sizes[1] / len(jobs) == pytest.approx(figures.sizes[1][0] / 100, abs=0.03)
    assert sizes[8] / len(jobs) == pytest.approx(figures.sizes[8][0] / 100, abs=0.03)
    for state, (share, _) in figures.states.items():
        assert states[state] / len(jobs) == pytest.approx(share, abs=0.03)
    for exponent in (5, 8, 11, 14):
        short = sum(job.duration_s <= 2**exponent for job in jobs)
        assert short / len(jobs) == pytest.approx(figures.durations[exponent] / 100, abs=0.03)
    time = sum(job.gpus * job.duration_s for job in jobs)
    single = sum(job.duration_s for job in jobs if job.gpus == 1)
    assert single / time == pytest.approx(figures.sizes[1][1] / 100, abs=0.05)


def test_the_wish_is_kept() -> None:
    trace = synthetic_trace(WISH)
    assert offered_load(trace, 512) == pytest.approx(0.95, rel=0.02)
    assert trace.length_s == 7 * 86400
    assert all(0 <= job.submit_s < trace.length_s and job.duration_s >= 1 for job in trace.jobs)
    assert 100 < len({job.user for job in trace.jobs}) <= 120
    assert len({job.account for job in trace.jobs}) == 12
    assert len({(job.user, job.account) for job in trace.jobs}) == len({job.user for job in trace.jobs})
    assert trace == synthetic_trace(WISH)
    assert trace != synthetic_trace(replace(WISH, seed=1))


def test_people_sleep_and_have_weekends() -> None:
    jobs = synthetic_trace(replace(WISH, cluster="helios", days=28)).jobs
    days, hours = (Counter(int(job.submit_s // span) % of for job in jobs) for span, of in ((86400, 7), (3600, 24)))
    assert days[5] + days[6] < 0.8 * (days[0] + days[1])
    assert hours[3] + hours[4] + hours[5] < 0.6 * (hours[14] + hours[15] + hours[16])


def test_failed_jobs_come_again() -> None:
    """A retry is of the same user and size, some minutes after the failure."""
    jobs = synthetic_trace(WISH).jobs
    begins = {(job.user, job.gpus, int(job.submit_s // 60)) for job in jobs}

    def share_followed(state: str) -> float:
        ends = [(job.user, job.gpus, int((job.submit_s + job.duration_s) // 60)) for job in jobs
                if job.state == state and job.duration_s > 3600]  # fmt: skip
        followed = [any((user, gpus, end + minute) in begins for minute in range(1, 32)) for user, gpus, end in ends]
        return sum(followed) / len(followed)

    assert share_followed("failed") > share_followed("completed") + 0.2


def test_no_job_is_larger_than_half_the_cluster_and_it_is_said() -> None:
    trace = synthetic_trace(replace(WISH, cluster="acme", gpus=64, days=1))
    assert max(job.gpus for job in trace.jobs) <= 32
    assert trace.notes[1] == (
        "Jobs over 32 GPUs, half of the cluster, are not generated: there they are 1.2 % of the jobs and 81 % of the "
        "GPU time."
    )


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"users=3: there are 12 accounts"):
        synthetic_trace(replace(WISH, users=3))
    with pytest.raises(ConfigError, match=r"load=0.001: 1 GPUs over 0.01 days are too few"):
        synthetic_trace(replace(WISH, gpus=1, load=0.001, days=0.01))
