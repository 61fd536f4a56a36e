"""What a command, the mailer and a webhook get: from real programs and a real server."""

from __future__ import annotations

import email
import email.policy
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from passingloop.notify import readiness, receivers
from passingloop.notify.notice import Notice
from passingloop.notify.receivers import NotDelivered, post, run_command, send_mail
from tests.notify.receiver_programs import hook_server, writing_program

NOTICE = Notice(
    occasion="failed",
    name="banking",
    signature="0123456789ab",
    path="/runs/banking/0123456789ab",
    host="n1",
    user="me",
    attempt=3,
    step=120,
    cause="crash",
    message="ValueError: ü",
    action="stop",
    reason="It failed 4 times, and retry.crash=3.",
)

HOSTILE = "x\nBcc: all@example.org\r\n\r\n<!channel> \x1b[31m\x00 \ud800 $(touch pwned) `touch pwned`; touch pwned"
"""A run's folder, or the message of an error, may be anything."""


@pytest.fixture
def fields() -> dict[str, Any]:
    return NOTICE.to_fields()


@pytest.fixture
def hostile_fields() -> dict[str, Any]:
    return Notice(
        occasion="failed", name=HOSTILE, signature="0", path=f"/{HOSTILE}", host="n1", user="me", message=HOSTILE
    ).to_fields()


def given(output: Path) -> dict[str, Any]:
    (line,) = output.read_text().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_command_gets_the_notice_as_json_and_in_its_environment(tmp_path: Path, fields: dict[str, Any]) -> None:
    program = writing_program(tmp_path / "tell me", tmp_path / "given")
    run_command([str(program), "-q", "a b"], fields)
    got = given(tmp_path / "given")
    assert got["argv"] == ["-q", "a b"]
    assert json.loads(got["stdin"]) == fields
    assert got["env"]["PASSINGLOOP_NOTICE_SUBJECT"] == "banking/0123456789ab has failed"
    assert got["env"]["PASSINGLOOP_NOTICE_STEP"] == "120"
    assert "PASSINGLOOP_NOTICE_JOB_ID" not in got["env"]


def test_no_word_of_a_notice_is_run(tmp_path: Path, hostile_fields: dict[str, Any], work: Path) -> None:
    program = writing_program(tmp_path / "tell", tmp_path / "given")
    run_command([str(program)], hostile_fields)
    name = given(tmp_path / "given")["env"]["PASSINGLOOP_NOTICE_NAME"]
    assert "$(touch pwned)" in name
    assert not set(name) & set("\n\r\x00\x1b")
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "missing", "cannot be started: No such file or directory"),
        (lambda path: path, "cannot be started: Permission denied"),
        (lambda path: writing_program(path / "fails", path / "given", code=7), "ended with exit code 7"),
    ],
)
def test_a_command_that_fails_is_named(tmp_path: Path, fields: dict[str, Any], make: Any, words: str) -> None:
    with pytest.raises(NotDelivered, match=f"notify.command .*{words}"):
        run_command([str(make(tmp_path))], fields)


def test_a_command_that_hangs_is_killed(
    tmp_path: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "PATIENCE", 0.3)
    with pytest.raises(NotDelivered, match="was killed"):
        run_command(["sleep", "600"], fields)


@pytest.fixture
def mailer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the machine's mailer was given; it is the only one there is."""
    (tmp_path / "bin").mkdir()
    writing_program(tmp_path / "bin" / "sendmail", tmp_path / "mailed")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(readiness, "MAILER_FOLDERS", ())
    return tmp_path / "mailed"


def test_a_mail_goes_through_the_machines_mailer(mailer: Path, fields: dict[str, Any]) -> None:
    send_mail(["me@example.org", "root"], fields)
    got = given(mailer)
    mail = email.message_from_string(got["stdin"], policy=email.policy.default)
    assert got["argv"] == ["-i", "--", "me@example.org", "root"]
    assert mail["To"] == "me@example.org, root"
    assert mail["Subject"] == "[passingloop] banking/0123456789ab has failed"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body()
    assert body is not None
    assert "why: It failed 4 times, and retry.crash=3.\ncause: crash\nstep: 120\n" in body.get_content()


