"""How the SDK is watched: whenever it was imported, and as long as is asked."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import peekr
from peekr.instrumentation.google_genai import GoogleGenAIInstrumentor

from ...conftest import Telemetry
from .calling import client_of, genai, in_all_modes, playing, quiet, run, text_answer

pytestmark = quiet


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


@in_all_modes
def test_client_that_was_made_before_is_watched_once(bare_telemetry: Telemetry, mode: str):
    with playing(mode, text_answer("Hi.")) as player, client_of(player.url) as client:
        bare_telemetry.instrument()
        bare_telemetry.instrument()
        run(client, mode)
    assert len(bare_telemetry.spans) == len(bare_telemetry.records) == 1


def test_methods_are_put_back_and_look_as_they_did(bare_telemetry: Telemetry):
    models = pytest.importorskip("google.genai.models")
    utils = pytest.importorskip("google.genai._extra_utils")
    before: Any = {**vars(models.Models)}, {**vars(models.AsyncModels)}, {**vars(utils)}
    signatures = [inspect.signature(models.Models.__dict__[n]) for n in ("_generate_content",)]
    bare_telemetry.instrument()
    assert models.Models._generate_content is not before[0]["_generate_content"]
    assert signatures == [inspect.signature(models.Models._generate_content)]
    assert inspect.iscoroutinefunction(models.AsyncModels._generate_content)
    peekr.uninstrument()
    assert ({**vars(models.Models)}, {**vars(models.AsyncModels)}, {**vars(utils)}) == before


def test_every_hook_finds_its_target_in_this_version():
    sdk = pytest.importorskip("google.genai.models")
    for hook in GoogleGenAIInstrumentor.hooks:
        cls, _, method = hook.target.partition(".")
        assert method in vars(getattr(sdk, cls)), hook.target


def test_sdk_that_is_imported_later_is_watched(tmp_path: Path):
    program = """
import sys, warnings
warnings.simplefilter("ignore")
import peekr
peekr.instrument(console=False, jsonl_path=sys.argv[1])
assert "google.genai" not in sys.modules
from google import genai
client = genai.Client(api_key="x", http_options={"base_url": "http://127.0.0.1:9"})
try:
    client.models.generate_content(model="gemini-2.5-flash", contents="hi")
except Exception:
    pass
"""
    file = tmp_path / "traces.jsonl"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=60)
    assert '"gemini.generate_content"' in file.read_text("utf-8")
