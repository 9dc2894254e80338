"""The page in a real Chromium: every view, filter and key, hostile content, widths, no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peekr.dashboard.report import write_report
from tests.support.trace_files import NOW, Record, span, write_jsonl

from .browsing import Seen, chromium
from .sample import HOSTILE, sample_records

VIEWS = ("overview", "traces", "cost", "quality", "sessions")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    write_jsonl(folder / "t.jsonl", sample_records(150))
    write_report(str(folder / "t.jsonl"), str(folder / "report.html"))
    return f"file://{folder / 'report.html'}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def seen(browser: Any, report: str) -> Iterator[Seen]:
    made = Seen(browser, report)
    yield made
    made.context.close()
    assert made.said == []
    # The file itself and nothing else, whatever was done.
    assert {url.partition("#")[0] for url in made.asked} <= {report}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn(seen: Seen, view: str) -> None:
    page = seen.open(view)
    assert page.locator("main h2").count() >= 1
    assert "could not be drawn" not in page.inner_text("main")
    assert page.get_attribute(f"#tab-{view}", "aria-selected") == "true"


def test_overview_begins_with_what_is_broken(seen: Seen) -> None:
    page = seen.open()
    assert page.locator(".tile").count() == 6
    assert "unpriced" in page.inner_text(".tiles")
    first = page.locator(".attention a").first
    assert first.bounding_box()["y"] < 900
    first.click()
    page.wait_for_selector("main[data-view=trace]")
    # Two clicks from the page to the failing span: it is chosen already.
    assert "Error" in page.inner_text("#detail")


def test_filter_moves_every_figure_and_survives_a_reload(seen: Seen) -> None:
    page = seen.open()
    before = page.locator(".tile .value").all_inner_texts()
    page.select_option("#filters select >> nth=1", "gpt-4o")
    page.wait_for_selector(".chip")
    after = page.locator(".tile .value").all_inner_texts()
    assert before != after
    assert "model=gpt-4o" in page.url
    page.reload()
    page.wait_for_selector(".chip")
    assert page.locator(".tile .value").all_inner_texts() == after
    page.click("text=Clear filters")
    page.wait_for_function("() => !document.querySelector('.chip')")
    assert page.locator(".tile .value").all_inner_texts() == before


def test_filtered_figures_add_up_to_the_whole(seen: Seen) -> None:
    page = seen.open()
    sums = page.evaluate(
        """() => {
            const core = JSON.parse(document.getElementById('core').textContent);
            return [core.kpi.calls, core.dims.model];
        }"""
    )
    total = 0
    for model in sums[1][1:]:
        page.goto(f"{seen.report}#/overview")
        page.evaluate(
            "(model) => { location.hash = '#/overview?' + new URLSearchParams({model}) }", model
        )
        page.wait_for_selector(".chip")
        title = page.get_attribute(".tile >> nth=0", "data-exact")
        total += int(title.replace(",", ""))
        page.click("text=Clear filters")
        page.wait_for_function("() => !document.querySelector('.chip')")
    assert total == sums[0]


def test_text_is_searched_in_the_list_and_an_empty_result_says_so(seen: Seen) -> None:
    page = seen.open("traces")
    page.keyboard.press("/")
    page.keyboard.type("moon")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:has-text('Traces (1)')")
    page.fill("#search", "nothing like this")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No traces match")
    page.click("main >> text=Clear filters")
    page.wait_for_selector("h2:has-text('Traces (150)')")


def test_list_sorts_and_says_by_what(seen: Seen) -> None:
    page = seen.open("traces")
    page.click(".c-dur button")
    assert page.get_attribute(".head .c-dur", "aria-sort") == "descending"
    assert "batch.job" in page.inner_text("#tracelist .row >> nth=0")
    page.click(".c-cost button")
    last = page.evaluate("() => document.querySelector('#tracelist').rows.length")
    assert last == 150


def test_keys_alone_lead_from_the_list_to_a_span_and_back(seen: Seen) -> None:
    page = seen.open()
    page.keyboard.press("2")
    page.wait_for_selector("main[data-view=traces]")
    for _ in range(3):
        page.keyboard.press("j")
    chosen = page.evaluate("() => document.activeElement.dataset.id")
    page.keyboard.press("Enter")
    page.wait_for_selector("main[data-view=trace]")
    assert chosen in page.url
    page.keyboard.press("l")
    assert page.locator(".span[aria-selected=true]").inner_text().strip().startswith("\u25cf")
    page.keyboard.press("Escape")
    page.wait_for_selector("main[data-view=traces]")
    page.wait_for_function("(id) => document.activeElement.dataset.id === id", arg=chosen)
    for number, view in enumerate(VIEWS, 1):
        page.keyboard.press(str(number))
        page.wait_for_selector(f"main[data-view={view}]")
    page.keyboard.press("?")
    page.wait_for_selector("main[data-view=about]")


def test_loop_is_folded_and_can_be_opened(seen: Seen) -> None:
    page = seen.open(f"trace/{5:032x}")
    assert page.locator("main .fold").count() >= 1
    assert page.evaluate("() => document.querySelectorAll('*').length") < 3000
    before = page.locator(".spans .row").count()
    page.locator(".fold button").first.click()
    page.wait_for_function("(n) => document.querySelectorAll('.spans .row').length > n", arg=before)


def test_tool_call_leads_to_its_result(seen: Seen) -> None:
    page = seen.open(f"trace/{8:032x}")
    page.click(".span >> nth=1")
    page.click("#detail >> text=result")
    assert "search_kb" in page.inner_text("#detail h3")


def test_recovered_trace_opens_on_its_first_error(seen: Seen) -> None:
    page = seen.open(f"trace/{3:032x}")
    assert "recovered: 1 of 3 spans failed" in page.inner_text(".trace-head")
    assert "attempt 2" in page.inner_text(".spans")
    assert "slow down" in page.inner_text("#detail .error-box")


def test_trace_that_is_not_in_the_page_says_how_to_see_it(seen: Seen) -> None:
    page = seen.open("trace/feed")
    assert "peekr view t.jsonl --trace feed --io" in page.inner_text("main")


def test_session_reads_from_top_to_bottom(seen: Seen) -> None:
    page = seen.open("sessions")
    page.click("main table a >> nth=0")
    page.wait_for_selector("main[data-view=session]")
    assert page.locator(".turn").count() >= 1
    assert page.locator(".gap").count() >= 1
    page.click(".between a >> nth=0")
    page.wait_for_selector("main[data-view=trace]")


@pytest.mark.parametrize("address", [*VIEWS, f"trace/{13:032x}", "about"])
def test_hostile_content_is_text(seen: Seen, address: str) -> None:
    page = seen.open(address)
    assert page.locator("main img, main script, main iframe").count() == 0
    assert page.evaluate("() => document.querySelectorAll('[onerror], [style*=url]').length") == 0
    if address.startswith("trace/"):
        text = page.inner_text("main")
        assert "<img src=x onerror=alert(1)>" in text
        assert "U+202E" in text
    assert "\u202e" not in page.inner_text("body")


def test_hostile_session_opens(seen: Seen) -> None:
    from urllib.parse import quote

    page = seen.open(f"session/{quote(HOSTILE, safe='')}")
    assert page.locator(".turn").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", [*VIEWS, f"trace/{3:032x}", f"trace/{13:032x}", "session/s-3"])
def test_no_page_scrolls_sideways_on_a_phone(
    browser: Any, report: str, address: str, scheme: str
) -> None:
    phone = Seen(browser, report, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    try:
        page = phone.open(address)
        width, inner = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert width <= inner
    finally:
        phone.context.close()


def test_chart_shows_values_by_key_and_as_a_table(seen: Seen) -> None:
    page = seen.open()
    assert "calls from" in page.get_attribute(".chart .plot svg >> nth=0", "aria-label")
    page.focus(".chart .plot svg >> nth=0")
    page.keyboard.press("ArrowRight")
    assert "calls" in page.inner_text(".readout >> nth=0")
    assert "p50" in page.inner_text(".readout >> nth=1")  # one crosshair in all charts
    page.click(".chart >> nth=0 >> text=Table")
    assert page.locator(".chart >> nth=0 >> table").count() == 1


def test_dragging_over_a_chart_filters_by_time(seen: Seen) -> None:
    page = seen.open()
    box = page.locator(".chart svg").first.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 60)
    page.mouse.up()
    page.wait_for_selector(".chip")
    assert "from=" in page.url
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash.includes('from=')")


def test_file_without_records_of_calls_says_what_makes_some(browser: Any, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "t.jsonl", list(sample_records(29))[-1:])
    write_report(str(tmp_path / "t.jsonl"), str(tmp_path / "r.html"))
    small = Seen(browser, f"file://{tmp_path / 'r.html'}")
    try:
        page = small.open("sessions")
        assert "peekr.session" in page.inner_text("main")
        page = small.open("quality")
        assert "evaluators=" in page.inner_text("main")
        page = small.open("overview")
        assert "There is no model call in this file" in page.inner_text("main")
        assert small.said == []
    finally:
        small.context.close()


@pytest.fixture(scope="module")
def slowed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of a day in which a tool got slower, an error came up and one variant was bad."""
    folder = tmp_path_factory.mktemp("slowed")
    records: list[Record] = []
    for n in range(200):
        begin, session = NOW + n * 300, f"s-{n // 4}"
        more: dict[str, Any] = {"session_id": session, "experiment_variant": "ab"[n % 2]}
        score = 0.2 if n % 8 == 1 else 0.9
        call = {"model": "gpt-4o", "gen_ai.operation.name": "chat", "tokens_input": 10}
        asked = [{"role": "user", "content": f"Question {n // 2}?"}]
        if n in (150, 180):
            error = f"RateLimitError: Error code: 429 - request 1f{n}a9c2a"
            records.append(span(n, 3, 1, "openai.chat", begin, 9, "error", error=error, **call))
        records += [
            span(n, 2, 1, "tool.search", begin, 200 if n < 120 else 2600, **more),
            span(
                n, 4, 1, "openai.chat", begin + 3, 500, input=asked, output=f"Answer {n}.",
                eval_scores={"Rubric": score}, **call, **more,
            ),
            span(n, 1, None, "agent.run", begin, 4000, **more),
        ]  # fmt: skip
    write_jsonl(folder / "t.jsonl", records)
    write_report(str(folder / "t.jsonl"), str(folder / "report.html"))
    return f"file://{folder / 'report.html'}"


