"""A real Chromium for the page, where there is one.

Needs the dependency group `browser` (playwright) and a Chromium or Chrome on the path, or named by
the variable CHROMIUM: `uv run --group browser pytest tests/dashboard`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
HOW = "run `uv run --group browser pytest tests/dashboard` with a Chromium on the path"


@contextmanager
def chromium() -> Generator[Any, None, None]:
    """A browser; the test is skipped, with the reason, where there is none."""
    sync_api: Any = pytest.importorskip(
        "playwright.sync_api", reason=f"playwright is not installed: {HOW}"
    )
    if CHROMIUM is None:
        pytest.skip(f"no Chromium: {HOW}")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


class Seen:
    """A page that is open, and everything it said or asked for."""

    def __init__(self, browser: Any, report: str, **options: Any) -> None:
        self.context = browser.new_context(
            viewport=options.pop("viewport", {"width": 1440, "height": 900}),
            timezone_id="UTC",
            offline=True,
            **options,
        )
        self.page = self.context.new_page()
        self.report = report
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", self._error)
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        self.said.append(message.text)

    def _error(self, error: Any) -> None:
        self.said.append(str(error))

    def _dialog(self, dialog: Any) -> None:
        self.said.append("dialog")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        self.asked.append(request.url)

    def open(self, address: str = "") -> Any:
        """Go to an address of the page, and wait until it is drawn."""
        self.page.goto(f"{self.report}#/{address}")
        self.page.wait_for_selector("html[data-ready]")
        view = address.partition("?")[0].partition("/")[0] or "overview"
        self.page.wait_for_selector(f"main[data-view={view}]")
        return self.page
