"""Budgets: no call is sent once the money is spent, in threads, processes and windows."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, cast

import openai
import pytest

import peekr
from peekr.alert import BudgetAlert, BudgetNotice
from peekr.alert import budget as budget_module
from peekr.alert.ledger import MemoryLedger
from peekr.errors import BudgetExceededError, ConfigurationError
from simulated_providers import SimulatedProviders

from .conftest import Telemetry, attributes_of
from .support.forking import needs_fork, said_in_child

DOLLAR = {"gpt-4o": {"request": 1.0}}
"""Prices under which each call costs one dollar."""


def ask(simulated: SimulatedProviders, model: str = "gpt-4o", **arguments: Any) -> Any:
    with openai.OpenAI(api_key="none", base_url=f"{simulated.url}/v1", max_retries=0) as opened:
        client: Any = opened
        made = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hi"}], **arguments
        )
        if arguments.get("stream"):
            for _ in made:
                pass
        return made


def calls_until_stopped(simulated: SimulatedProviders, limit: int = 20) -> int:
    for number in range(limit):
        try:
            ask(simulated)
        except BudgetExceededError:
            return number
    return limit


class Clock:
    """The budgets' clock, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_s: float) -> None:
        self.at_s = at_s
        monkeypatch.setattr(budget_module, "time", self)

    def time(self) -> float:
        return self.at_s


# -- before the next call --------------------------------------------------------------------------


def test_the_call_after_the_one_that_crosses_the_limit_is_not_sent(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    budget = BudgetAlert(2.5)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    before = len(simulated.requests)
    assert calls_until_stopped(simulated) == 3
    assert len(simulated.requests) - before == 3
    assert (budget.spent, budget.remaining) == (3.0, 0.0)
    refused = telemetry.spans[-1]
    assert refused.status.is_ok is False
    assert attributes_of(refused)["error.type"] == "BudgetExceededError"
    assert telemetry.records[-1]["status"] == "error"
    assert "cost_usd" not in telemetry.records[-1]["attributes"]


def test_the_error_says_what_is_spent(telemetry: Telemetry, simulated: SimulatedProviders) -> None:
    telemetry.instrument(budget_alert=BudgetAlert(1.0, window="hour"), prices=DOLLAR)
    ask(simulated)
    with pytest.raises(BudgetExceededError, match=r"budget of \$1 an hour is spent: \$1\.0") as got:
        ask(simulated)
    error = got.value
    assert isinstance(error, peekr.PeekrError)
    assert (error.limit_usd, error.spent_usd, error.scope, error.key) == (1.0, 1.0, "process", "")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.limit_usd, copy.spent_usd) == (str(error), 1.0, 1.0)


async def test_calls_that_are_awaited_and_streams_are_stopped_too(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    telemetry.instrument(budget_alert=BudgetAlert(2.0), prices=DOLLAR)
    await asyncio.to_thread(ask, simulated, stream=True, stream_options={"include_usage": True})
    client = openai.AsyncOpenAI(api_key="none", base_url=f"{simulated.url}/v1", max_retries=0)
    async with client:

        async def call() -> Any:
            return await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
            )

        await call()
        with pytest.raises(BudgetExceededError):
            await call()


