"""The environments that instrumentations are measured in, one each, made by uv below `.bench/`.

The versions are the newest that install together on 2026-11-23, with Python 3.11 or newer. Where
an instrumentation cannot have the SDK that the others have, it has the newest that it supports, and
the bare SDK is measured in its environment as well.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".bench"

SDKS = {
    "openai": "openai==3.54.0",
    "anthropic": "anthropic==2.12.0",
    "bedrock": "boto3==1.44.5",
    "gemini": "google-genai==3.4.0",
}
OPENTELEMETRY = "opentelemetry-sdk==1.45.2"


@dataclass(frozen=True)
class Environment:
    """What is installed in one.

    Attributes:
        requirements: Besides the SDKs and OpenTelemetry.
        instead: SDKs that are others here, by provider, and OpenTelemetry under `opentelemetry`.
        providers: Those that its contestant instruments.
    """

    requirements: tuple[str, ...] = ()
    instead: dict[str, str] = field(default_factory=dict)
    providers: tuple[str, ...] = tuple(SDKS)

    def installed(self) -> list[str]:
        sdks = {**SDKS, "opentelemetry": OPENTELEMETRY, **self.instead}
        return [*sdks.values(), *self.requirements]


ENVIRONMENTS = {
    "bare": Environment(),
    "peekr": Environment(("--editable", str(ROOT))),
    "opentelemetry": Environment(
        (
            "opentelemetry-instrumentation-genai-openai==1.3b0",
            "opentelemetry-instrumentation-genai-anthropic==1.3b0",
            "opentelemetry-instrumentation-genai-bedrock==1.3b0",
            "opentelemetry-instrumentation-google-genai==1.3b0",
        ),
        {"gemini": "google-genai==2.34.0"},
    ),
    "opentelemetry, earlier": Environment(
        (
            "opentelemetry-instrumentation-openai-v2==2.4b0",
            "opentelemetry-instrumentation-botocore==0.66b2",
            # What the former imports: later ones lack a module, and it declares no httpx.
            "opentelemetry-util-genai==1.1b0",
            "httpx==0.28.1",
        ),
        providers=("openai", "bedrock"),
    ),
    "openllmetry": Environment(
        (
            "opentelemetry-instrumentation-openai==0.62.4",
            "opentelemetry-instrumentation-anthropic==0.62.4",
            "opentelemetry-instrumentation-bedrock==0.62.4",
            "opentelemetry-instrumentation-google-generativeai==0.62.4",
        )
    ),
    "openinference": Environment(
        (
            "openinference-instrumentation-openai==0.1.66",
            "openinference-instrumentation-anthropic==3.1.0",
            "openinference-instrumentation-bedrock==0.1.61",
            "openinference-instrumentation-google-genai==1.4.14",
        )
    ),
    "openlit": Environment(
        ("openlit==1.45.0",),
        {
            "openai": "openai==2.54.0",
            "anthropic": "anthropic==0.125.0",
            "opentelemetry": "opentelemetry-sdk==1.45.1",
        },
    ),
    "logfire": Environment(
        ("logfire[google-genai]==5.2.0",),
        {"gemini": "google-genai==2.34.0"},
        providers=("openai", "anthropic", "gemini"),
    ),
}


def interpreter(name: str) -> Path:
    """An environment's Python; the environment is made, or made anew, where that is necessary.

    Raises:
        subprocess.CalledProcessError: uv could not make it.
    """
    folder = FOLDER / name.replace(", ", "-")
    executable = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = json.dumps([sys.version, *ENVIRONMENTS[name].installed()])
    stamp = folder / "installed.json"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"making .bench/{folder.name}", file=sys.stderr, flush=True)
        uv = _uv()
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        install = [*uv, "pip", "install", "--quiet", "--prerelease=allow", "--python", executable]
        subprocess.run([*install, *ENVIRONMENTS[name].installed()], check=True)
        stamp.write_text(wanted, "utf-8")
    return executable


def _uv() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    return [str(beside) if beside.exists() else shutil.which("uv") or "uv"]
