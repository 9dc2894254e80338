"""How the SDK is watched: whenever it was imported, and as long as is asked."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import peekr
from peekr.instrumentation.google_genai import GoogleGenAIInstrumentor
from peekr.instrumentation.hooks import Instrumentation
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calling import client_of, genai, in_all_modes, playing, quiet, run, text_answer, types

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


def test_each_kind_of_call_has_its_hook_in_this_version():
    models = pytest.importorskip("google.genai.models")
    found = {
        (hook.record, hook.is_async)
        for hook in GoogleGenAIInstrumentor.instrumentation.hooks
        for cls, _, method in [hook.target.partition(".")]
        if method in vars(getattr(models, cls))
        and (hook.unless is None or hook.unless not in vars(getattr(models, cls)))
    }
    assert found == {
        (hook.record, hook.is_async) for hook in GoogleGenAIInstrumentor.instrumentation.hooks
    }
    assert len(found) == 6


def test_sdk_without_its_inner_methods_is_watched_at_its_public_ones(
    bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    class Models:
        def generate_content(self, *, model: str, contents: str) -> Any:
            return types().GenerateContentResponse(model_version=f"{model}-1")

        def generate_content_stream(self, *, model: str, contents: str) -> Any:
            yield self.generate_content(model=model, contents=contents)

    module = ModuleType("sdk_of_another_day")
    vars(module)["Models"] = Models
    monkeypatch.setitem(sys.modules, module.__name__, module)

    hooks = tuple(
        hook._replace(module=module.__name__)
        for hook in GoogleGenAIInstrumentor.instrumentation.hooks
    )
    bare_telemetry.instrument()
    another = Instrumentation("another_day", (), hooks)
    another.watch(bare_telemetry.provider)
    Models().generate_content(model="gemini-9", contents="hi")
    list(Models().generate_content_stream(model="gemini-9", contents="hi"))
    another.leave()
    answered = [attributes_of(s)["gen_ai.response.model"] for s in bare_telemetry.spans]
    assert answered == ["gemini-9-1", "gemini-9-1"]


def test_methods_taken_from_a_client_before_are_watched(
    bare_telemetry: Telemetry, simulated: SimulatedProviders
):
    with client_of(simulated.gemini_url) as client:
        generate, embed = client.models.generate_content, client.models.embed_content
        bare_telemetry.instrument()
        generate(model="gemini-2.0-flash", contents="Say hi")
        embed(model="text-embedding-004", contents="hi")
    names = {record["name"] for record in bare_telemetry.records}
    inner = "_embed_content" in vars(pytest.importorskip("google.genai.models").Models)
    assert names == {"gemini.generate_content", *(["gemini.embed_content"] if inner else [])}


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
