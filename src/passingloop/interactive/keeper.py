"""The batch script of a session's job: lets terminals in, watches whether they are used, and ends when they are not.

python -m passingloop.interactive.keeper FOLDER
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from passingloop.errors import MissingError
from passingloop.figures import span
from passingloop.interactive.activity import Look, Observer, uses
from passingloop.interactive.door import GREETING, SORRY, WELCOME, Door
from passingloop.interactive.idle import LIMIT_NOTICE, IdleLimits, Standing, Verdict, verdict
from passingloop.interactive.session import Home, Session
from passingloop.sampling.nvml import gpu_names
from passingloop.text import exit_code, say
from passingloop.vitals.idleness import IdleWatch

if TYPE_CHECKING:  # imported where they are needed: the first terminal may be waiting
    from passingloop.interactive.jupyter import Jupyter

LOOK_EVERY = 15.0
"""Seconds between two looks at what is in use; less where the site's limits are short."""

TICK = 1.0
"""Seconds after which at the latest the keeper looks at its children."""

ENDINGS: dict[Verdict, str] = {
    "left": "everybody has left",
    "unused": "nobody has come",
    "idle": "neither GPU, CPU nor keyboard were in use for {idle}",
}


@dataclass(slots=True)
class Keeper:
    """One session while its job runs."""

    session: Session
    door: Door
    limits: IdleLimits
    gpus: IdleWatch
    observer: Observer
    lasting: bool
    single: bool
    began: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    healthy: float | None = None
    warned: float | None = None
    left: bool = False
    exits: int = 0
    """How many shells were left on purpose until now."""
    last: Look | None = None
    jupyter: Jupyter | None = None
    where: tuple[str, int] | None = None
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    terminals: dict[socket.socket, bool] = field(default_factory=dict)
    """Whether the session is for it as a single command: then it is left on purpose once that is gone."""

    @property
    def attached(self) -> int:
        return len(self.terminals) + len(self.servers)

    def run(self) -> str:
        """Keep the session until it is to end. Returns why it ends."""
        selector = selectors.DefaultSelector()
        listening = self.door.open()
        selector.register(listening, selectors.EVENT_READ)
        if self.session.asked().kind == "notebook":
            from passingloop.interactive.jupyter import Jupyter

            self.jupyter = Jupyter(self.session, self.door.folder)
        self.session.report(node=os.environ["SLURMD_NODENAME"])
        try:
            while True:
                for key, _ in selector.select(min(TICK, self._look_every)):
                    if key.fileobj is listening:
                        self._let_in(listening, selector)
                    elif isinstance(key.fileobj, socket.socket):
                        self._see_off(key.fileobj, selector)
                if end := self._round():
                    return end
        finally:
            listening.close()
            self.door.close()

    def _round(self) -> str | None:
        """Look at everything once. Returns why the session is to end, if it is."""
        self.servers = [server for server in self.servers if server.poll() is None]
        if self.session.exits() > self.exits:
            self.exits, self.left = self.session.exits(), True
        if self.jupyter and (end := self._round_jupyter(self.jupyter)):
            return end
        now = time.monotonic()
        if self.last is None or now - self.last.at >= self._look_every:
            look = self._look()
            if end := self._judge_gpus(look):
                return end
        standing = Standing(
            now=now,
            began=self.began,
            healthy=self.healthy,
            used=self.used,
            warned=self.warned,
            attached=self.attached,
            left=self.left,
            lasting=self.lasting,
        )
        match verdict(standing, self.limits):
            case "go on":
                return None
            case "warn":
                self.warned = now
                self.tell(self._warning(now))
                return None
            case end:
                return ENDINGS[end].format(idle=span(now - self.used))

    def _round_jupyter(self, jupyter: Jupyter) -> str | None:
        if jupyter.process.poll() is not None:
            return f"Jupyter has ended with exit code {jupyter.process.returncode}"
        if self.where is None and (found := jupyter.where()):
            self.where = found
            self._be_healthy()
            address, port = found
            self.session.report(node=os.environ["SLURMD_NODENAME"], address=address, port=port)
        return None

    def _judge_gpus(self, look: Look) -> str | None:
        """Warn if the GPUs have computed nothing for too long. Returns why the session is to end, if it is."""
        judgement = self.gpus.judge(look.at, None if look.gpu is None else look.gpu / 100)
        if judgement == "warn":
            self.tell(self._gpu_warning(self.gpus.idle))
        return f"its GPUs have computed nothing for {span(self.gpus.idle)}" if judgement == "end" else None

    def _gpu_warning(self, idle: float) -> str:
        left = self.gpus.rule.left(idle)
        ends = "" if left is None else f" It ends in {span(left)} if that stays so."
        return (
            f"Slurm job {self.observer.job_id} holds GPUs that have computed nothing for {span(idle)}.{ends} "
            "Leave the session if you do not need them; `passingloop shell --gpus 0` works without."
        )

    def _look(self) -> Look:
        noted = self.jupyter.noted(self.where) if self.jupyter and self.where else None
        look = self.observer.look(noted)
        if self.last is None or uses(self.last, look):
            self.used, self.warned = look.at, None
        self.last = look
        return look

    @property
    def _look_every(self) -> float:
        shortest = (self.limits.warning or LOOK_EVERY, self.gpus.rule.shortest or LOOK_EVERY)
        return min(LOOK_EVERY, min(shortest) / 4)

    def _be_healthy(self) -> None:
        if self.healthy is None:
            self.healthy = time.monotonic()

    def _let_in(self, listening: socket.socket, selector: selectors.BaseSelector) -> None:
        connection, _ = listening.accept()
        connection.settimeout(5.0)
        try:
            visitor = GREETING.get(connection.recv(1))
        except OSError:
            visitor = None
        if visitor == "ssh":
            self._let_in_by_ssh(connection)
        elif visitor:
            connection.settimeout(None)
            connection.sendall(WELCOME)
            self.terminals[connection] = visitor == "command" and self.single
            self.left = self.left and visitor == "command"
            selector.register(connection, selectors.EVENT_READ)
        else:
            connection.close()
            return
        self._be_healthy()
        self.used, self.warned = time.monotonic(), None

    def _let_in_by_ssh(self, connection: socket.socket) -> None:
        from passingloop.interactive.ssh import Keys, server_command

        connection.settimeout(None)
        keys = Keys(Home(self.session.folder.parents[1]).ssh)
        with connection:
            try:
                command = server_command(keys, self.door)
            except MissingError as problem:
                connection.sendall(SORRY + str(problem).encode())
                return
            connection.sendall(WELCOME)
            self.servers.append(subprocess.Popen(command, stdin=connection.fileno(), stdout=connection.fileno()))
            # Editors come and go, and rsync follows rsync: only its limits end a session that was reached so.
            self.lasting = True

    def _see_off(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        self.left = self.left or self.terminals[connection]
        selector.unregister(connection)
        del self.terminals[connection]
        connection.close()

    def _warning(self, now: float) -> str:
        left = self.limits.rule.left(now - self.used) or 0.0
        return (
            f"Slurm job {self.observer.job_id} is idle: neither GPU, CPU nor keyboard were in use for "
            f"{span(now - self.used)}. It ends in {span(left)}; press Enter to keep it."
        )

    def tell(self, sentence: str) -> None:
        """Say it on all terminals of the job."""
        say(sentence)
        for terminal in self.observer.terminals():
            with contextlib.suppress(OSError):  # it is gone, or closed to messages
                descriptor = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    os.write(descriptor, f"\r\n\a[passingloop] {sentence}\r\n".encode())
                finally:
                    os.close(descriptor)


class _Ended(Exception):
    """Slurm ends the job."""


def main(folder: str) -> int:
    """Keep the session in `folder`. Returns 0 once it ends for a reason of its own."""
    session, job_id = Session(Path(folder)), os.environ["SLURM_JOB_ID"]
    asked = session.asked()
    keeper = Keeper(
        session=session,
        door=Door(session.folder.name),
        limits=asked.limits,
        observer=Observer(job_id, gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES", ""))),
        gpus=IdleWatch(asked.gpu_rule, 2 * LOOK_EVERY),
        lasting=asked.lasting,
        single=asked.single,
    )

    def warn_of_limit(number: int, frame: FrameType | None) -> None:
        keeper.tell(f"Slurm job {job_id} reaches its time limit in {span(LIMIT_NOTICE)} or a little more.")

    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    signal.signal(signal.SIGUSR1, warn_of_limit)
    signal.signal(signal.SIGTERM, end)
    try:
        why = keeper.run()
    except _Ended:
        why = "Slurm ends it"
    # Nobody is there to read it when everybody has left; and who leaves need not be told.
    (say if why == ENDINGS["left"] else keeper.tell)(f"Slurm job {job_id} ends: {why}.")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1])))