def test_a_mail_has_no_headers_from_a_hostile_name(mailer: Path, hostile_fields: dict[str, Any]) -> None:
    send_mail(["me@example.org"], hostile_fields)
    mail = email.message_from_string(given(mailer)["stdin"], policy=email.policy.default)
    assert mail["Bcc"] is None
    assert "Bcc: all@example.org" in mail["Subject"]


def test_a_machine_without_a_mailer_says_so(
    tmp_path: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(readiness, "MAILER_FOLDERS", ())
    with pytest.raises(NotDelivered, match="no sendmail"):
        send_mail(["me@example.org"], fields)


@pytest.mark.parametrize("form", ["slack", "json"])
def test_a_webhook_gets_it(form: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with hook_server([200]) as hook:
        monkeypatch.setenv("OUR_HOOK", f"{hook.address}/services/T0/SECRET")
        post("OUR_HOOK", form, fields)
    [request] = hook.requests
    assert request["path"] == "/services/T0/SECRET"
    if form == "json":
        assert request["body"] == fields
    else:
        assert request["body"] == {"text": f"{fields['subject']}\n{fields['text']}"}


def test_slack_reads_no_mention_in_a_hostile_name(
    hostile_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook_server([200]) as hook:
        monkeypatch.setenv("OUR_HOOK", hook.address)
        post("OUR_HOOK", "slack", hostile_fields)
    assert "&lt;!channel&gt;" in hook.requests[0]["body"]["text"]
    assert "<" not in hook.requests[0]["body"]["text"]


@pytest.mark.parametrize(
    ("answers", "tries", "words"),
    [
        ([503, 429, 200], 3, None),
        ([503], 3, "cannot be reached: answered 503"),
        ([404], 1, "was called and answered 404"),
        ([302], 1, "was called and answered 302"),
    ],
)
def test_a_server_that_fails_is_asked_again_and_one_that_refuses_is_not(
    answers: list[int], tries: int, words: str | None, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "PAUSES", (0.0, 0.0))
    with hook_server(answers) as hook:
        monkeypatch.setenv("OUR_HOOK", f"{hook.address}/SECRET")
        if words is None:
            post("OUR_HOOK", "json", fields)
        else:
            with pytest.raises(NotDelivered, match=words) as problem:
                post("OUR_HOOK", "json", fields)
            assert "SECRET" not in str(problem.value)
    assert len(hook.requests) == tries


def test_a_server_that_keeps_silent_is_left(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "PAUSES", (0.0,))
    monkeypatch.setattr(receivers, "TIMEOUT", 0.2)
    with hook_server([200], silent=True) as hook:
        monkeypatch.setenv("OUR_HOOK", hook.address)
        with pytest.raises(NotDelivered, match="cannot be reached: it keeps silent"):
            post("OUR_HOOK", "json", fields)
    assert len(hook.requests) == 2


def unused_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/SECRET"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "OUR_HOOK is not set where the run trains"),
        ("file:///etc/passwd?SECRET", "OUR_HOOK is no address that begins with https://"),
        ("SECRET", "OUR_HOOK is no address that begins with https://"),
        pytest.param(unused_address(), "cannot be reached: Connection refused", id="refused"),
        ("http://SECRET.invalid/", "cannot be reached: "),
        ("http://[SECRET/", "cannot be reached: ValueError"),
        ("http://127.0.0.1:1/SECRET with a space", "cannot be reached: InvalidURL"),
        ("http:///SECRET", "cannot be reached: "),
    ],
)
def test_no_error_has_the_address_in_it(
    address: str | None, words: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "PAUSES", ())
    if address is None:
        monkeypatch.delenv("OUR_HOOK", raising=False)
    else:
        monkeypatch.setenv("OUR_HOOK", address)
    with pytest.raises(NotDelivered, match=words) as problem:
        post("OUR_HOOK", "json", fields)
    assert "SECRET" not in str(problem.value)
    assert os.environ.get("OUR_HOOK") == address
