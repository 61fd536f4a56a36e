"""What is watched while a run trains, and who is told what. See `passingloop.config.settings`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from passingloop.config.bounds import at_least, limited, matches, one_or_more, positive

Occasion = Literal["done", "failed", "preempted", "stuck", "idle"]

MAIL_ADDRESS = r"[A-Za-z0-9_+.][^\s<>,;:\"'()\\]*"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchConfig:
    """When a run counts as hung, or its GPUs as idle."""

    stuck_minutes: float = limited(at_least(0), 30.0)
    """Minutes without any progress after which an attempt is ended as hung: no step; in an evaluation no batch; while
    data are prepared, a model is loaded, saved or exported, no work and no bytes either. 0 never ends one."""

    idle_warning_minutes: tuple[float, ...] = limited(positive, (60.0, 105.0))
    """Minutes for which all GPUs of the run compute nothing, after which it is warned. Empty never warns."""

    idle_end: bool = False
    """End a run whose GPUs have been idle for `watch.idle_end_minutes`. The site's passingloop.toml may ask for it for
    everybody."""

    idle_end_minutes: float = limited(positive, 120.0)
    """Minutes after which it is ended, with `watch.idle_end`."""

    def contradictions(self) -> Iterator[str]:
        """A sentence for each combination of settings that cannot work."""
        late = [warning for warning in self.idle_warning_minutes if warning >= self.idle_end_minutes]
        if self.idle_end and late:
            yield (
                f"You set watch.idle_end_minutes={self.idle_end_minutes:g} and a warning after {late[0]:g} minutes in "
                "watch.idle_warning_minutes: the run would be ended before it is warned. Set a later end, or earlier "
                "warnings."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifyConfig:
    """Who is told how a run goes, and of what. Nobody is told unless a command, an address or a webhook is set."""

    occasions: tuple[Occasion, ...] = ("done", "failed", "preempted", "stuck", "idle")
    """Of what: `done`; `failed` (it is not taken up again); `preempted` (again `notify.preempted_times` times); `stuck`
    (an attempt hung, and the run is taken up again); `idle` (its GPUs compute nothing)."""

    command: tuple[str, ...] = ()
    """A program and its arguments, such as `[/home/me/bin/tell, -q]`. It is started without a shell; the notice is on
    its standard input as JSON, and in variables such as PASSINGLOOP_NOTICE_SUBJECT."""

    email: tuple[str, ...] = limited(matches(MAIL_ADDRESS, "a mail address"), ())
    """Addresses, to which the machine's own mailer (`sendmail`) sends."""

    webhook_env: str | None = limited(matches(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable"), None)
    """Name of the environment variable that holds the address of a webhook, which is a secret."""

    webhook_form: Literal["slack", "json"] = "slack"
    """What is sent there: `slack` is a text as Slack, Mattermost and the like take it, `json` is the whole notice."""

    preempted_times: int = limited(one_or_more, 5)
    """Of how many preemptions since the run was submitted, and of each multiple, is told."""

    @property
    def has_receiver(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self.command or self.email or self.webhook_env)


DEFAULT_WATCH, NOBODY = WatchConfig(), NotifyConfig()
"""What runs of earlier versions have."""
