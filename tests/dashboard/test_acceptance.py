"""What the page promises a reader: labels, contrast, keys, roles, states; in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peekr.dashboard import facts as facts_module
from peekr.dashboard import payload
from peekr.dashboard.report import write_report
from tests.support.trace_files import NOW, Record, span, write_jsonl

from .browsing import Seen, chromium
from .sample import sample_records

HERE = Path(__file__).parent
ADDRESSES = (
    "overview",
    "overview?model=gpt-4o",
    "overview?compare=1",
    "traces",
    "cost",
    "quality",
    "sessions",
    f"trace/{3:032x}",
    f"trace/{8:032x}",
    f"trace/{13:032x}",
    "session/s-3",
    "about",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def written(folder: Path, records: list[Record]) -> str:
    write_jsonl(folder / "t.jsonl", records)
    write_report(str(folder / "t.jsonl"), str(folder / "report.html"))
    return f"file://{folder / 'report.html'}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page"), list(sample_records(150)))


@pytest.fixture
def seen(browser: Any, report: str) -> Iterator[Seen]:
    made = Seen(browser, report)
    yield made
    made.context.close()
    assert made.said == []


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of other records."""
    held: list[Seen] = []

    def open_(records: list[Record], address: str = "overview", **options: Any) -> Any:
        held.append(Seen(browser, written(tmp_path, records), **options))
        return held[-1].open(address)

    yield open_
    for made in held:
        made.context.close()
        assert made.said == []


# -- what is read ----------------------------------------------------------------------------------

CONTRAST = (HERE / "contrast.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_text_stands_out_from_its_ground(
    browser: Any, report: str, address: str, scheme: str
) -> None:
    made = Seen(browser, report, color_scheme=scheme)
    try:
        # Glyphs that stand for a kind are pictures (3:1), and the name of the kind is beside them.
        poor = [one for one in made.open(address).evaluate(CONTRAST) if "kind" not in one[1]]
        assert poor == []
    finally:
        made.context.close()


ROLES = (HERE / "roles.js").read_text("utf-8")


@pytest.mark.parametrize("address", ADDRESSES)
def test_everything_has_a_role_and_a_name(seen: Seen, address: str) -> None:
    assert seen.open(address).evaluate(ROLES) == []


@pytest.mark.parametrize("address", [*ADDRESSES, f"trace/{5:032x}", f"trace/{7:032x}"])
@pytest.mark.parametrize("width", [390, 720, 1440])
def test_no_label_of_a_chart_is_cut(browser: Any, report: str, address: str, width: int) -> None:
    made = Seen(browser, report, viewport={"width": width, "height": 900})
    try:
        page = made.open(address)
        cut = page.evaluate(
            """() => [...document.querySelectorAll('.tick, .bartext, .axis i')].filter((e) => {
                const box = e.getBoundingClientRect();
                const around = e.closest('svg, .spans, .axis').getBoundingClientRect();
                return box.left < around.left - 1 || box.right > around.right + 1;
            }).map((e) => e.textContent)"""
        )
        assert cut == []
        wide, inner = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner
    finally:
        made.context.close()


def test_durations_from_a_millisecond_to_hours_have_room(opened: Any) -> None:
    records = [span(1, n, 1, f"step.{n}", NOW + n, 10.0**n) for n in range(2, 8)]
    page = opened([*records, span(1, 1, None, "run", NOW, 1.08e7)], f"trace/{1:032x}")
    texts = page.locator(".bartext").all_inner_texts()
    assert texts[0] == "3 h 00 min"
    assert "100 ms" in texts
    widths = page.evaluate(
        "() => [...document.querySelectorAll('.timebar')].map((e) => e.offsetWidth)"
    )
    assert min(widths) >= 2


def test_median_is_readable_beside_a_call_of_twelve_minutes(opened: Any) -> None:
    calls = [
        span(n, 1, None, "openai.chat", NOW + n * 60, 400.0 + 400 * (n % 5), model="m")
        for n in range(1, 60)
    ]
    calls.append(span(99, 1, None, "openai.chat", NOW + 60 * 60, 720_000.0, model="m"))
    page = opened(calls)
    path = page.get_attribute(".chart >> nth=1 >> path.tone-1", "d")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    ordinary = [y for y in heights if y != min(heights)]
    assert max(ordinary) - min(ordinary) >= 15  # 400 ms and 2 s are told apart
    assert page.inner_text(".tile >> nth=2 >> .value") == "1.2 s"


