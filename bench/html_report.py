"""The HTML report of 1,000 runs in Chromium: `python bench/html_report.py [--save] [--picture]`.

The report is made up: a month of 20 users on 64 GPUs, each run with one to five attempts and, as a real one, a dozen
curves of 120 points. Measured are the size of the file, the time to make it, the time until the page is interactive
(from the start of navigation to the end of its script: from then on headings sort and charts are drawn) and the time
until the page of a run is there, the first of which decompresses the curves of fifty. Each value is the median of
several fresh browser contexts; "slow" has a processor that Chromium slows down to a quarter, for a phone. `--picture`
draws docs/how-to/html-report.png instead.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from record import ROOT, record

from passingloop.report.html.usage_page import usage_page

sys.path.insert(0, str(ROOT))

from tests.report.html.made_report import made_report  # bench/ is on the path, the root was not

RUNS, FEW, ROUNDS, LIMIT_MB = 1_000, 40, 5, 5.0
INTERACTIVE = "performance.getEntriesByName('interactive')[0].startTime"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SHOW_RUN = """async (number) => {
    const started = performance.now();
    location.hash = `#run/${number}`;
    const heading = document.querySelector("#run h1");
    const before = heading.textContent;
    while (heading.textContent === before || !document.querySelector("#run .chart svg path"))
        await new Promise(requestAnimationFrame);
    return performance.now() - started;
}"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=os.geteuid() != 0
        )
        if "--picture" in sys.argv:
            draw(browser, Path(name) / "report.html", ROOT / "docs" / "how-to" / "html-report.png")
            return
        figures = {f"{runs}_runs": measured(browser, Path(name) / f"{runs}.html", runs) for runs in (FEW, RUNS)}
        version = browser.version
        browser.close()
    library = ROOT / "src" / "passingloop" / "report" / "html" / "vendored" / "echarts.js"
    record(
        "html_report",
        {
            **figures,
            "limit_megabytes": LIMIT_MB,
            "of_which_charts_library_megabytes": round(library.stat().st_size / 1e6, 2),
            "rounds": ROUNDS,
            "chromium": version,
            "load_of_the_machine": round(os.getloadavg()[0], 1),
        },
    )


def draw(browser: Browser, file: Path, picture: Path) -> None:
    file.write_text(usage_page(made_report(FEW)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1120, "height": 1240})
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.screenshot(path=picture)


def measured(browser: Browser, file: Path, runs: int) -> dict[str, object]:
    report = made_report(runs)
    started = time.perf_counter()
    page = usage_page(report)
    seconds = time.perf_counter() - started
    file.write_text(page, encoding="utf-8")
    return {
        "megabytes": round(file.stat().st_size / 1e6, 2),
        "seconds_to_make": round(seconds, 2),
        "milliseconds": opened(browser, file, slowdown=1),
        "milliseconds_slow": opened(browser, file, slowdown=4),
    }


def opened(browser: Browser, file: Path, slowdown: int) -> dict[str, int]:
    """Medians, in milliseconds."""
    rounds = [one(browser, file, slowdown) for _ in range(ROUNDS)]
    return {name: round(statistics.median(each[name] for each in rounds)) for name in rounds[0]}


def one(browser: Browser, file: Path, slowdown: int) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    times: dict[str, float] = {"first_paint": page.evaluate(PAINTED), "interactive": page.evaluate(INTERACTIVE)}
    times |= {"first_run_page": page.evaluate(SHOW_RUN, 8), "next_run_page": page.evaluate(SHOW_RUN, 11)}
    context.close()
    return times


main()