@pytest.fixture
def day(browser: Any, slowed: str) -> Iterator[Seen]:
    made = Seen(browser, slowed)
    yield made
    made.context.close()
    assert made.said == []


def test_slower_tool_is_told_and_leads_to_the_traces_since_then(day: Seen) -> None:
    page = day.open()
    row = page.locator("section:has(h3:text-is('Where time goes')) tr:has-text('tool.search')")
    assert row.locator(".trend path").count() == 1
    page.click(".attention a:has-text('p50 of tool.search rose from 200 ms to 2.6 s since')")
    page.wait_for_selector("main[data-view=traces]")
    shown = int(page.inner_text("h2").partition("(")[2].rstrip(")"))
    assert 70 <= shown <= 90
    assert page.locator(".chip").count() == 1


def test_group_of_errors_leads_to_all_of_its_traces(day: Seen) -> None:
    page = day.open()
    row = page.locator("section:has(h3:text-is('Errors')) tbody tr")
    assert row.count() == 1
    assert row.locator(".trend path").count() == 1
    row.locator("td.number a").click()
    page.wait_for_selector("h2:has-text('Traces (2)')")


def test_quality_begins_with_the_worst_answers(day: Seen) -> None:
    page = day.open("quality")
    assert page.locator("main h3").all_inner_texts()[:2] == ["Scores", "Lowest scores"]
    assert "25 (13%)" in page.inner_text("main table >> nth=0")
    page.click("main table >> nth=1 >> a >> nth=0")
    page.wait_for_selector("main[data-view=trace]")
    titles = page.locator("#detail h4").all_inner_texts()
    assert titles[0] == "Scores"


