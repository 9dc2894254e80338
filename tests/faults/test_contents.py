"""Very long, very many, and what no text should hold: the request goes out as it would."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from .running import App

STRANGE = """
STRANGE = {
    "nul": "a\\0b\\0",
    "controls": "".join(map(chr, range(32))) + "\\x7f\\x85\\u2028\\u2029",
    "bidi": "\\u202etxt.exe",
    "no characters": "\\ufffe\\uffff\\U0010ffff",
    "emoji": "\\U0001f600" * 9,
    "combining": "e" + "\\u0301" * 500,
    "escape": "\\x1b[31m]0;\\x07",
    "lines": "\\r\\n\\n",
}
LONE = {
    "high": "a\\ud800b", "low": "\\udfff", "reversed": "\\udc00\\ud800", "of bytes": "\\udcff.txt"
}
"""


def test_strange_texts_are_stored_as_they_were_sent(app: App) -> None:
    source = (
        STRANGE
        + """
instrument()
for name, text in STRANGE.items(): ask(text)
print(json.dumps(list(STRANGE.values())))
"""
    )
    ended = app.run(source).check()
    assert ended.asked == ended.asked_in_rows == json.loads(ended.out)


def test_lone_surrogates_end_as_without_peekr_and_are_stored_escaped(app: App) -> None:
    # JSON can carry them, UTF-8 cannot: what the SDK does is the SDK's, and as it was.
    source = (
        STRANGE
        + """
instrument()
for name, text in LONE.items():
    try: said = client.chat.completions.create(**request(text)).choices[0].message.content
    except Exception as error: said = type(error).__name__
    say(ascii(said))
@peekr.trace
def echo(text): return {text: [text]}
for text in LONE.values():
    assert echo(text) == {text: [text]}
    with peekr.span("block " + text) as span: span.attributes["a"] = text
    with peekr.session(session_id=text, user_id=text): ask("in a session")
"""
    )
    ended = app.run(source).check()
    bare = app.run(source, FAULTS_BARE="1")
    assert ended.said == bare.said
    assert len(ended.said) == 4
    for records in (ended.whole_lines, ended.rows):
        assert len(records) == 4 * 4
        text = json.dumps(records, ensure_ascii=False)
        text.encode()  # nothing in the files is no text
        assert "ud800" in text


LONG = """
instrument()
megabyte = "0123456789abcdef" * 65536
ask(megabyte)
ask(megabyte * 4)
messages = [{"role": "user", "content": [{"type": "text", "text": f"part {n}"} for n in range(20)]}
            for _ in range(100)]
messages.append({"role": "user", "content": "last"})
client.chat.completions.create(model="gpt-4o", messages=messages)
@peekr.trace
def long(text, items): return text
long(megabyte, list(range(20_000)))
with peekr.span("many") as span:
    for n in range(5_000): span.attributes[f"key.{n}"] = n
    span.attributes["k" * 10_000] = "long key"
    span.attributes["nested"] = [{"deep": [[["x"]]] * 50}] * 50
deep = "bottom"
for _ in range(300): deep = [deep]
with peekr.span("deep") as span: span.attributes["deep"] = deep
"""


def test_very_long_and_very_many_values_are_stored_or_cut_with_a_mark(app: App) -> None:
    ended = app.run(LONG).check(warned=1)
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT is 128" in ended.err
    for records in (ended.whole_lines, ended.rows):
        by_name: Dict[str, List[Dict[str, Any]]] = {}
        for record in records:
            by_name.setdefault(record["name"], []).append(record["attributes"])
        first, second, third = by_name["openai.chat"]
        assert len(first["input"][0]["content"]) == 1024 * 1024
        assert is_whole_or_marked(second["input"][0]["content"], 4 * 1024 * 1024)
        assert third["input"][-1]["content"] == "last" or "cut" in json.dumps(third["input"])
        (traced,) = by_name["__main__.long"]
        assert "0123456789abcdef" in json.dumps(traced["input"])
        (many,) = by_name["many"]
        # OpenTelemetry's limit of attributes is 128 a span unless the application says another.
        assert 100 < len(many) <= 128
        assert [many[f"key.{n}"] for n in range(100)] == list(range(100))
        assert len(by_name["deep"]) == 1


def is_whole_or_marked(text: str, length: int) -> bool:
    return len(text) == length or "cut" in text


def test_answers_that_are_no_answers_reach_the_application_as_without_peekr(app: App) -> None:
    source = """
instrument()
for model in ("simulated-error-500", "simulated-error-404"):
    try: client.chat.completions.create(**{**request("hi"), "model": model})
    except Exception as error: say(type(error).__name__, error)
    else: say("answered")
for model in ("simulated-stream-error", "simulated-stream-cut"):
    got = []
    try:
        asked = {**request("hi", stream=True), "model": model}
        for chunk in client.chat.completions.create(**asked):
            got.append(chunk.choices[0].delta.content)
    except Exception as error: say(type(error).__name__, error)
    say(got)
nobody = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
try: nobody.chat.completions.create(**request("hi"))
except Exception as error: say(type(error).__name__, error)
try: client.chat.completions.create(model=None, messages=object())
except Exception as error: say(type(error).__name__)
"""
    ended = app.run(source).check()
    bare = app.run(source, FAULTS_BARE="1")
    assert ended.said == bare.said
    assert len(ended.whole_lines) == len(ended.rows) == 6
