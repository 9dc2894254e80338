"""Make the samples again: each library in an environment of its own, against simulated providers.

    python tests/dialects/make_samples.py [NAME …]

Needs `uv`, and `npm` for the Vercel AI SDK; both fetch from their registries. What a sample was
made with is said in `SAMPLES`. Nothing is changed in it afterwards but the paths of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

HERE = Path(__file__).resolve().parent
MAKERS = HERE / "makers"
SAMPLES_FOLDER = HERE / "samples"
OTLP = "opentelemetry-exporter-otlp-proto-common"


class Sample(NamedTuple):
    """How a sample is made.

    Attributes:
        maker: The program.
        packages: What it runs with.
        arguments: Of the program, after the file to write.
    """

    maker: str
    packages: Tuple[str, ...]
    arguments: Tuple[str, ...] = ()


SAMPLES: Dict[str, Sample] = {
    "conventions-1.28": Sample(
        "openai_v2.py",
        (
            "opentelemetry-instrumentation-openai-v2==2.0b0",
            "opentelemetry-sdk==1.30.0",
            "opentelemetry-instrumentation==0.51b0",
            f"{OTLP}==1.30.0",
            "openai==1.59.9",
            "httpx<0.28",
            "setuptools<80",
        ),
        ("true",),
    ),
    "conventions-1.30": Sample(
        "openai_v2.py",
        (
            "opentelemetry-instrumentation-openai-v2==2.4b0",
            "opentelemetry-util-genai==0.4b0",
            "opentelemetry-sdk==1.45.2",
            OTLP,
            "openai==2.54.0",
        ),
        ("true",),
    ),
    "conventions-latest": Sample(
        "openai_v2.py",
        (
            "opentelemetry-instrumentation-openai-v2==2.4b0",
            "opentelemetry-util-genai==0.4b0",
            "opentelemetry-sdk==1.45.2",
            OTLP,
            "openai==2.54.0",
        ),
        ("span_and_event", "gen_ai_latest_experimental"),
    ),
    "openinference": Sample(
        "openinference_openai.py",
        (
            "openinference-instrumentation-openai==0.1.66",
            "opentelemetry-sdk==1.45.2",
            OTLP,
            "openai==3.54.0",
        ),
    ),
    "openllmetry-0.40": Sample(
        "openllmetry_openai.py",
        (
            "opentelemetry-instrumentation-openai==0.40.14",
            "opentelemetry-sdk==1.45.2",
            OTLP,
            "openai==1.79.0",
            "httpx<0.28",
            "setuptools<80",
        ),
    ),
    "openllmetry-0.62": Sample(
        "openllmetry_openai.py",
        (
            "opentelemetry-instrumentation-openai==0.62.4",
            "opentelemetry-sdk==1.45.1",
            OTLP,
            "openai==3.54.0",
        ),
    ),
    "traceloop": Sample(
        "traceloop_sdk.py", ("traceloop-sdk==0.62.4", "httpx", "openai==3.54.0", OTLP)
    ),
    "openlit-1.33": Sample(
        "openlit_sdk.py",
        ("openlit==1.33.8", "openai==1.69.0", "httpx<0.28", "setuptools<80", OTLP),
    ),
    "openlit-1.45": Sample("openlit_sdk.py", ("openlit==1.45.0", "openai==2.54.0", OTLP)),
    "logfire-3.9": Sample(
        "logfire_sdk.py", ("logfire==3.9.1", "openai==1.69.0", "setuptools<80", OTLP)
    ),
    "logfire-5.2": Sample("logfire_sdk.py", ("logfire==5.2.0", "openai==3.54.0", OTLP)),
    "pydantic-ai-0.0.40": Sample(
        "pydantic_ai_agent.py",
        ("pydantic-ai-slim[openai]==0.0.40", "openai==1.69.0", "opentelemetry-sdk==1.31.1", OTLP),
    ),
    "pydantic-ai-2.68": Sample(
        "pydantic_ai_agent.py",
        ("pydantic-ai-slim[openai]==2.68.0", "openai==3.54.0", "opentelemetry-sdk==1.45.2", OTLP),
    ),
    "langfuse": Sample("langfuse_sdk.py", ("langfuse==5.0.4", "openai==3.54.0", OTLP)),
    "vercel-6": Sample(
        "vercel.mjs",
        (
            "ai@6.0.326",
            "@ai-sdk/openai-compatible@2.0.92",
            "zod@4.6.7",
            "@opentelemetry/api@1.9.1",
            "@opentelemetry/sdk-trace-node@2.12.0",
            "@opentelemetry/otlp-transformer@0.223.1",
        ),
    ),
    "otlp-json-file": Sample(
        "json_file.py",
        (
            "opentelemetry-exporter-otlp-json-file==0.66b1",
            "openinference-instrumentation-openai==0.1.66",
            "openai==3.54.0",
        ),
    ),
    "peekr-0.9.3": Sample("peekr_sdk.py", ("peekr==0.9.3", "openai==3.54.0", "anthropic==2.12.0")),
    "peekr": Sample("peekr_sdk.py", (str(HERE.parents[1]), "openai==3.54.0")),
}

_PATHS = re.compile(
    rb"(?:file://)?(?:/[\w.@+-]+)+/(?=(?:site-packages|python3\.\d+|node_modules)/)"
)
_OWN = str(HERE.parents[1]).encode() + b"/"


def scrubbed(text: bytes) -> bytes:
    """The text without the folders of the machine."""
    return _PATHS.sub(b"", text).replace(_OWN, b"")


def make(name: str, sample: Sample, folder: Path) -> None:
    target = folder / f"{name}.jsonl"
    if sample.maker.endswith(".mjs"):
        _run_javascript(sample, target, folder)
    else:
        packages = [part for package in sample.packages for part in ("--with", package)]
        command = ["uv", "run", "--quiet", "--no-project", "--isolated", "--python", "3.11"]
        command += [*packages, "python", str(MAKERS / sample.maker), str(target)]
        subprocess.run([*command, *sample.arguments], check=True, cwd=folder, timeout=600)
    target.write_bytes(scrubbed(target.read_bytes()))


def _run_javascript(sample: Sample, target: Path, folder: Path) -> None:
    sys.path.insert(0, str(HERE.parents[1] / "examples"))
    from simulated_providers import SimulatedProviders

    install: List[str] = ["npm", "install", "--silent", "--prefix", str(folder), *sample.packages]
    subprocess.run(install, check=True, cwd=folder, timeout=600)
    with SimulatedProviders() as providers:
        command = ["node", str(MAKERS / sample.maker), providers.openai_url, str(target)]
        subprocess.run(command, check=True, cwd=folder, timeout=120)


def main() -> None:
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in sys.argv[1:] or SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            make(name, SAMPLES[name], Path(folder))
            for made in sorted(Path(folder).glob(f"{name}.*")):
                if made.suffix in (".jsonl", ".db"):
                    shutil.copy(made, SAMPLES_FOLDER / made.name)
        print("made", name, flush=True)


if __name__ == "__main__":
    main()