def test_empty_buckets_are_gaps_in_a_line(opened: Any) -> None:
    calls = [
        span(n, 1, None, "openai.chat", NOW + minute * 60, 500.0, model="m")
        for n, minute in enumerate((0, 1, 2, 10, 11, 12), 1)
    ]
    path = opened(calls).get_attribute(".chart >> nth=1 >> path.tone-1", "d")
    assert path.count("M") == 2


def test_failed_calls_have_their_own_chart_with_whole_ticks(seen: Seen) -> None:
    page = seen.open()
    assert page.inner_text(".chart >> nth=2 >> h3") == "Failed calls"
    ticks = page.locator(".chart >> nth=2 >> .tick[text-anchor=end]").all_text_contents()
    assert ticks == ["0", "1"]


def test_failed_traces_are_seen_over_time_also_where_no_call_failed(seen: Seen) -> None:
    page = seen.open()
    chart = page.locator(".chart", has_text="Failed traces")
    chart.locator("text=Table").click()
    cells = [
        [int(cell) for cell in row.split("\t")[1:]]
        for row in chart.locator("tbody tr").all_inner_texts()
    ]
    failed, recovered = (sum(column) for column in zip(*cells))
    assert f"{failed} traces failed, {recovered} recovered" in page.inner_text(".tiles")
    assert failed > int(page.inner_text(".tile >> nth=1 >> .value").split()[1])
    # A filter leaves those of the list that match.
    page.select_option("#filters select >> nth=2", "acme")
    page.wait_for_selector(".chip")
    listed = seen.open("traces?tenant=acme&status=error").inner_text("h2")
    page = seen.open("overview?tenant=acme")
    chart = page.locator(".chart", has_text="Failed traces")
    chart.locator("text=Table").click()
    rows = chart.locator("tbody tr").all_inner_texts()
    assert listed == f"Traces ({sum(int(c) for row in rows for c in row.split(chr(9))[1:])})"


def test_errors_and_first_tokens_are_seen_without_colour(seen: Seen) -> None:
    page = seen.open(f"trace/{3:032x}")
    assert "\u2715" in page.inner_text(".span[data-span='1']")
    assert page.locator(".timebar .wait").count() >= 1
    page = seen.open("traces?status=error")
    assert all(
        re.match("[\u2715\u21bb]", text) for text in page.locator(".c-state").all_inner_texts()[1:]
    )


def test_rows_of_lists_are_text(seen: Seen) -> None:
    for address in ("traces", "sessions", "quality", "cost"):
        assert not re.search(r'\{"|\[\{', seen.open(address).inner_text("main")), address


def test_what_has_no_price_costs_no_zero(seen: Seen) -> None:
    page = seen.open("cost?model=acme-ft-7b")
    total = page.inner_text("main p >> nth=0")
    assert total.startswith("\u2013 for 0 priced calls")
    assert "\u2013" in page.inner_text("main table")
    page = seen.open("overview?model=acme-ft-7b")
    assert page.inner_text(".tile >> nth=5 >> .value") == "\u2013"
    page = seen.open("cost")
    assert "1 call of judges, no price known" in page.inner_text("main")


def test_every_notice_leads_to_what_it_is_about(seen: Seen) -> None:
    page = seen.open("overview")
    page.click("text=1 answer was cut short")
    page.wait_for_selector("main[data-view=traces]")
    assert page.inner_text("h2") == "Traces (1)"
    assert page.inner_text(".chip").startswith("cut short")
    page = seen.open("overview?cut=1")
    assert page.inner_text(".tile >> nth=0 >> .value") == "1"


def test_wrapper_is_marked_and_not_counted(seen: Seen) -> None:
    page = seen.open(f"trace/{2:032x}")
    assert "\u03a3" in page.inner_text(".span[data-span='1']")
    shown = page.inner_text(".trace-head")
    page.click(".span[data-span='2']")
    cost = page.inner_text("#detail dl.facts >> text=/^\\$/")
    assert cost in shown


# -- long traces -----------------------------------------------------------------------------------


