"""What the page says of odd files: one span, no calls, all failed, names without an end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from peekr.dashboard.report import write_report
from tests.support.trace_files import NOW, Record, span, write_jsonl

from .browsing import Seen, chromium

DAY = 86_400
LONG = "a.module.name.that.does.not.end." * 6

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    made: list[Seen] = []

    def open_(records: list[Record], address: str = "", **options: Any) -> Any:
        write_jsonl(tmp_path / "t.jsonl", records)
        write_report(str(tmp_path / "t.jsonl"), str(tmp_path / "r.html"))
        made.append(Seen(browser, f"file://{tmp_path / 'r.html'}", **options))
        return made[-1].open(address)

    yield open_
    for seen in made:
        seen.context.close()
        assert seen.said == []


def call(n: int, start: float, status: str = "ok", **more: Any) -> Record:
    given: dict[str, Any] = {"model": "gpt-4o", "gen_ai.operation.name": "chat", **more}
    return span(n, 1, None, "openai.chat", start, 100.0 + n, status, **given)


def days(first: float, last: float) -> list[Record]:
    """Calls on 30 days, from that part of the first day to that part of the last."""
    begin = NOW // DAY * DAY
    moments = [begin + first * DAY, *(begin + n * DAY for n in range(1, 29)), begin + last * DAY]
    return [call(n, moment, tokens_input=9) for n, moment in enumerate(moments)]


@pytest.mark.parametrize(
    ("first", "last", "told", "marked"),
    [
        (0.0, 29.99, "", 0),
        (0.5, 29.99, "the first day is not whole", 1),
        (0.0, 29.5, "the last day is not whole", 1),
        (0.5, 29.5, "the first and the last day are not whole", 2),
    ],
)
def test_bucket_that_is_not_whole_is_hatched_and_told(
    opened: Open, first: float, last: float, told: str, marked: int
) -> None:
    page = opened(days(first, last))
    chart = page.locator(".chart").first
    assert chart.locator("rect.part").count() == marked
    assert chart.locator("rect.part-bar").count() == marked
    assert told in chart.locator("svg").get_attribute("aria-label")
    assert told in page.inner_text("main")
    assert ("not whole" in page.inner_text("main")) is bool(told)
    # What hatches is drawn: the pattern is in the page, and it is seen on the ground of the chart.
    assert page.locator("pattern#part, pattern#part-bar").count() == 2


def test_crosshair_and_table_tell_a_bucket_that_is_not_whole(opened: Open) -> None:
    page = opened(days(0.0, 29.5))
    picture = page.locator(".chart svg").first
    picture.focus()
    page.keyboard.press("ArrowLeft")
    assert "not whole: calls 1" in page.inner_text(".readout >> nth=0")
    page.keyboard.press("ArrowLeft")
    assert "not whole" not in page.inner_text(".readout >> nth=0")
    page.click(".chart >> nth=0 >> text=Table")
    rows = page.locator(".chart >> nth=0 >> tbody th").all_inner_texts()
    assert [row.endswith("(part)") for row in rows] == [False] * 29 + [True]


def test_one_call_is_a_bar_and_not_a_wall(opened: Open) -> None:
    page = opened([call(1, NOW)])
    assert page.inner_text("#about-line").startswith("1 trace \u00b7 1 span, ")
    assert " to " not in page.inner_text("#about-line")
    assert page.locator(".chart rect.tone-1").first.bounding_box()["width"] <= 48
    assert page.locator("rect.part").count() == 0
    assert "The one call did not fail" in page.inner_text(".charts")
    assert "No call reports tokens" in page.inner_text(".charts")
    assert page.locator(".spark").count() == 0


def test_charts_without_a_value_say_so_and_have_no_scale(opened: Open) -> None:
    page = opened([call(n, NOW + n * 60, "error", error="no") for n in range(40)])
    latency = page.locator(".chart >> nth=1")
    assert "Every call failed" in latency.inner_text()
    assert not [text for text in latency.locator("text.tick").all_text_contents() if "s" in text]
    assert "40 traces failed, 0 recovered" in page.inner_text(".tiles")


def test_sparkline_has_a_gap_where_there_is_no_value(opened: Open) -> None:
    page = opened([call(n, NOW + n * 60) for n in (0, 1, 20, 40, 41, 42)])
    calls = page.get_attribute(".tile >> nth=0 >> .spark path", "d")
    latency = page.get_attribute(".tile >> nth=2 >> .spark path", "d")
    assert calls.count("M") == 1  # no call is a number, 0
    assert latency.count("M") == 3
    assert latency.count("h0.01") == 1  # the one that stands alone is a dot


def test_file_without_calls_says_what_records_some_and_shows_the_rest(opened: Open) -> None:
    page = opened([span(n, 1, None, "app.step", NOW + n, 5.0) for n in range(20)])
    text = page.inner_text("main")
    assert "There is no model call in this file: 20 spans of other work in 20 traces" in text
    assert "peekr.instrument()" in text
    assert "Where time goes" in text
    assert page.locator(".chart, .tile").count() == 0


@pytest.mark.parametrize("width", [390, 1440])
def test_names_without_an_end_leave_room_for_the_rest(opened: Open, width: int) -> None:
    records = [
        call(n, NOW + n * 60, input="What is it?", output="That.", user_id="u" * 150)
        for n in (1, 2)
    ]
    for record in records:
        record["name"] = LONG
        record["attributes"]["session_id"] = "s" * 150
    page = opened(records, "traces", viewport={"width": width, "height": 844})
    row = page.locator(".grid .row:not(.head)").first
    asked = row.locator("bdi", has_text="What is it?")
    inside, whole = asked.bounding_box(), row.bounding_box()
    assert inside["y"] + inside["height"] <= whole["y"] + whole["height"]
    page.goto(page.url.partition("#")[0] + f"#/trace/{1:032x}")
    page.wait_for_selector("main[data-view=trace]")
    assert page.locator("h2").bounding_box()["height"] <= 60
    assert page.locator(".trace-head").bounding_box()["height"] <= 240
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_exact_figure_is_seen_on_focus(opened: Open) -> None:
    page = opened([call(n, NOW + n, tokens_input=1_234_567, tokens_output=1) for n in range(3)])
    tile = page.locator(".tile >> nth=4")
    tile.focus()
    assert tile.evaluate("e => getComputedStyle(e, '::after').content") == ('"3,703,701 in, 3 out"')


def test_span_without_content_says_it_once(opened: Open) -> None:
    page = opened([span(1, 1, None, "app.step", NOW, 5.0)], f"trace/{1:032x}")
    text = page.inner_text("#detail")
    assert text.count("recorded") == 1


def test_year_is_told_where_it_is_another_one(opened: Open) -> None:
    page = opened([call(1, 1_600_000_000.0), call(2, 1_600_000_600.0)])
    assert "13 Sept 2020" in page.inner_text("#about-line")


def test_shortened_figures_of_a_table_are_told_in_full(opened: Open) -> None:
    more: dict[str, Any] = {"tokens_input": 1_234_567, "tokens_output": 1, "cost_usd": 0.0012345}
    page = opened([call(n, NOW + n, **more) for n in range(2)])
    row = page.locator("table", has_text="gpt-4o").locator("tbody tr")
    told = row.locator("td").evaluate_all("cells => cells.map((cell) => cell.title)")
    assert told == ["2", "", "100 ms", "", "2,469,136", "$0.002469"]
