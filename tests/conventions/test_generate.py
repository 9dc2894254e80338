"""What follows from the registries is generated, and differs from them nowhere."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

pytest.importorskip("yaml")

SCRIPT = Path(__file__).parents[2] / "semconv" / "generate.py"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(SCRIPT.parent), *sys.path])
    return importlib.import_module("generate")


def test_constants_and_page_are_those_of_the_registries(generate: Any) -> None:
    for path, text in generate.generated().items():
        assert path.read_text("utf-8") == text, f"make semconv writes {path.name}"


def test_a_file_that_differs_is_named_and_written(
    generate: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "docs" / "page.md"
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "generated", lambda: {page: "right\n"})
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert "page.md differs from its registry: run `make semconv`" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    assert page.read_text("utf-8") == "right\n"
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "acme.name"}, "is no name of Peekr's own"),
        ({"id": "peekr.Name"}, "is no name of Peekr's own"),
        ({"type": "text"}, "unknown type text"),
        ({"brief": ""}, "has no brief"),
        ({"examples": []}, "has no examples"),
    ],
)
def test_an_attribute_that_is_not_described_is_refused(
    generate: Any, change: Dict[str, Any], message: str
) -> None:
    entry = {"id": "peekr.x", "type": "string", "brief": "X.", "stability": "s", "examples": ["x"]}
    generate.check_registry([entry], ["gen_ai.x"])
    with pytest.raises(SystemExit, match=message):
        generate.check_registry([{**entry, **change}], ["gen_ai.x"])
    with pytest.raises(SystemExit, match="is there twice"):
        generate.check_registry([entry], ["peekr.x"])
