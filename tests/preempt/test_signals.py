"""Requests to stop reach the process whatever libraries do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import weakref

import pytest

from passingloop.preempt.signals import lasting_interrupt


def test_ctrl_c_that_python_itself_swallows_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    class Watched:
        pass

    watched = Watched()
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = sys.__unraisablehook__  # pytest has its own
    try:
        with pytest.raises(KeyboardInterrupt), lasting_interrupt():
            callback = weakref.ref(watched, lambda _: os.kill(os.getpid(), signal.SIGINT))
            del watched
        assert callback() is None
        assert capfd.readouterr().err == ""
    finally:
        signal.signal(signal.SIGINT, before[0])
        sys.unraisablehook = before[1]


def test_ctrl_c_that_a_library_swallows_comes_through() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), lasting_interrupt(), contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(KeyboardInterrupt), lasting_interrupt():  # as OmegaConf does, out of its grammar's callbacks
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                raise ValueError from None
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with lasting_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_ends_a_process_whose_terminal_is_closed() -> None:
    program = (
        "import os, signal, time; from passingloop.preempt.signals import StopRequest; StopRequest(); os.close(2)\n"
    )
    program += "os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)"
    done = subprocess.run([sys.executable, "-P", "-c", program], check=False)
    assert done.returncode == 130


def test_a_signal_that_is_ignored_for_a_while_does_not_end_the_process() -> None:
    program = (
        "import os, signal; from passingloop.preempt.signals import StopRequest; stop = StopRequest(); stop.ignore()\n"
        "os.kill(os.getpid(), signal.SIGTERM); print('goes on', flush=True); stop.end_steps()\n"
        "os.kill(os.getpid(), signal.SIGTERM); print('not reached', flush=True)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "goes on\n")


def test_the_same_request_once_more_changes_nothing() -> None:
    """srun is asked again and again to pass it on; at the end of the steps a new one would end the process."""
    program = (
        "import os, signal; from passingloop.preempt.signals import StopRequest; stop = StopRequest()\n"
        "stop.begin_steps(); os.kill(os.getpid(), signal.SIGUSR2); stop.end_steps()\n"
        "os.kill(os.getpid(), signal.SIGUSR2); print(stop.requested, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGINT); print('not reached', flush=True)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "SIGUSR2\n")
