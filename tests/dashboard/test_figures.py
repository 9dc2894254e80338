"""Each figure on the page is what a plain SQL query over the same records says."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peekr.dashboard.figures import Series, mask, nearest_rank
from peekr.dashboard.ranks import Ranks, part_of
from tests.support.trace_files import NOW, span, write_sqlite

from .pages import Page, page_of
from .sample import sample_records

# Calls that count: model calls that are not Peekr's own, and not above another span with usage.
CALLS = """
WITH RECURSIVE
used AS (
    SELECT trace_id, span_id, parent_id FROM spans
    WHERE (json_extract(attributes, '$.tokens_input') IS NOT NULL
           OR json_extract(attributes, '$.tokens_output') IS NOT NULL)
      AND json_extract(attributes, '$."peekr.internal"') IS NULL
),
above AS (
    SELECT trace_id, parent_id AS span_id FROM used WHERE parent_id IS NOT NULL
    UNION
    SELECT spans.trace_id, spans.parent_id FROM above
    JOIN spans ON spans.span_id = above.span_id WHERE spans.parent_id IS NOT NULL
),
calls AS (
    SELECT *, json_extract(attributes, '$.model') AS model,
        json_extract(attributes, '$.tokens_input') AS tokens_in,
        json_extract(attributes, '$.tokens_output') AS tokens_out,
        json_extract(attributes, '$.tokens_cache_read') AS cached,
        json_extract(attributes, '$.cost_usd') AS cost,
        json_extract(attributes, '$.time_to_first_token_ms') AS ttft
    FROM spans
    WHERE json_extract(attributes, '$."gen_ai.operation.name"') IN ('chat', 'embeddings')
      AND json_extract(attributes, '$."peekr.internal"') IS NULL
      AND span_id NOT IN (SELECT span_id FROM above)
)
"""


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return list(sample_records(120))


@pytest.fixture(scope="module")
def database(
    records: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    path = write_sqlite(tmp_path_factory.mktemp("sql") / "t.db", records)
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


@pytest.fixture(scope="module", params=["jsonl", "sqlite"])
def page(
    request: pytest.FixtureRequest,
    records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Page:
    return page_of(tmp_path_factory.mktemp("page"), records, request.param)


def one(database: sqlite3.Connection, query: str) -> Any:
    return database.execute(f"{CALLS} {query}").fetchone()


def test_counts_and_sums_are_those_of_sql(page: Page, database: sqlite3.Connection) -> None:
    kpi = page.core["kpi"]
    calls, failed, tokens_in, tokens_out, cached, cost, priced = one(
        database,
        "SELECT count(*), sum(status = 'error'), sum(tokens_in), sum(tokens_out), sum(cached),"
        " sum(cost), count(cost) FROM calls",
    )
    assert (kpi["calls"], kpi["failed"], kpi["priced"]) == (calls, failed, priced)
    assert (kpi["tokens_in"], kpi["tokens_out"]) == (tokens_in, tokens_out)
    assert kpi["tokens_cached"] == cached
    assert kpi["cost"] == pytest.approx(cost, abs=1e-9)
    (unpriced,) = one(
        database, "SELECT count(*) FROM calls WHERE cost IS NULL AND tokens_in IS NOT NULL"
    )
    assert kpi["unpriced"] == unpriced
    ((name, count),) = kpi["unpriced_models"][:1]
    assert (name, count) == (
        "acme-ft-7b",
        one(database, "SELECT count(*) FROM calls WHERE model = 'acme-ft-7b'")[0],
    )
    assert page.core["spans"] == database.execute("SELECT count(*) FROM spans").fetchone()[0]
    assert (
        page.core["traces"]
        == database.execute("SELECT count(DISTINCT trace_id) FROM spans").fetchone()[0]
    )


@pytest.mark.parametrize(("key", "share"), [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)])
def test_percentiles_are_nearest_ranks_of_ok_calls(
    page: Page, database: sqlite3.Connection, key: str, share: float
) -> None:
    rows = database.execute(
        f"{CALLS} SELECT duration_ms FROM calls WHERE status = 'ok' ORDER BY duration_ms"
    ).fetchall()
    rank = -int(-share * len(rows) // 1)
    assert page.core["kpi"][key] == pytest.approx(rows[rank - 1][0], abs=0.06)


def test_states_of_traces_are_those_of_sql(page: Page, database: sqlite3.Connection) -> None:
    failed, recovered = database.execute(
        """SELECT sum(root), sum(any_failed AND NOT root) FROM (
            SELECT max(status = 'error' AND parent_id IS NULL) AS root,
                   max(status = 'error') AS any_failed FROM spans GROUP BY trace_id)"""
    ).fetchone()
    kpi = page.core["kpi"]
    assert (kpi["traces_failed"], kpi["traces_recovered"]) == (failed, recovered)
    assert recovered > 0
    assert kpi["traces_ok"] == page.core["traces"] - failed - recovered


def test_series_sum_up_to_the_figures(page: Page, database: sqlite3.Connection) -> None:
    core = page.core
    buckets = core["buckets"]
    for name in ("calls", "failed", "tokens_in", "tokens_out", "cost"):
        assert sum(core["series"][name]) == pytest.approx(core["kpi"][name])
    assert len(core["series"]["calls"]) == buckets["count"] <= 96
    by_bucket = dict(
        database.execute(
            f"{CALLS} SELECT CAST(start_time / {buckets['step']} AS INTEGER), count(*)"
            " FROM calls GROUP BY 1"
        ).fetchall()
    )
    first = buckets["start"] // buckets["step"]
    expected = [by_bucket.get(first + place, 0) for place in range(buckets["count"])]
    assert core["series"]["calls"] == expected


def test_facts_are_the_calls(page: Page, database: sqlite3.Connection) -> None:
    facts = page.unpacked("facts")
    assert facts["n"] == page.core["kpi"]["calls"]
    assert facts["sampled"] is None
    models = page.core["dims"]["model"]
    counted: dict[str, int] = {}
    for number in facts["m"]:
        counted[models[number]] = counted.get(models[number], 0) + 1
    expected = dict(database.execute(f"{CALLS} SELECT model, count(*) FROM calls GROUP BY 1"))
    assert counted == expected
    assert sum(c for c in facts["c"] if c >= 0) / 1e6 == pytest.approx(page.core["kpi"]["cost"])


def test_sessions_add_up(page: Page, database: sqlite3.Connection) -> None:
    rows = dict(
        database.execute(
            "SELECT json_extract(attributes, '$.session_id'), count(DISTINCT trace_id) FROM spans"
            " WHERE json_extract(attributes, '$.session_id') IS NOT NULL GROUP BY 1"
        ).fetchall()
    )
    assert {s["id"]: s["turns"] for s in page.core["session_list"]} == rows


def test_scores_are_those_of_sql(page: Page, database: sqlite3.Connection) -> None:
    rows = database.execute(
        "SELECT score.key, count(*), avg(score.value), min(score.value) FROM spans,"
        " json_each(attributes, '$.eval_scores') AS score GROUP BY 1"
    ).fetchall()
    found = {e["name"]: (e["n"], e["mean"], e["low"]) for e in page.core["quality"]["evaluators"]}
    assert set(found) == {row[0] for row in rows}
    for name, count, mean, lowest in rows:
        assert found[name] == (count, pytest.approx(mean), pytest.approx(lowest))
    worst = page.core["quality"]["worst"]
    assert [w["score"] for w in worst] == sorted(w["score"] for w in worst)


def test_failed_and_recovered_traces_over_time_add_up(page: Page) -> None:
    series, kpi = page.core["series"], page.core["kpi"]
    assert sum(series["failed_traces"]) == kpi["traces_failed"] > 0
    assert sum(series["recovered"]) == kpi["traces_recovered"] > 0
    assert len(series["recovered"]) == page.core["buckets"]["count"]


def test_calls_of_judges_are_counted_apart(page: Page) -> None:
    assert page.core["kpi"]["eval_calls"] == 1


def test_wrapper_is_counted_nowhere(tmp_path: Path) -> None:
    used: dict[str, Any] = {
        "model": "gpt-4o",
        "tokens_input": 10,
        "tokens_output": 5,
        "cost_usd": 0.5,
    }
    chat: dict[str, Any] = {"gen_ai.operation.name": "chat", **used}
    made = page_of(
        tmp_path,
        [
            span(1, 3, 2, "openai.chat", NOW + 1, 100, **chat),
            span(1, 2, 1, "framework.chat", NOW, 200, **chat),
            span(1, 1, None, "run", NOW, 300),
        ],
    )
    assert made.core["kpi"]["calls"] == 1
    assert made.core["kpi"]["cost"] == 0.5
    assert made.unpacked("traces")["tok"] == [15]
    rows = made.trace("0" * 31 + "1")["spans"]
    assert [row["wrapper"] for row in rows] == [0, 1, 0]


def test_children_that_come_after_their_parents_are_counted_the_same(tmp_path: Path) -> None:
    forward = list(sample_records(40))
    one_way = page_of(tmp_path, forward)
    other = page_of(tmp_path, forward[::-1])
    for key in ("calls", "failed", "tokens_in", "unpriced", "traces_recovered"):
        assert one_way.core["kpi"][key] == other.core["kpi"][key]


def test_no_p95_of_nineteen_calls_and_no_zero_for_what_has_no_price(tmp_path: Path) -> None:
    calls = [
        span(n, 1, None, "openai.chat", NOW + n, 100.0 + n, model="m", tokens_input=1)
        for n in range(1, 20)
    ]
    kpi = page_of(tmp_path, calls).core["kpi"]
    assert (kpi["p50"], kpi["p95"], kpi["cost"], kpi["unpriced"]) == (110.0, None, None, 19)
    calls.append(span(20, 1, None, "openai.chat", NOW + 20, 120.0, model="m", tokens_input=1))
    assert page_of(tmp_path, calls).core["kpi"]["p95"] == 119.0


def test_more_calls_than_fit_are_sampled_by_trace_and_every_failure_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peekr.dashboard import facts as facts_module

    monkeypatch.setattr(facts_module, "MAX_ROWS", 100)
    calls = [
        span(
            n,
            1,
            None,
            "openai.chat",
            NOW + n,
            10.0,
            "error" if n % 50 == 0 else "ok",
            model="m",
            tokens_input=1,
        )
        for n in range(1, 1001)
    ]
    made = page_of(tmp_path, calls)
    facts = made.unpacked("facts")
    assert made.core["kpi"]["calls"] == 1000
    assert facts["n"] <= 120
    assert sum(facts["s"]) == 20
    assert facts["sampled"] == made.core["sampled"] == f"1 in {max(facts['w'])}"
    assert sum(facts["w"]) == pytest.approx(1000, rel=0.4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RateLimitError: org-a81f3b quota", "RateLimitError: org-b72c99d0 quota"),
        ("no answer within 30 s (request 7)", "no answer within 31 s (request 12)"),
        ("no answer (request 1f0e9c2a)", "no answer (request 12345678)"),
        ("request req_011CSHoEeqs5C35K failed", "request req_022XYZoEeqs5C99 failed"),
        ("no answer from 10.0.0.1 in 1.5 s", "no answer from 192.168.4.17 in 12 s"),
        (
            "job 123e4567-e89b-12d3-a456-426614174000 failed",
            "job 987e6543-e21b-32d3-a456-426614174999 failed",
        ),
    ],
)
def test_failures_that_read_alike_are_one_group(one: str, other: str) -> None:
    assert mask(one) == mask(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Error code: 429 - slow down", "Error code: 500 - slow down"),
        ("limit reached for gpt-4o", "limit reached for acme-ft-7b"),
    ],
)
def test_failures_that_a_person_tells_apart_are_two(one: str, other: str) -> None:
    assert (mask(one), mask(other)) == (one, other)


def test_buckets_grow_with_the_time_that_they_cover() -> None:
    series = Series(1)
    for minute in range(0, 60 * 24 * 30, 7):
        series.buckets[series.at(NOW + minute * 60)][0] += 1
    assert series.step == 86_400
    assert sum(series.column(0)) == len(range(0, 60 * 24 * 30, 7))


@pytest.mark.parametrize(
    ("count", "share", "least", "expected"),
    [(0, 0.5, 1, None), (1, 0.5, 1, 1), (19, 0.95, 20, None), (20, 0.95, 20, 19)],
)
def test_a_rank_needs_enough_values(count: int, share: float, least: int, expected: Any) -> None:
    assert nearest_rank(list(range(1, count + 1)), share, least) == expected


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 5000])
def test_percentiles_over_parts_are_those_of_all_values_in_order(count: int) -> None:
    chance = random.Random(count)
    values = [chance.choice((0.0, 0.1, chance.lognormvariate(6, 3), 1e13)) for _ in range(count)]
    ranks = Ranks([part_of(values[place::7]) for place in range(7)])
    assert ranks.n == count
    for share in (0.0, 0.01, 0.5, 0.95, 0.99, 1.0):
        assert ranks.at(share, 20) == nearest_rank(sorted(values), share, 20)
