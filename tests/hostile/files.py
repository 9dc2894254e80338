"""Damaged, foreign and hostile trace files, each with what a reader is to find in it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, cast

from tests.support.trace_files import NOW, SCHEMA, agent_trace, insert_sqlite, span, write_sqlite

Json = Dict[str, Any]

TRACE = f"{1:032x}"
"""The trace that every file holds of which anything can be read."""

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\r\x08owned\x7f\u202e"

__all__ = ["ESCAPE", "FILES", "TRACE", "Hostile"]


class Hostile(NamedTuple):
    """A file and what is in it.

    Attributes:
        make: Writes it; where it writes none, there is none.
        is_readable: Whether anything of it can be read.
        is_damaged: Whether something of it cannot, or only in part.
    """

    make: Callable[[Path], object]
    is_readable: bool = True
    is_damaged: bool = False


def lines(*items: Any) -> bytes:
    """Lines of bytes, or of JSON."""
    parts = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    return b"\n".join(parts) + b"\n"


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def good(*more: Any) -> Callable[[Path], object]:
    """Three good spans and some lines."""
    return content(lines(*agent_trace(1), *more))


def changed(change: Callable[[Json], object]) -> Callable[[Path], object]:
    """Three spans, each changed."""
    records = agent_trace(1)
    for record in records:
        change(record)
    return content(lines(*records))


def every(value: Any) -> Callable[[Json], None]:
    """Set all but the ids, in a record and its attributes."""

    def change(record: Json) -> None:
        for key in (*record, "model", "tokens_input", "cost_usd", "input", "output", "error"):
            if key not in ("trace_id", "span_id", "attributes"):
                (record if key in record else record["attributes"])[key] = value
        for key in ("session_id", "user_id", "eval_scores", "tool_calls", "finish_reasons"):
            record["attributes"][key] = value
        record["attributes"]["gen_ai.operation.name"] = value
        record["attributes"]["experiment_variant"] = value

    return change


def escaped(value: Any) -> Any:
    """Every name and every text with escape sequences in it."""
    if isinstance(value, dict):
        found = cast("Json", value)
        return {**{key: escaped(item) for key, item in found.items()}, ESCAPE: ESCAPE}
    if isinstance(value, list):
        return [escaped(item) for item in cast("List[Any]", value)]
    return value + ESCAPE if isinstance(value, str) else value


def escapes(is_whole: bool) -> List[Json]:
    records: List[Json] = []
    for record in agent_trace(1, error="Boom: it broke\nhere", session="s"):
        attributes: Json = record["attributes"]
        attributes.update(
            input=[{"role": "user", "content": "hello"}],
            output=[{"role": "assistant", "content": [{"type": "text", "content": "hi"}]}],
            user_id="u",
            experiment_variant="v",
            eval_scores={"Rubric": 0.5},
            eval_errors={"Rubric": "no"},
            guardrail_warnings=[{"guardrail": "x", "reason": "y"}],
            provider="openai",
        )
        attributes["gen_ai.operation.name"] = "chat"
        made: Json = {
            **record,
            "tenant_id": "t" + ESCAPE,
            "retention_class": "long" + ESCAPE,
            "name": record["name"] + (ESCAPE if is_whole else ""),
            "attributes": escaped(attributes),
        }
        if not is_whole:
            made["attributes"].update(model="gpt-4o", tokens_input=3, experiment_variant="v")
        made["attributes"]["gen_ai.operation.name"] = "chat"
        records.append(made)
    return records


def nested(levels: int) -> Json:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": [value]}
    return span(1, 9, 1, "deep", input=value)


def deep(levels: int) -> bytes:
    text = json.dumps(span(1, 9, 1, "deep", input="@"))
    return text.replace('"@"', "[" * levels + "]" * levels).encode()


def many(is_chain: bool) -> List[Json]:
    count = 10_000
    return [span(1, n, (n - 1 if is_chain else 1) if n > 1 else None) for n in range(count, 0, -1)]


def raw(name: str, text: str) -> bytes:
    """A line of a good span with one value written as it is."""
    record = span(1, 9, 1, "openai.chat", model="gpt-4o", tokens_input="@")
    record[name] = "@"
    return json.dumps(record).replace('"@"', text).encode()


# -- SQLite ----------------------------------------------------------------------------------------


def database(*records: Json) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        write_sqlite(path, records or agent_trace(1))

    return make


def script(text: str, with_rows: bool = False) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(text)
            if with_rows:
                insert_sqlite(connection, agent_trace(1))
            connection.commit()

    return make


def damaged(change: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """A database of many rows, with other bytes."""

    def make(path: Path) -> None:
        records = [*agent_trace(1), *(span(2, n, input="x" * 900) for n in range(1, 400))]
        write_sqlite(path, records)
        data = bytearray(path.read_bytes())
        change(data)
        path.unlink()
        path.write_bytes(data)

    return make


def cut(data: bytearray) -> None:
    del data[len(data) // 2 // 4096 * 4096 :]


def noise(data: bytearray) -> None:
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(range(256)) * 16


def header(data: bytearray) -> None:
    data[16:100] = b"\xff" * 84


ODD_ROWS = (
    "INSERT INTO spans (trace_id, span_id, name, start_time, end_time, duration_ms, status,"
    " attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def odd_rows(path: Path) -> None:
    write_sqlite(path, agent_trace(1))
    with closing(sqlite3.connect(path)) as connection:
        rows: List[Any] = [
            (TRACE, "a1", "x", "soon", "later", "long", 7, "{}"),
            (TRACE, "a2", b"\xff\xfe", 1e308, -1e308, NOW, "ok", b"\xff"),
            (TRACE, "a3", 7, 5, 6, 7, "ok", "[1]"),
            (TRACE, "a4", "x", NOW, None, None, "ok", '{"a": NaN}'),
            (TRACE, "a5", "x", NOW, None, None, "ok", "{" * 100_000),
            (b"\x00", b"\x01", "x", NOW, None, None, "ok", "{}"),
            (7, 8, "x", NOW, None, None, "ok", None),
        ]
        connection.executemany(ODD_ROWS, rows)
        connection.commit()


def not_utf8(path: Path) -> None:
    write_sqlite(path, agent_trace(1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE spans SET name = CAST(x'ff61fe' AS TEXT)")
        connection.commit()


# -- OTLP ------------------------------------------------------------------------------------------


def otlp(*attributes: Json, **more: Any) -> Json:
    made: Json = {
        "traceId": TRACE,
        "spanId": f"{7:016x}",
        "name": "chat gpt-4o",
        "startTimeUnixNano": str(int(NOW) * 10**9),
        "endTimeUnixNano": str(int(NOW) * 10**9 + 10**9),
        "attributes": list(attributes),
        **more,
    }
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [made]}]}]}


def pair(key: str, **value: Any) -> Json:
    return {"key": key, "value": value}


_HOSTILE_PAIRS = (
    pair("gen_ai.request.model" + ESCAPE, stringValue=ESCAPE),
    pair("gen_ai.request.model", stringValue="gpt-4o" + ESCAPE),
    pair("gen_ai.operation.name", stringValue="chat" + ESCAPE),
    pair("gen_ai.usage.input_tokens", stringValue="many"),
    pair("gen_ai.input.messages", stringValue='[{"role": 7, "parts": [null, 3]}]'),
    pair("gen_ai.prompt.0.content", stringValue=ESCAPE),
)

# -- no files of content ---------------------------------------------------------------------------


def nothing(path: Path) -> None:
    del path


def link(path: Path) -> None:
    path.symlink_to(path.parent / "gone")


def circle(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


FILES: Dict[str, Hostile] = {
    # -- of which nothing can be read
    "missing": Hostile(nothing, False),
    "directory": Hostile(Path.mkdir, False),
    "dangling link": Hostile(link, False),
    "link to itself": Hostile(circle, False),
    "pipe": Hostile(pipe, False),
    "empty": Hostile(content(b""), False),
    "blank lines": Hostile(content(b"\n \n\r\n\t\n"), False),
    "mark alone": Hostile(content(b"\xef\xbb\xbf"), False),
    "text": Hostile(content(b"hello\nworld\n"), False),
    "a page": Hostile(content(b"<!doctype html>\n<title>trace_id</title>\n"), False),
    "a table": Hostile(content(b"trace_id,span_id\n1,2\n"), False),
    "a list": Hostile(content(json.dumps(agent_trace(1)).encode()), False),
    "indented": Hostile(content(json.dumps(agent_trace(1)[0], indent=1).encode()), False),
    "other JSON": Hostile(content(b'{"a": 1}\nnull\n[]\n7\n"x"\n'), False),
    "carriage returns": Hostile(content(lines(*agent_trace(1)).replace(b"\n", b"\r")), False),
    "UTF-16": Hostile(content(lines(*agent_trace(1)).decode().encode("utf-16")), False),
    "UTF-32": Hostile(content(lines(*agent_trace(1)).decode().encode("utf-32")), False),
    "gzip": Hostile(content(b"\x1f\x8b\x08\x00" + b"\x07" * 99), False),
    "zip": Hostile(content(b"PK\x03\x04" + b"\x07" * 99), False),
    "zstd": Hostile(content(b"\x28\xb5\x2f\xfd" + b"\x07" * 99), False),
    "Parquet": Hostile(content(b"PAR1" + b"\x07" * 99), False),
    "noise": Hostile(content(bytes(range(256)) * 40), False),
    "zeros": Hostile(content(b"\x00" * 10_000), False),
    "brackets": Hostile(content(b"[" * 1_000_000), False),
    "one cut line": Hostile(content(lines(*agent_trace(1))[:120]), False),
    "no ids": Hostile(content(lines({"name": "x"}, {"trace_id": 7, "span_id": 8})), False),
    "OTLP cut": Hostile(content(lines(otlp())[:150]), False),
    "OTLP without spans": Hostile(content(b'{"resourceSpans": []}\n'), False),
    "OTLP of other shapes": Hostile(
        content(b'{"resourceSpans": 7}\n{"resourceSpans": [{"scopeSpans": {"spans": [1]}}]}\n'),
        False,
    ),
    "SQLite's first bytes": Hostile(content(b"SQLite format 3\x00"), False),
    "SQLite, corrupt header": Hostile(damaged(header), False),
    "SQLite of noise": Hostile(content(b"SQLite format 3\x00" + b"\xa5" * 8_000), False),
    "SQLite, another's": Hostile(script("CREATE TABLE users (id INTEGER)"), False),
    "SQLite, another's spans": Hostile(script("CREATE TABLE spans (id INTEGER, t TEXT)"), False),
    # -- that can be read but for some of it
    "cut last line": Hostile(good(json.dumps(span(1, 9))[:90].encode()), True, True),
    "junk between": Hostile(good(b"junk", b"[]", b"null", span(1, 9)), True, True),
    "zeros between": Hostile(good(b"\x00" * 5_000, span(1, 9)), True, True),
    "not UTF-8": Hostile(good(b'{"trace_id":"\xff\xfe', b"\xff"), True, True),
    "Latin-1": Hostile(
        content(
            b"".join(
                json.dumps({**one, "name": "Grüße"}, ensure_ascii=False).encode("latin-1") + b"\n"
                for one in agent_trace(1)
            )
        ),
        True,
        True,
    ),
    "brackets between": Hostile(good(b"[" * 200_000, b'{"a":' * 200_000), True, True),
    "deep attributes": Hostile(good(deep(5_000)), True, True),
    "a line of 50 MB": Hostile(good(b"x" * 50_000_000), True, True),
    "SQLite, cut": Hostile(damaged(cut), True, True),
    "SQLite, a page of noise": Hostile(damaged(noise), True, True),
    "SQLite, odd rows": Hostile(odd_rows, True, True),
    "OTLP, a cut line": Hostile(content(lines(otlp(), lines(otlp())[:150])), True, True),
    # -- that can be read as a whole
    "mark": Hostile(content(b"\xef\xbb\xbf" + lines(*agent_trace(1)))),
    "lines of Windows": Hostile(content(lines(*agent_trace(1)).replace(b"\n", b"\r\n"))),
    "no last line end": Hostile(content(lines(*agent_trace(1)).rstrip(b"\n"))),
    "nested attributes": Hostile(good(nested(60))),
    "a text of 50 MB": Hostile(good(span(1, 9, 1, "openai.chat", output="x" * 50_000_000))),
    "no numbers": Hostile(
        good(*(raw("start_time", text) for text in ("NaN", "Infinity", "-Infinity", "1e999")))
    ),
    "huge numbers": Hostile(
        good(*(raw("end_time", text) for text in ("1" * 400, "-1e308", "1e-400", "1e18")))
    ),
    "negative times": Hostile(
        changed(lambda record: record.update(start_time=-5.0, end_time=-9.0, duration_ms=-4e3))
    ),
    "times of no calendar": Hostile(
        changed(lambda record: record.update(start_time=1e17, end_time=-1e17))
    ),
    "ends before starts": Hostile(changed(lambda record: record.update(end_time=NOW - 99))),
    "strings for numbers": Hostile(changed(every("12"))),
    "words for numbers": Hostile(changed(every("many"))),
    "numbers for strings": Hostile(changed(every(7))),
    "true": Hostile(changed(every(True))),
    "null": Hostile(changed(every(None))),
    "lists": Hostile(changed(every([1, [2], {"a": None}]))),
    "objects": Hostile(changed(every({"a": {"b": [1]}, "": ""}))),
    "attributes of other types": Hostile(
        content(
            lines(
                *({**one, "attributes": odd} for one, odd in zip(agent_trace(1), ("{}", [1], None)))
            )
        )
    ),
    "ids alone": Hostile(
        changed(lambda record: [record.pop(key) for key in list(record) if key[-3:] != "_id"])
    ),
    "long ids": Hostile(
        good(span(1, 9, 1) | {"span_id": "f" * 100_000, "parent_id": "e" * 99_999})
    ),
    "empty ids": Hostile(good({"trace_id": "", "span_id": "", "parent_id": "", "name": ""})),
    "orphans": Hostile(good(span(1, 8, 77), span(1, 9, 78))),
    "a cycle": Hostile(good(span(1, 7, 9), span(1, 8, 7), span(1, 9, 8))),
    "its own parent": Hostile(good(span(1, 9, 9))),
    "doubled ids": Hostile(good(span(1, 3, 1, "other"), span(1, 1, 3, "another"))),
    "doubled lines": Hostile(good(*agent_trace(1))),
    "doubled keys": Hostile(good(b'{"trace_id":"x",' + json.dumps(span(1, 9, 1)).encode()[1:])),
    "escapes in every field": Hostile(content(lines(*escapes(True)))),
    "escapes in values": Hostile(content(lines(*escapes(False)))),
    "surrogates": Hostile(good(raw("name", '"\\ud800 \\udfff \\u0000"'))),
    "10,000 spans": Hostile(content(lines(*agent_trace(1), *many(False)))),
    "10,000 levels": Hostile(content(lines(*agent_trace(1), *many(True)))),
    "OTLP, hostile": Hostile(
        content(
            lines(
                otlp(*_HOSTILE_PAIRS, name=ESCAPE, status={"code": 2, "message": ESCAPE}),
                otlp(spanId=f"{8:016x}", parentSpanId=f"{8:016x}", startTimeUnixNano="-5"),
            )
        )
    ),
    "SQLite, escapes": Hostile(database(*escapes(True))),
    "SQLite, not UTF-8": Hostile(not_utf8),
    "SQLite in UTF-16": Hostile(script(f"PRAGMA encoding = 'UTF-16'; {SCHEMA}", True)),
    "SQLite, a view": Hostile(
        script(
            SCHEMA.replace("TABLE spans", "TABLE others").replace("ON spans", "ON others")
            + "CREATE VIEW spans AS SELECT rowid, * FROM others;"
            + f"INSERT INTO others (trace_id, span_id, name, start_time)"
            f" VALUES ('{TRACE}', '1', 'x', 1)"
        ),
        False,
    ),
}
