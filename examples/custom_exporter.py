"""Send finished spans wherever you like: an exporter is any object with `export(span)`.

python custom_exporter.py traces.db             # asks no model
"""

from __future__ import annotations

import sys
from pathlib import Path

import peekr
from peekr import ConsoleExporter, JSONLExporter, SQLiteExporter
from peekr.exporters import add_exporter, clear_exporters, remove_exporter
from peekr.record import SpanRecord


class SlowSpans:
    """Collects what took long. Runs on a thread of its own: it may be slow, and it may fail."""

    def __init__(self, over_ms: float) -> None:
        self.over_ms = over_ms
        self.found: list[str] = []

    def export(self, span: SpanRecord) -> None:
        if (span.duration_ms or 0.0) >= self.over_ms:
            record = span.to_dict()  # as it stands in the JSONL file
            self.found.append(f"{record['name']} {record['attributes'].get('feature')}")


class Broken:
    """Reported once; neither the application nor the other exporters notice."""

    def export(self, span: SpanRecord) -> None:
        raise ConnectionError("no route to host")


def main(path: str = "traces.db") -> None:
    slow, broken, database = SlowSpans(over_ms=0.0), Broken(), SQLiteExporter(path)
    lines = JSONLExporter(f"{path}.jsonl")
    for exporter in (broken, slow, database, lines):
        add_exporter(exporter)
    peekr.instrument(console=False, storage=None)

    with peekr.feature("search"), peekr.span("lookup"):
        pass
    remove_exporter(broken)
    add_exporter(ConsoleExporter())
    with peekr.span("rank"):
        pass

    peekr.flush()
    print("slow:", ", ".join(slow.found))
    print("rows:", database.query("SELECT name FROM spans ORDER BY start_time"))
    print("lines:", len(Path(f"{path}.jsonl").read_text("utf-8").splitlines()))
    clear_exporters()
    peekr.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
