"""What every page is checked for."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def check_on_a_phone(page: Page) -> None:
    """That a page, opened 360 pixels wide, does not scroll sideways, and that axe finds no violation."""
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    found = Axe().run(page)
    assert found.response["passes"]
    assert found.violations_count == 0, found.generate_report()