def test_fold_counts_the_whole_trace(seen: Seen) -> None:
    page = seen.open(f"trace/{5:032x}")
    fold = page.inner_text(".fold")
    assert fold.startswith("\u00d7750 openai.chat \u2192 tool.search_kb, 6 min")
    assert "of 1,500 spans in the page" in fold
    assert "1,501 spans" in page.inner_text(".trace-head")


def test_two_thousand_spans_are_few_elements(opened: Any) -> None:
    spans = [span(1, n, 1, f"step.{n % 50}.{n}", NOW + n, 5.0) for n in range(2, 2002)]
    page = opened([*spans, span(1, 1, None, "run", NOW, 2e6)], f"trace/{1:032x}")
    assert page.evaluate("() => document.querySelectorAll('*').length") < 3000
    assert "2,001 spans" in page.inner_text(".trace-head")


def test_arrows_move_along_the_tree(seen: Seen) -> None:
    page = seen.open(f"trace/{5:032x}")
    page.focus(".spans .row >> nth=0")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.dataset.fold") is not None
    assert page.evaluate("() => document.activeElement.getAttribute('aria-expanded')") == "false"
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".fold", state="detached")
    page.wait_for_function("() => document.activeElement.dataset.span === '1'")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".fold")
    page.wait_for_function("() => document.activeElement.dataset.fold !== undefined")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("() => document.activeElement.dataset.span") == "0"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "detail"


# -- getting about ---------------------------------------------------------------------------------


def test_back_returns_to_the_row_and_to_the_place(seen: Seen) -> None:
    page = seen.open("traces")
    page.evaluate("() => { document.getElementById('tracelist').scrollTop = 2000; }")
    row = page.locator("#tracelist [data-place='50']")
    row.wait_for()
    chosen = row.get_attribute("data-id")
    row.click()
    page.wait_for_selector("main[data-view=trace]")
    page.go_back()
    page.wait_for_selector("main[data-view=traces]")
    page.wait_for_function("(id) => document.activeElement.dataset.id === id", arg=chosen)
    page.goto(f"{seen.report}#/overview")
    page.wait_for_selector("main[data-view=overview]")
    page.evaluate("() => window.scrollTo(0, 700)")
    page.wait_for_function("() => scrollY === 700")
    page.click("main section:has(h3:text-is('Errors')) a >> nth=0")
    page.wait_for_selector("main[data-view=trace]")
    page.go_back()
    page.wait_for_selector("main[data-view=overview]")
    page.wait_for_function("() => scrollY === 700")


@pytest.mark.parametrize("address", ADDRESSES)
def test_search_is_one_key_away_from_everywhere(seen: Seen, address: str) -> None:
    page = seen.open(address)
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "search"


def test_search_opens_the_folded_filters_of_a_phone(browser: Any, report: str) -> None:
    made = Seen(browser, report, viewport={"width": 390, "height": 844})
    try:
        page = made.open("overview?model=gpt-4o")
        assert page.inner_text("#filters summary") == "Filters (1)"
        page.keyboard.press("/")
        assert page.evaluate("() => document.activeElement.id") == "search"
    finally:
        made.context.close()


def test_focus_is_seen(seen: Seen) -> None:
    page = seen.open("traces")
    for _ in range(14):
        page.keyboard.press("Tab")
        width, style = page.evaluate(
            "() => [getComputedStyle(document.activeElement)]"
            ".map((s) => [s.outlineWidth, s.outlineStyle])[0]"
        )
        assert (width, style) == ("2px", "solid")


def test_forced_colours_keep_the_selection_and_the_bars(browser: Any, report: str) -> None:
    made = Seen(browser, report, forced_colors="active")
    try:
        page = made.open(f"trace/{3:032x}")
        outline = "(q) => getComputedStyle(document.querySelector(q)).outlineStyle"
        assert page.evaluate(outline, "[role=row][aria-selected=true]") == "solid"
        assert page.evaluate(outline, "[role=tab][aria-selected=true]") == "solid"
        assert (
            page.evaluate(
                "() => getComputedStyle(document.querySelector('.timebar')).borderTopStyle"
            )
            == "solid"
        )
    finally:
        made.context.close()


# -- filters ---------------------------------------------------------------------------------------


