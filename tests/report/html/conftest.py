"""The page in a real Chromium, without a window and from a file, as a user opens it.

One browser serves a module; each test has a page of its own, and fails at its end if the page wrote to the console, met
an error, or asked for anything but its own file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from passingloop.report.html.usage_page import usage_page
from tests.report.html.made_report import made_report

OpenPage = Callable[..., Page]

PATIENCE = 30_000
"""Milliseconds after which what does not come is missing; long, for machines with much else to do."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no chromium: scripts/test-browser")
    with sync_playwright() as playwright:
        sandbox = os.geteuid() != 0  # as root it does not start with one
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(usage_page(made_report()), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Browser, report_file: Path) -> Iterator[OpenPage]:
    """`open_page("#runs", width=360, color_scheme="dark")`; `file` is another report."""
    contexts, faults = [], []

    def watch(page: Page, file: Path) -> None:
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if file.as_uri() not in request.url else None)

    def open_page(route: str = "", *, width: int = 1280, file: Path = report_file, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        watch(page, file)
        page.goto(file.as_uri() + route)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