def test_list_of_sessions_says_what_was_asked_and_how_it_went(day: Seen) -> None:
    page = day.open("sessions")
    page.click("button:text-is('lowest score')")
    page.wait_for_selector("th[aria-sort=ascending]:has-text('lowest score')")
    first = page.inner_text("main tbody tr >> nth=0")
    assert "Question" in first
    assert "\u2715 0.20" in first
    page.click("main tbody a >> nth=0")
    page.wait_for_selector("main[data-view=session]")
    assert "score \u2715 0.20" in page.inner_text(".turns")


def test_spans_of_calls_name_their_model(day: Seen) -> None:
    page = day.open(f"trace/{7:032x}")
    assert "openai.chat gpt-4o" in page.inner_text(".spans")


def test_two_variants_are_compared_in_figures_and_in_answers(day: Seen) -> None:
    page = day.open("overview")
    page.select_option("section:has(h3:text-is('By model')) select", "variant")
    page.wait_for_selector("h3:text-is('By variant')")
    page.focus("#compare")
    page.keyboard.press("Enter")
    page.wait_for_selector("h4:text-is('Answers to the same question')")
    figures = page.locator("section:has(#compare) table >> nth=0")
    lines = figures.inner_text().splitlines()
    rows = dict(line.split("\t", 1) for line in lines if "\t" in line)
    assert rows["calls"] == "100\t100\t\u00b10%"
    assert rows["Rubric, mean score"].startswith("0.90 of 100\t0.7")
    assert rows["Rubric, mean score"].endswith("\t\u22120.18")
    pairs = page.locator("section:has(#compare) table >> nth=1 >> tbody tr")
    assert pairs.count() == 10
    # Those first of which one was much worse.
    assert "score 0.90" in pairs.nth(0).inner_text()
    assert "\u2715 0.20" in pairs.nth(0).inner_text()
    page.reload()
    page.wait_for_selector("h4:text-is('Answers to the same question')")
    page.select_option("section:has(#compare) .controls select >> nth=0", "b")
    page.wait_for_function("() => location.hash.includes('a=b&b=a')")
    pairs.nth(0).locator("a").nth(0).click()
    page.wait_for_selector("main[data-view=trace]")


def test_comparison_follows_the_filters_and_fits_a_phone(browser: Any, slowed: str) -> None:
    seen = Seen(browser, slowed, viewport={"width": 390, "height": 844})
    page = seen.open(f"overview?by=variant&compare=1&to={NOW + 50 * 300:.0f}")
    figures = page.locator("section:has(#compare) table >> nth=0").inner_text()
    assert "calls 25 25" in figures.replace("\n", " ")
    wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide
    seen.context.close()
    assert seen.said == []
