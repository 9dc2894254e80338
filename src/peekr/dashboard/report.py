"""The page: one file with its figures, its style and its script, which asks the network nothing."""

from __future__ import annotations

import base64
import gc
import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, cast

from peekr._version import __version__
from peekr.dashboard.collect import collect
from peekr.dashboard.collection import Collection
from peekr.dashboard.details import CUT_CHARS, MAX_SPANS, trace_detail
from peekr.dashboard.groups import marginals_of
from peekr.dashboard.payload import core_of, facts_of, listed_rows, scores_of, traces_of
from peekr.encoding import dumps
from peekr.files.exporting import replacing
from peekr.files.inventory import file_bytes
from peekr.store.columns import Columns, columns_of
from peekr.store.opening import open_reader
from peekr.store.query import Reader, Trace

__all__ = ["Report", "write_report"]

MAX_BYTES = 4_800_000
"""What the page may take, so that a browser and a mail can carry it."""
_BLOCK = 32
_MAX_DETAILS = 1_000
_MAX_DETAIL_BYTES = 400_000
_SMALL_BYTES = 16_384
"""Details that are held as they are until all of them are there; larger ones compressed."""
_TRIES = ((MAX_SPANS, CUT_CHARS), (60, 1_000), (20, 200))
"""How many spans and how long texts are kept of a trace, until it is small enough."""
_LEVEL = 4
"""Of gzip: beyond it pages are a few percent smaller and take much longer to write."""
_PAGE = Path(__file__).parent / "page"


class Report(NamedTuple):
    """What was written.

    Attributes:
        bytes: The size of the page.
        spans: How many records it is about.
        traces: How many traces.
        embedded: How many of them can be opened in it.
        problems: What of the file could not be read; empty where all could.
    """

    bytes: int
    spans: int
    traces: int
    embedded: int
    problems: str


def write_report(
    path: str, output: str, advance: Optional[Callable[[float], None]] = None
) -> Report:
    """Write the dashboard of a trace file.

    Args:
        path: A trace file that `open_reader` can read.
        output: The HTML file; it takes the place of an older one when it is whole.
        advance: Is told of each record that was read.

    Raises:
        UnreadableFileError: the trace file cannot be read.
        OSError: the page cannot be written.
    """
    with _without_collector(), closing(open_reader(path)) as reader:
        found = collect(_blocks(reader) if advance is None else _counting(_blocks(reader), advance))
        problems = reader.problems.describe()
        rows = listed_rows(found)
        core = core_of(found, rows)
        core.update(
            version=__version__,
            made=time.time(),
            file=os.path.basename(path),
            bytes=file_bytes(path),
            problems=problems,
        )
        facts = _packed(facts_of(found, rows))
        extra = marginals_of(found)
        scores = scores_of(found)
        others = [
            (name, _packed(value))
            for name, value in (("marginals", extra), ("scores", scores))
            if value is not None
        ]
        fixed = len(facts) + sum(len(data) for _, data in others) + len(dumps(core))
        left = MAX_BYTES - fixed - 60 * len(rows) - _assets_bytes()
        blocks, places, reasons = _details(reader, found, left)
        core["embedded"] = {"traces": len(places), "why": reasons}
        traces = _packed(traces_of(rows, core["buckets"]["start"], places))
        page = _page(core, [("facts", facts), ("traces", traces), *others, *blocks])
    with replacing(output) as stream:
        stream.write(page)
    return Report(len(page), found.spans, found.traces, len(places), problems)