def test_filters_reach_time_errors_quality_and_the_dearest(seen: Seen) -> None:
    page = seen.open("overview?model=gpt-4o")
    assert "Model calls alone" in page.inner_text("main section:has(h3:text-is('Where time goes'))")
    errors = page.inner_text("main section:has(h3:text-is('Errors'))")
    assert "slow down" in errors
    whole = seen.open("quality").inner_text("main section:has(> h3:has-text('Rubric')) >> nth=0")
    parts = 0
    core = page.evaluate("() => JSON.parse(document.getElementById('core').textContent).dims.model")
    for model in core[1:]:
        page = seen.open("overview")
        page.evaluate(
            "(m) => { location.hash = '#/quality?' + new URLSearchParams({model: m}) }", model
        )
        page.wait_for_selector("main[data-view=quality]")
        page.wait_for_selector(".chip")
        found = re.search(r"of (\d+) scores?", page.inner_text("main"))
        rubric = page.locator("main section:has(> h3:has-text('Rubric'))")
        parts += int(found[1]) if found and rubric.count() else 0
    assert f"of {parts} scores" in whole
    page = seen.open("cost?model=gpt-4o")
    assert "Of the traces in the list that match" in page.inner_text("main")


def test_one_filter_is_exact_where_calls_are_a_sample(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_module, "MAX_ROWS", 100)
    calls = [
        span(
            n,
            1,
            None,
            "openai.chat",
            NOW + n,
            float(n),
            model=f"m{n % 3}",
            cost_usd=0.01,
            tokens_input=1,
            feature="ab"[n % 2],
        )
        for n in range(1, 1000)
    ]
    page = opened(calls, "overview?model=m0")
    assert page.get_attribute(".tile >> nth=0", "data-exact") == "333"
    assert page.inner_text(".tile >> nth=2 >> .value") == "501 ms"
    assert page.inner_text(".tile >> nth=5 >> .value") == "$3.33"
    assert "\u2248" not in page.inner_text("main")
    page.evaluate("() => { location.hash = '#/overview?model=m0&feature=a' }")
    page.wait_for_selector(".chip >> nth=1")
    assert "\u2248 Estimated from 1 in" in page.inner_text("main")
    page.evaluate("() => { location.hash = '#/overview' }")
    page.wait_for_selector(".chip", state="detached")
    assert (
        page.inner_text("main section:has(h3:text-is('By model')) tbody tr >> nth=0 >> td >> nth=0")
        == "333"
    )


# -- states ----------------------------------------------------------------------------------------


def test_list_says_how_many_traces_it_leaves_out(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "MAX_LISTED", 50)
    page = opened(list(sample_records(120)), "traces")
    assert "50 of 120 traces are listed" in page.inner_text("main .note")


def test_browser_that_cannot_unpack_shows_the_overview_and_says_so(
    browser: Any, report: str
) -> None:
    made = Seen(browser, report)
    try:
        made.page.add_init_script("delete globalThis.DecompressionStream")
        page = made.open("overview")
        assert page.locator(".tile").count() == 6
        assert page.locator("main section:has(h3:text-is('By model')) tbody tr").count() >= 5
        page = made.open("traces")
        assert "DecompressionStream" in page.inner_text("main")
        for view in ("cost", "quality", "sessions", f"trace/{3:032x}", "session/s-3"):
            assert "could not be drawn" not in made.open(view).inner_text("main")
        assert made.said == []
    finally:
        made.context.close()


def test_lines_that_could_not_be_read_are_told(browser: Any, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "t.jsonl", sample_records(30))
    with source.open("a", encoding="utf-8") as stream:
        stream.write("torn {\n")
    write_report(str(source), str(tmp_path / "r.html"))
    made = Seen(browser, f"file://{tmp_path / 'r.html'}")
    try:
        assert "1 line could not be read" in made.open("about").inner_text("main")
        assert "1 line could not be read" in made.open("overview").inner_text("header")
    finally:
        made.context.close()


def test_sessions_are_filtered_by_what_their_traces_say(seen: Seen) -> None:
    every = seen.open("sessions").locator("main tbody tr").count()
    some = seen.open("sessions?feature=search").locator("main tbody tr").count()
    assert 0 < some < every
