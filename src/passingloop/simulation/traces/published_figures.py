"""What has been published on the GPU jobs of three clusters.

Shares of jobs by duration and by GPUs are read from the curves (vector paths, so to three digits) in
figure/cdf_job_duration_util.pdf and figure/cdf_job_gpunum.pdf of https://github.com/InternLM/AcmeTrace (CC BY 4.0);
means and states from its data/cluster_summary.csv. They belong to Hu et al., Characterization of Large Language Model
Development in the Datacenter, NSDI 2024, figures 2, 3 and 17, which compares

- Philly: Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads, USENIX ATC 2019
  (Microsoft, 2017; 112,956 jobs)
- Helios: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters, SC 2021
  (SenseTime, 2020; 1,580,464 jobs)
- Acme: its cluster Seren (Shanghai AI Laboratory, 2023; 663,813 jobs)

Philly's hours, weekend and bursts are counted from a week of its trace (from Monday, 2017-11-13), as the intervals of
ten minutes in which a group submitted, and the jobs in each. Of Helios the paper says, without a table, that
submissions are fewest in the night and fall a little at noon and at 18:00: its numbers here are ours. On the hours of
Acme nothing is published: those of Helios are used, and Philly's weekend and bursts for both. How often users submit a
failed job again is published for none of them: one half is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.simulation.trace_jobs import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """The published figures of one cluster."""

    source: str
    durations: tuple[float, ...]
    """Per cent of jobs that took at most 1, 2, 4, … 2^21 seconds."""
    sizes: Mapping[int, tuple[float, float]]
    """For each number of GPUs the per cent of jobs, and of GPU time, that had it. Sizes between are with the next."""
    states: Mapping[State, tuple[float, float]]
    """For each state the share of jobs, and of GPU time, that ended in it. Time limits are not told from failures."""
    mean_duration_s: float
    mean_gpu_seconds: float
    """GPU time of all jobs by their number."""
    hours: tuple[float, ...]
    """How many times people submit in each hour of the day, in proportion."""
    weekend: float
    """How many times people submit on a day of the weekend, for each on a working day."""
    burst: float
    """Jobs that are submitted together, on average."""
    retry: float
    """The share of failed jobs that are submitted again, unchanged."""


HELIOS_HOURS = (
    0.9, 0.7, 0.5, 0.4, 0.35, 0.35, 0.4, 0.5, 0.7, 1.1, 1.4, 1.4,
    1.05, 1.2, 1.5, 1.5, 1.5, 1.45, 1.1, 1.25, 1.35, 1.3, 1.2, 1.05,
)  # fmt: skip

PHILLY = Figures(
    source="Philly (Jeon et al., ATC 2019)",
    durations=(
        0.03, 0.08, 0.17, 0.82, 3.62, 8.42, 18.88, 26.99, 31.50, 36.28, 54.91, 67.47, 79.28, 84.60, 90.29, 92.71,
        94.86, 96.95, 98.39, 99.32, 99.80, 99.95,
    ),
    sizes={1: (82.42, 16.43), 2: (2.06, 2.97), 4: (7.57, 18.77), 8: (6.86, 49.86), 16: (0.90, 9.17),
           32: (0.19, 2.80)},
    states={"completed": (0.604, 0.321), "cancelled": (0.090, 0.294), "failed": (0.305, 0.386)},
    mean_duration_s=18006,
    mean_gpu_seconds=(2210176414 + 2025326056 + 2659215061) / 112956,
    hours=(75, 65, 73, 72, 63, 67, 87, 81, 94, 84, 75, 67, 64, 66, 66, 68, 63, 68, 59, 62, 72, 76, 72, 76),
    weekend=0.64,
    burst=3.1,
    retry=0.5,
)  # fmt: skip

HELIOS = Figures(
    source="Helios (Hu et al., SC 2021)",
    durations=(
        4.00, 4.93, 6.35, 7.70, 10.72, 16.15, 24.88, 37.81, 56.57, 67.58, 75.25, 84.10, 87.53, 90.75, 94.36, 96.26,
        97.77, 98.90, 99.55, 99.86, 99.96, 100.0,
    ),
    sizes={1: (72.19, 5.44), 2: (2.56, 1.72), 4: (5.72, 4.98), 8: (14.22, 29.20), 16: (3.03, 20.16),
           24: (0.36, 1.82), 32: (1.27, 23.27), 40: (0.10, 1.22), 48: (0.10, 1.93), 56: (0.06, 0.67),
           64: (0.12, 3.93), 80: (0.03, 0.97), 128: (0.12, 2.13), 160: (0.07, 1.12), 200: (0.05, 1.33)},
    states={"completed": (0.624, 0.513), "cancelled": (0.221, 0.394), "failed": (0.155, 0.093)},
    mean_duration_s=6651.7,
    mean_gpu_seconds=(39994296320 + 30715109125 + 7288334702) / 1580464,
    hours=HELIOS_HOURS,
    weekend=0.64,
    burst=3.1,
    retry=0.5,
)  # fmt: skip

ACME = Figures(
    source="Acme's cluster Seren (Hu et al., NSDI 2024)",
    durations=(
        2.18, 2.78, 5.62, 11.76, 23.38, 31.71, 37.12, 48.91, 65.63, 79.21, 88.03, 92.94, 95.99, 97.53, 98.44, 99.19,
        99.64, 99.83, 99.93, 99.98, 100.0, 100.0,
    ),
    sizes={1: (54.04, 1.35), 2: (11.39, 0.44), 4: (2.52, 0.58), 8: (28.80, 9.55), 16: (1.11, 1.23),
           32: (0.96, 5.97), 64: (0.50, 8.47), 128: (0.23, 14.10), 256: (0.18, 14.61), 512: (0.13, 13.39),
           768: (0.08, 15.81), 1024: (0.06, 14.50)},
    states={"completed": (0.497, 0.212), "cancelled": (0.075, 0.664), "failed": (0.429, 0.124)},
    mean_duration_s=1414.3,
    mean_gpu_seconds=(4560592618 + 14274584510 + 2675447459) / 663813,
    hours=HELIOS_HOURS,
    weekend=0.64,
    burst=3.1,
    retry=0.5,
)  # fmt: skip

CLUSTERS: Mapping[str, Figures] = {"helios": HELIOS, "philly": PHILLY, "acme": ACME}