@contextmanager
def _without_collector() -> Generator[None, None, None]:
    """Nothing here makes cycles, and to look for them among a million records takes long."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _blocks(reader: Reader) -> Iterator[Columns]:
    columns = getattr(reader, "columns", None)
    if columns is not None:
        return cast("Iterator[Columns]", columns())
    return (columns_of([record.to_dict()]) for record in reader.records())


def _counting(blocks: Iterator[Columns], advance: Callable[[float], None]) -> Iterator[Columns]:
    for block in blocks:
        advance(len(block[0]))
        yield block


# -- details ---------------------------------------------------------------------------------------


def _wanted(found: Collection) -> tuple[list[str], list[tuple[str, int]]]:
    """The traces whose details are worth their place, the most telling first, and why."""
    chosen: dict[str, None] = {}
    reasons: list[tuple[str, int]] = []

    def take(why: str, ids: Iterable[str], limit: int) -> None:
        before = len(chosen)
        for trace_id in ids:
            if len(chosen) - before >= limit or len(chosen) >= _MAX_DETAILS:
                break
            chosen.setdefault(trace_id, None)
        if len(chosen) > before:
            reasons.append((why, len(chosen) - before))

    groups = sorted(found.groups.values(), key=lambda group: -group.n)
    take("of failures", (t for group in groups for t in group.traces[-1:]), 100)
    take("worst scored", (worst.trace for worst in found.quality.worst), 40)
    take("with findings", (t for f in found.quality.findings.values() for t in f.traces), 40)

    def by(name: str) -> list[str]:
        return [row.id for row in found.listed[name].rows]

    take("newest", by("newest"), 60)
    take("failed", by("failed"), 120)
    take("slowest", by("slowest"), 60)
    take("dearest", by("dearest"), 60)
    take("typical", (row.id for row in found.typical.values()), 60)
    sessions = found.sessions.newest()[:20]
    take("in sessions", (t for _, session in sessions for t in session.traces), 200)
    take("newest", by("newest"), 400)
    return list(chosen), reasons


def _details(
    reader: Reader, found: Collection, budget: int
) -> tuple[list[tuple[str, bytes]], dict[str, tuple[int, int]], list[tuple[str, int]]]:
    wanted, reasons = _wanted(found)
    order = {trace_id: place for place, trace_id in enumerate(wanted)}
    details: dict[str, bytes] = {}
    large: dict[str, bytes] = {}
    for trace in reader.pick(set(wanted)):
        if trace.trace_id not in details and trace.trace_id not in large and trace.spans:
            data = _bounded_detail(trace)
            if data is None:
                continue
            if len(data) > _SMALL_BYTES:
                large[trace.trace_id] = zlib.compress(data, 1)
            else:
                details[trace.trace_id] = data
    blocks: list[tuple[str, bytes]] = []
    places: dict[str, tuple[int, int]] = {}
    ready = sorted([*details, *large], key=order.__getitem__)
    used = 0
    for begin in range(0, len(ready), _BLOCK):
        ids = ready[begin : begin + _BLOCK]
        whole = [details.get(of) or zlib.decompress(large[of]) for of in ids]
        packed = _pack(b"[" + b",".join(whole) + b"]")
        if used + len(packed) > budget:
            break
        used += len(packed)
        places.update({trace_id: (len(blocks), place) for place, trace_id in enumerate(ids)})
        blocks.append((f"details-{len(blocks)}", packed))
    return blocks, places, reasons


def _bounded_detail(trace: Trace) -> Optional[bytes]:
    """A trace's details, as much of them as fits; None where too little does."""
    for max_spans, chars in _TRIES:
        data = dumps(trace_detail(trace.spans, max_spans, chars))
        if len(data) <= _MAX_DETAIL_BYTES:
            return data
    return None


# -- the page --------------------------------------------------------------------------------------


def _pack(data: bytes) -> bytes:
    # Without a time in it: the same file gives the same page.
    return base64.b64encode(gzip.compress(data, _LEVEL, mtime=0))


def _packed(value: Any) -> bytes:
    return _pack(dumps(value))


def _script() -> bytes:
    names = (_PAGE / "ORDER").read_text("utf-8").split()
    parts = [(_PAGE / name).read_text("utf-8") for name in names]
    return ("(() => {\n'use strict';\n" + "\n".join(parts) + "\n})();\n").encode("utf-8")


def _style() -> bytes:
    return (_PAGE / "style.css").read_bytes()


def _assets_bytes() -> int:
    return len(_script()) + len(_style()) + len((_PAGE / "index.html").read_bytes())


def _source_hash(data: bytes) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode("ascii") + "'"


def _page(core: dict[str, Any], blocks: Sequence[tuple[str, bytes]]) -> bytes:
    script, style = _script(), _style()
    policy = (
        f"default-src 'none'; script-src {_source_hash(script)}; "
        f"style-src {_source_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )
    # Inside a script element nothing but `<` can end it.
    inline = dumps(core).replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028")
    data = [b'<script type="application/json" id="core">' + inline + b"</script>"]
    data += [
        b'<script type="application/octet-stream" id="%s">%s</script>' % (name.encode(), packed)
        for name, packed in blocks
    ]
    page = (_PAGE / "index.html").read_bytes()
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'.encode()
    page = page.replace(b"<!--CSP-->", meta, 1)
    page = page.replace(b"/*STYLE*/", style, 1)
    before, mark, after = page.partition(b"<!--DATA-->")
    assert mark, "page/index.html has lost its mark for the data"
    before_script, mark, after_script = after.partition(b"/*SCRIPT*/")
    assert mark, "page/index.html has lost its mark for the script"
    return before + b"\n".join(data) + before_script + script + after_script
