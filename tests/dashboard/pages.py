"""What is in a written page: its data blocks, unpacked as the browser does."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

from peekr.dashboard.report import write_report
from tests.support.trace_files import Record, write_jsonl, write_sqlite


class Page:
    """A page that was written for a file.

    Attributes:
        html: All of it.
        core: The figures of the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.html = path.read_text("utf-8")
        self.core: dict[str, Any] = json.loads(self._block("core"))

    def _block(self, name: str) -> str:
        found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', self.html, re.DOTALL)
        assert found is not None, name
        return found[1]

    def unpacked(self, name: str) -> Any:
        """A packed block."""
        return json.loads(gzip.decompress(base64.b64decode(self._block(name))))

    def trace(self, trace_id: str) -> dict[str, Any]:
        """The details of one trace."""
        traces = self.unpacked("traces")
        row = traces["id"].index(trace_id)
        return self.unpacked(f"details-{traces['block'][row]}")[traces["place"][row]]


def page_of(tmp_path: Path, records: list[Record], kind: str = "jsonl") -> Page:
    """Write records to a file, and the page of that file."""
    if kind == "jsonl":
        source = write_jsonl(tmp_path / "t.jsonl", records)
    else:
        source = write_sqlite(tmp_path / "t.db", records)
    output = tmp_path / "report.html"
    write_report(str(source), str(output))
    return Page(output)
