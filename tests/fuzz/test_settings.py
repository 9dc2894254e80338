"""Variables, files of prices and options of commands: they work, or one line says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from peekr import distro
from peekr.cli.group import group
from peekr.config import Settings, content_capture, from_environment
from peekr.environment import ENVIRONMENT
from peekr.errors import ConfigurationError
from peekr.pricing import library
from peekr.pricing.own import OwnPrices
from peekr.pricing.rates import KINDS
from tests.dialects.reading import FILES

from .files import LINES
from .mutating import Mutation, mutate, mutations
from .profiles import fuzzed

Json = Dict[str, Any]

# What a variable of the environment can hold: no NUL, no lone surrogates but those of odd bytes.
_TEXT = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                " ",
                "true",
                "FALSE",
                "1",
                "no",
                "off",
                "none",
                "both",
                "sqlite",
                "auto",
                "raise",
            ),
            *("0.5", "1.0", "-1", "nan", "inf", "1e400", "7" * 5_000, "default", "pii", "a,b,,c"),
            *("x\ny", "\x1b[31mred", "🙂", "\udcff", "/", "."),
        ]
    ),
    st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=20),
)
_NAMES = st.sampled_from(
    [
        *(name for name in sorted(ENVIRONMENT) if name not in ("PEEKR_RAISE_FAULTS",)),
        "OTEL_TRACES_EXPORTER",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT",
    ]
)


def one_line(error: Exception) -> None:
    said = str(error)
    assert said
    assert "\n" not in said
    assert "\x1b" not in said


@fuzzed(250)
@given(st.dictionaries(_NAMES, _TEXT, max_size=6))
def test_any_text_in_the_environment_works_or_is_refused_in_one_line(
    environ: Dict[str, str],
) -> None:
    refused: List[Exception] = []
    for use in (
        lambda: Settings(**distro_arguments(environ)),
        lambda: from_environment(environ),
        lambda: content_capture(environ),
    ):
        try:
            use()
        except ConfigurationError as error:
            refused.append(error)
    for error in refused:
        one_line(error)
        assert any(name in str(error) for name in environ) or "=" in str(error), error


def distro_arguments(environ: Dict[str, str]) -> Json:
    arguments = distro.arguments(environ)
    exporter = arguments.pop("exporter", None)
    if exporter is not None:
        exporter.shutdown()
    return arguments


# -- prices ----------------------------------------------------------------------------------------

_PRICES: Json = {
    "my-model": {"input": 2.5, "output": 10, "cache_read": 0.5, "request": 0.01},
    "azure.ai.openai/d*": {"input": 1, "above": {"200000": {"input": 5, "output": 7}}},
    "x?": dict.fromkeys(KINDS, 3),
}
_COUNTS = st.none() | st.integers(0, 10) | st.integers(0, 10**7)
_USAGE = st.tuples(*[_COUNTS] * 9)


def taken(given_: Any) -> Optional[OwnPrices]:
    """Prices, or None where they are refused."""
    try:
        return OwnPrices.of(given_, "PEEKR_PRICES")
    except ConfigurationError as error:
        refused = error
    one_line(refused)
    return None


@pytest.mark.parametrize(
    "prices",
    [
        {"m": {"input": 10**400}},
        {"m": {"input": -(10**400)}},
        {"m": {"input": 1, "above": {"9" * 5_000: {"input": 2}}}},
    ],
)
def test_prices_beyond_all_bounds_are_refused_in_one_line(prices: Json) -> None:
    assert taken(prices) is None


@fuzzed(200)
@given(mutations(), _USAGE)
def test_a_file_of_prices_works_or_is_refused_in_one_line(
    tmp_path: Path, how: List[Mutation], usage: Any
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(mutate(_PRICES, how)), encoding="utf-8")
    prices = taken(str(path))
    if prices is None:
        return
    for provider, model in (("azure.ai.openai", "deployment"), (None, "my-model"), (None, "xy")):
        found = prices.find(provider, model)
        if found is not None:
            assert found.rates(0).cost(*usage) >= 0


@fuzzed(200)
@given(
    st.sampled_from(
        ["gpt-4o", "gpt-5", "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-4o-audio-preview", "o3"]
    ),
    _USAGE,
)
def test_no_usage_has_a_negative_cost(model: str, usage: Any) -> None:
    book = library.load()
    assert book is not None
    found = [book.find(provider, model) for provider in ("openai", "anthropic", "gcp.gemini")]
    for priced in found:
        if priced is not None:
            cost = priced.rates(1_700_000_000_000_000_000).cost(*usage)
            assert cost >= 0
            assert cost > 0 or not (usage[0] or usage[1])


# -- commands --------------------------------------------------------------------------------------

_WORDS = st.one_of(
    st.sampled_from(["", "*", "?", "[", "gpt-4o", "0", "s1", "-1", "1d", "2026-01-31T12:00", "%"]),
    st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=8),
)
_FILTERS = st.one_of(
    st.tuples(
        st.sampled_from(["--trace", "--session", "--tenant", "--user", "--model", "--since"]),
        _WORDS,
    ),
    st.just(("--errors",)),
)
_COMMANDS = st.sampled_from(
    [
        ["view", "--io"],
        ["view", "--json"],
        ["view", "--limit", "1"],
        ["cost", "--by", "session"],
        ["cost", "--json", "--by", "model,day"],
        ["cost", "--csv", "--reprice"],
        ["export", "--format", "otlp-json"],
        ["export", "--format", "csv"],
        ["export", "--format", "jsonl"],
    ]
)


def run(*arguments: str) -> str:
    """The output of a command that went well, or said in a line why not."""
    result = CliRunner().invoke(group, list(arguments))
    assert result.exit_code in (0, 1, 2), (arguments, result.output)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "a fault of its own" not in result.output, result.output
    assert "\x1b" not in result.output, result.output
    if result.exit_code == 1:
        # What could not be read of the file may be said before; each line is about the file.
        said = result.output.splitlines()
        assert all(arguments[-1] in line or "traces.jsonl" in line for line in said), said
    return result.output


@fuzzed(60)
@given(_COMMANDS, st.lists(_FILTERS, max_size=3), LINES)
def test_filters_of_commands_take_any_text(
    tmp_path: Path, command: List[str], filters: List[Any], lines: List[bytes]
) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    run(*command, *(word for words in filters for word in words), str(path))


_WHOLE_FILE = st.sampled_from(
    [
        ["stats"],
        ["stats", "--json"],
        ["dashboard", "-o", "report.html"],
        ["merge", "-o", "merged.db"],
        ["prune", "--yes", "--default", "1d"],
        ["eval", "--evaluator", "NotEmpty", "--dry-run"],
        ["diff", "--file"],
    ]
)


@fuzzed(40)
@given(_WHOLE_FILE, LINES)
def test_commands_pass_over_what_is_damaged(
    tmp_path: Path, command: List[str], lines: List[bytes]
) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / "merged.db").unlink(missing_ok=True)
        more = ["0", "00000000000000000000000000000001"] if command[0] == "diff" else []
        run(*command, str(path), *more)


@fuzzed(40)
@given(st.data(), mutations(), _COMMANDS | _WHOLE_FILE)
def test_commands_pass_over_what_is_odd_in_others_spans(
    tmp_path: Path, data: st.DataObject, how: List[Mutation], command: List[str]
) -> None:
    source = data.draw(st.sampled_from([file for file in FILES if file.suffix == ".jsonl"]))
    documents = [json.loads(line) for line in source.read_text("utf-8").splitlines()[:3]]
    path = tmp_path / "traces.jsonl"
    text = "".join(json.dumps(one) + "\n" for one in mutate(documents, how))
    path.write_text(text, encoding="utf-8")
    if command[0] in ("prune", "diff"):
        return  # the ids of others' traces are not known here, and their files are not changed
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / "merged.db").unlink(missing_ok=True)
        run(*command, str(path))