def test_a_budget_among_the_alerts_is_a_budget(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    budget = BudgetAlert(1.0)
    telemetry.instrument(alerts=[budget], budget_alert=budget, prices=DOLLAR)
    assert calls_until_stopped(simulated) == 1
    assert budget.spent == 1.0


def test_calls_that_are_not_sampled_count(
    bare_telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    off = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    bare_telemetry.instrument(budget_alert=BudgetAlert(2.0), prices=DOLLAR, tracer_provider=off)
    assert calls_until_stopped(simulated) == 2
    off.shutdown()


def test_reset_begins_anew(telemetry: Telemetry, simulated: SimulatedProviders) -> None:
    budget = BudgetAlert(1.0)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    assert calls_until_stopped(simulated) == 1
    budget.reset()
    assert (budget.spent, budget.remaining) == (0.0, 1.0)
    assert calls_until_stopped(simulated) == 1


def test_a_limit_of_nothing_stops_every_call(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    telemetry.instrument(budget_alert=BudgetAlert(0), prices=DOLLAR)
    assert calls_until_stopped(simulated) == 0


def test_two_budgets_that_share_an_account_charge_a_call_once(
    telemetry: Telemetry, simulated: SimulatedProviders, tmp_path: Path
) -> None:
    path = tmp_path / "budgets.db"
    small = BudgetAlert(2.0, db_path=path)
    large = BudgetAlert(9.0, db_path=path)
    hourly = BudgetAlert(9.0, window="hour", db_path=path)
    telemetry.instrument(alerts=[small, large, hourly], prices=DOLLAR)
    assert calls_until_stopped(simulated) == 2
    assert (small.spent, large.spent, hourly.spent) == (2.0, 2.0, 2.0)


def test_a_model_without_a_price_is_said_once(
    telemetry: Telemetry, simulated: SimulatedProviders, caplog: pytest.LogCaptureFixture
) -> None:
    budget = BudgetAlert(1.0)
    telemetry.instrument(budget_alert=budget)
    with caplog.at_level(logging.WARNING, "peekr"):
        ask(simulated, model="simulated-local")
        ask(simulated, model="simulated-local")
    assert [r.getMessage().partition(" has ")[0] for r in caplog.records] == [
        "simulated-local of openai"
    ]
    assert budget.spent == 0.0


def test_a_call_that_tells_no_tokens_is_said_once(
    telemetry: Telemetry, simulated: SimulatedProviders, caplog: pytest.LogCaptureFixture
) -> None:
    budget = BudgetAlert(1e-9)
    telemetry.instrument(budget_alert=budget)
    with caplog.at_level(logging.WARNING, "peekr"):
        ask(simulated, stream=True)
        ask(simulated, stream=True)
        with pytest.raises(openai.InternalServerError):
            ask(simulated, model="simulated-error-500")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(
        "gpt-4o-2024-08-06 of openai did not tell a call's tokens: budgets do not count"
    )
    assert budget.spent == 0.0
    ask(simulated, stream=True, stream_options={"include_usage": True})
    assert budget.spent > 0.0


# -- notices ---------------------------------------------------------------------------------------


def test_warning_and_exceeded_come_once_a_window(
    telemetry: Telemetry, simulated: SimulatedProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, 1_760_000_000.0)
    said: List[str] = []

    def note(kind: str) -> Any:
        def callback(notice: BudgetNotice) -> None:
            assert notice.budget is budget
            said.append(f"{kind} {notice.spent_usd:g}/{notice.limit_usd:g}")

        return callback

    budget = BudgetAlert(5.0, note("warning"), note("exceeded"), 0.6, "hour")
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    assert calls_until_stopped(simulated) == 5
    assert calls_until_stopped(simulated) == 0
    assert said == ["warning 3/5", "exceeded 5/5"]
    clock.at_s += 3600
    assert calls_until_stopped(simulated) == 5
    assert said == ["warning 3/5", "exceeded 5/5"] * 2


def test_without_callbacks_a_line_is_logged(
    telemetry: Telemetry, simulated: SimulatedProviders, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.instrument(budget_alert=BudgetAlert(2.0, warning_pct=0.5), prices=DOLLAR)
    with caplog.at_level(logging.WARNING, "peekr"):
        calls_until_stopped(simulated)
    assert [record.getMessage() for record in caplog.records] == [
        "50% of the budget of $2 a day is spent: $1.0000",
        "100% of the budget of $2 a day is spent: $2.0000",
    ]


@pytest.mark.usefixtures("contained_faults")
def test_a_callback_that_fails_does_not_reach_the_caller(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(notice: BudgetNotice) -> None:
        raise RuntimeError("the pager is off")

    bare_telemetry.instrument(budget_alert=BudgetAlert(1.0, fail, fail), prices=DOLLAR)
    assert calls_until_stopped(simulated) == 1
    assert "the pager is off" in caplog.text


# -- windows and scopes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "before", "after"),
    [
        ("hour", "2026-03-01T10:59:59", "2026-03-01T11:00:00"),
        ("day", "2026-03-01T23:59:59", "2026-03-02T00:00:00"),
        ("month", "2026-02-28T23:59:59", "2026-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_windows_are_those_of_the_clock(
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    monkeypatch: pytest.MonkeyPatch,
    window: Any,
    before: str,
    after: str,
) -> None:
    from datetime import datetime

    clock = Clock(monkeypatch, datetime.fromisoformat(f"{before}+00:00").timestamp())
    budget = BudgetAlert(1.0, window=window)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    ask(simulated)
    with pytest.raises(BudgetExceededError, match=after.replace("T", " ")[:16]):
        ask(simulated)
    clock.at_s += 1
    assert budget.spent == 0.0
    ask(simulated)


@pytest.mark.parametrize("scope", ["session", "tenant", "user"])
def test_each_session_tenant_or_user_has_its_own(
    telemetry: Telemetry, simulated: SimulatedProviders, scope: Any
) -> None:
    budget = BudgetAlert(2.0, scope=scope)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    for name in ("ada", "bob"):
        block: Dict[str, Any] = {f"{scope}_id": name}
        with peekr.session(**block):
            assert calls_until_stopped(simulated) == 2
            assert budget.spent == 2.0
    # Outside of any there is no limit.
    assert calls_until_stopped(simulated, 3) == 3
    assert budget.spent == 0.0
    budget.reset()
    with peekr.session(**{f"{scope}_id": "ada"}):
        assert budget.spent == 0.0


def test_the_tenant_of_the_installation_has_a_budget(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    budget = BudgetAlert(1.0, scope="tenant")
    telemetry.instrument(budget_alert=budget, prices=DOLLAR, tenant_id="acme")
    assert calls_until_stopped(simulated) == 1
    assert budget.spent == 1.0


def test_each_trace_has_its_own(telemetry: Telemetry, simulated: SimulatedProviders) -> None:
    budget = BudgetAlert(2.0, scope="trace")
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    for _ in range(2):
        with telemetry.tracer.start_as_current_span("run"):
            assert calls_until_stopped(simulated) == 2
            assert budget.spent == 2.0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"limit_usd": -1}, ConfigurationError),
        ({"limit_usd": float("nan")}, ConfigurationError),
        ({"limit_usd": "5"}, TypeError),
        ({"limit_usd": 5, "warning_pct": 80}, ConfigurationError),
        ({"limit_usd": 5, "window": "week"}, ConfigurationError),
        ({"limit_usd": 5, "scope": "planet"}, ConfigurationError),
        ({"limit_usd": 5, "on_warning": "me@example.org"}, TypeError),
        ({"limit_usd": 5, "db_path": 7}, TypeError),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: Dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        BudgetAlert(**arguments)


def test_what_is_no_budget_is_refused() -> None:
    with pytest.raises(TypeError, match="budget_alert"):
        peekr.instrument(console=False, storage=None, budget_alert=5.0)


# -- at the same time ------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
def test_threads_overrun_by_no_more_than_the_calls_in_flight(
    telemetry: Telemetry, simulated: SimulatedProviders, tmp_path: Path, kept: bool
) -> None:
    path = tmp_path / "budgets.db" if kept else None
    budget = BudgetAlert(10.0, db_path=path)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    done: List[int] = []

    def work() -> None:
        done.append(calls_until_stopped(simulated))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.spent == float(sum(done))
    assert 10 <= sum(done) <= 10 + 3


@needs_fork
def test_a_forks_child_goes_on_with_what_is_spent_although_a_thread_was_charging() -> None:
    budget = BudgetAlert(1e9)
    ledger, account = budget.account("")
    ledger.charge(account, 2.0, ())

    def say() -> str:
        ledger.charge(account, 1.0, ())
        return str(budget.spent)

    lock = cast("MemoryLedger", ledger)._lock  # pyright: ignore[reportPrivateUsage]
    assert said_in_child(lock, say) == "3.0"
    assert budget.spent == 2.0


PROGRAM = """
import sys
import openai, peekr
from peekr.alert import BudgetAlert
url, begin = sys.argv[1:]
def say(word):
    return lambda notice: print(word)

budget = BudgetAlert({limit}, say("warned"), say("crossed"), db_path="budgets.db")
peekr.instrument(console=False, storage=None, budget_alert=budget, prices={prices})
client = openai.OpenAI(api_key="none", base_url=url + "/v1", max_retries=0)
print("ready", flush=True)
sys.stdin.readline()
done = 0
try:
    while done < 1000:
        client.chat.completions.create(model="gpt-4o", messages=[dict(role="user", content="hi")])
        done += 1
except peekr.BudgetExceededError:
    print("stopped", done)
"""


def start(folder: Path, url: str, limit: float = 40.0) -> subprocess.Popen[str]:
    program = PROGRAM.format(limit=limit, prices=DOLLAR)
    return subprocess.Popen(
        [sys.executable, "-c", program, url, ""],
        cwd=folder,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> List[str]:
    out, err = process.communicate("go\n", timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    return out.split()


def test_eight_processes_together_stop_after_the_call_that_crosses(
    tmp_path: Path, simulated: SimulatedProviders
) -> None:
    before = len(simulated.requests)
    processes = [start(tmp_path, simulated.url) for _ in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [finish(process) for process in processes]
    done = sum(int(words[words.index("stopped") + 1]) for words in said)
    assert done == len(simulated.requests) - before
    assert 40 <= done <= 40 + 7
    for notice in ("warned", "crossed"):
        assert sum(words.count(notice) for words in said) == 1
    with sqlite3.connect(tmp_path / "budgets.db") as connection:
        (spent,) = connection.execute("SELECT spent_usd FROM budgets").fetchone()
    connection.close()
    assert spent == float(done)


def test_a_restart_begins_where_the_last_process_was_killed(
    tmp_path: Path, simulated: SimulatedProviders
) -> None:
    killed = start(tmp_path, simulated.url, limit=1e9)
    assert killed.stdin is not None
    killed.stdin.write("go\n")
    killed.stdin.flush()
    budget = BudgetAlert(5.0, db_path=tmp_path / "budgets.db")
    deadline = time.monotonic() + 60
    while budget.spent < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    spent = budget.spent
    assert spent >= 5.0
    assert finish(start(tmp_path, simulated.url, limit=spent)) == ["ready", "stopped", "0"]


def test_the_installations_database_keeps_a_budget_that_has_no_file(
    telemetry: Telemetry, simulated: SimulatedProviders, tmp_path: Path
) -> None:
    path = tmp_path / "traces.db"
    for expected in (2, 0):
        telemetry.instrument(
            storage="both", db_path=path, budget_alert=BudgetAlert(2.0), prices=DOLLAR
        )
        assert calls_until_stopped(simulated) == expected
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT spent_usd FROM budgets").fetchall() == [(2.0,)]
    assert connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0] >= 3
    connection.close()


def test_a_file_that_cannot_be_used_is_said_once_and_the_process_counts_for_itself(
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, and long enough to be told from one " * 10)
    telemetry.instrument(budget_alert=BudgetAlert(2.0, db_path=path), prices=DOLLAR)
    with caplog.at_level(logging.WARNING, "peekr"):
        assert calls_until_stopped(simulated) == 2
    said = [r.getMessage() for r in caplog.records if "cannot be kept" in r.getMessage()]
    assert len(said) == 1
    assert path.read_text().startswith("this is no database")


def test_the_first_calls_count_although_their_price_comes_later(
    tmp_path: Path, simulated: SimulatedProviders
) -> None:
    program = PROGRAM.format(limit=1e-9, prices=None)
    process = subprocess.Popen(
        [sys.executable, "-c", program, simulated.url, ""],
        cwd=tmp_path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert finish(process) == ["ready", "warned", "crossed", "stopped", "1"]


def test_a_database_that_is_held_for_long_stops_no_call_and_forgets_nothing(
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peekr.store.sqlite import ledger

    monkeypatch.setattr(ledger, "_PATIENCE_S", 0.02)
    path = tmp_path / "budgets.db"
    budget = BudgetAlert(3.0, db_path=path)
    telemetry.instrument(budget_alert=budget, prices=DOLLAR)
    ask(simulated)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert calls_until_stopped(simulated) == 2
    other.execute("COMMIT")
    assert budget.spent == 3.0
    budget.limit_usd = 4.0
    ask(simulated)
    assert other.execute("SELECT spent_usd FROM budgets").fetchall() == [(4.0,)]
    other.close()
