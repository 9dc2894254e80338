"""The pages make a site without a warning."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import ROOT

MISSING = [
    name
    for name in ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")
    if importlib.util.find_spec(name) is None
]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (group docs)")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference" / "peekr.html").read_text("utf-8")
    assert 'id="peekr.instrument"' in page
    assert "sample_rate" in page
    for built in (tmp_path / "site").rglob("*.html"):
        text = built.read_text("utf-8")
        for loaded in ('src="http', "url(http", 'rel="stylesheet" href="http'):
            assert loaded not in text, f"{built.name} loads something from elsewhere"
