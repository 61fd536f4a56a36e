"""What the site's administrators set for everybody: `passingloop.toml`, beside slurm.conf.

    poll_seconds = 10                    # the commands of all users ask Slurm at most this often
    snapshot_folder = "/run/passingloop" # where users of a node share Slurm's answers: root's, mode 1777

    [interactive]                        # `passingloop shell` and `passingloop notebook`
    qos = "interactive"
    time = "2:00:00"
    idle_warning_minutes = 20
    idle_end_minutes = 30

    [gpu_idle]                           # GPUs of runs and sessions that compute nothing
    end = true
    warning_minutes = [60, 105]
    end_minutes = 120

    [production]                         # `passingloop promote`
    qos = "production"
    gpus = 8

All of it is optional. Users cannot ask more often by another SLURM_CONF: the file in /etc/slurm counts as well, and a
file that belongs neither to root nor to the owner of slurm.conf's folder may only make the commands ask less often.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.config.bounds import at_least, limited, matches, one_or_more, positive
from passingloop.config.build import build
from passingloop.config.running import TIME_LIMIT
from passingloop.errors import ConfigError
from passingloop.vitals.idleness import GpuIdleLimits

FILE = "passingloop.toml"

SYSTEM_FOLDER = Path("/etc/slurm")
"""Where slurm.conf is, unless SLURM_CONF says otherwise."""

ROOT = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Interactive:
    """How interactive sessions are requested, and when one that is not used ends. None leaves an option to Slurm."""

    qos: str | None = "interactive"
    """Requested where the cluster has it."""

    partition: str | None = None

    time: str = limited(matches(TIME_LIMIT, "minutes, H:MM:SS or D-HH:MM:SS"), "4:00:00")
    """Time limit, unless the user asks for another."""

    gpus: int = limited(at_least(0), 1)

    idle_warning_minutes: float = limited(at_least(0), 30.0)
    """Minutes without use of GPU, CPU or keyboard after which the session is warned; 0 never warns or ends one."""

    idle_end_minutes: float = limited(positive, 45.0)
    """Minutes without use after which it is ended."""

    def __post_init__(self) -> None:
        """Check the two limits on idle sessions.

        Raises:
            ConfigError: a session would be ended before it is warned.
        """
        if self.idle_warning_minutes and self.idle_end_minutes <= self.idle_warning_minutes:
            raise ConfigError(
                f"idle_end_minutes is {self.idle_end_minutes:g}, but idle_warning_minutes is "
                f"{self.idle_warning_minutes:g}: a session would be ended before it is warned. Set it to more."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuIdle:
    """When runs and sessions whose GPUs all compute nothing are warned, and whether they are ended."""

    end: bool = False
    """Whether they are ended. Users may ask for it themselves."""

    warning_minutes: tuple[float, ...] = limited(positive, (60.0, 105.0))
    """Those of sessions; of runs only together with `end`, else users set theirs."""

    end_minutes: float = limited(positive, 120.0)

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            ConfigError: something would be ended before it is warned.
        """
        late = [warning for warning in self.warning_minutes if warning >= self.end_minutes]
        if self.end and late:
            raise ConfigError(
                f"gpu_idle.end_minutes is {self.end_minutes:g}, but there is a warning after {late[0]:g}: GPUs would "
                "be taken away before anybody is warned. Set it to more."
            )

    @property
    def limits(self) -> GpuIdleLimits:
        return GpuIdleLimits(self.warning_minutes, self.end, self.end_minutes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Production:
    """What `passingloop promote` asks for, unless the user asks for something else. None leaves an option to Slurm."""

    qos: str | None = "production"
    """Requested where the cluster has it."""

    partition: str | None = None

    time: str | None = limited(matches(TIME_LIMIT, "minutes, H:MM:SS or D-HH:MM:SS"), None)
    """Time limit; None is the experiment's."""

    gpus: int | None = limited(one_or_more, None)
    """GPUs per node; None takes all of a node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The settings of a site."""

    poll_seconds: float = limited(at_least(1), 5.0)
    """The commands that show something to people use answers of Slurm that are up to so many seconds old."""

    snapshot_folder: Path | None = None
    """Where the users of a node share these answers, if the cluster hides nothing from them (PrivateData). None: each
    user has them alone."""

    interactive: Interactive = Interactive()
    gpu_idle: GpuIdle = GpuIdle()
    production: Production = Production()


def site() -> Site:
    """The settings of this site.

    Raises:
        ConfigError: a file is no TOML, or has a setting that does not exist or a value of another type.
    """
    chosen = Path(os.environ["SLURM_CONF"]).absolute().parent if os.environ.get("SLURM_CONF") else SYSTEM_FOLDER
    settings = read_site(chosen / FILE)
    least = 0.0 if _is_roots(chosen / FILE) else Site().poll_seconds
    if _is_roots(SYSTEM_FOLDER / FILE):
        least = max(least, read_site(SYSTEM_FOLDER / FILE).poll_seconds)
    return replace(settings, poll_seconds=max(settings.poll_seconds, least))


def _is_roots(path: Path) -> bool:
    try:
        return path.stat().st_uid == ROOT
    except OSError:
        return False


def read_site(path: Path) -> Site:
    """The settings in a file; the defaults if there is none.

    Raises:
        ConfigError: see `site`.
    """
    try:
        return build(Site, tomllib.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return Site()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Ask the administrators of the cluster.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}, the site's settings: {error} Ask the administrators of the cluster.") from None
