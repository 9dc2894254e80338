"""Run the tests at the ends of the supported ranges of Python, the SDKs and OpenTelemetry.

`make test` runs them on the newest of everything, with the Python at hand.

    python tests/matrix.py                 every environment
    python tests/matrix.py 3.9-oldest      the named ones
    python tests/matrix.py --table         the supported ranges, as the README shows them

Environments are made by uv below `.matrix/`. The ranges are those of pyproject.toml: `oldest`
installs the lowest versions that it allows, `newest` the newest that the Python can have.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".matrix"


class Environment(NamedTuple):
    """One combination.

    Attributes:
        name: As on the command line.
        python: The interpreter's version.
        resolution: uv's: `lowest-direct` for the oldest, `highest` for the newest.
        pins: Requirements besides those of pyproject.toml.
    """

    name: str
    python: str
    resolution: str
    pins: tuple[str, ...] = ()


OLDEST_OPENTELEMETRY = (
    "opentelemetry-api==1.30.0",
    "opentelemetry-sdk==1.30.0",
    "opentelemetry-instrumentation==0.51b0",
    "opentelemetry-exporter-otlp==1.30.0",
)
ENVIRONMENTS = (
    Environment("3.9-oldest", "3.9", "lowest-direct"),
    Environment("3.9-newest", "3.9", "highest"),
    Environment("3.11-oldest-opentelemetry", "3.11", "highest", OLDEST_OPENTELEMETRY),
    Environment("3.13-newest", "3.13", "highest"),
)

# What depends on the versions of Python, the SDKs and OpenTelemetry; `make test` runs the rest too.
TESTS = (
    "tests/instrumentation",
    "tests/launcher",
    "tests/store",
    "tests/test_budget.py",
    "tests/test_cli.py",
    "tests/test_cost.py",
    "tests/test_doctor.py",
    "tests/test_doubles.py",
    "tests/test_exporters.py",
    "tests/test_only_llm.py",
    "tests/test_own_examples.py",
    "tests/test_pricing.py",
    "tests/test_project.py",
    "tests/test_propagation.py",
    "tests/test_provider.py",
    "tests/test_session.py",
    "tests/test_spans.py",
    "tests/test_termination.py",
    "tests/test_trace.py",
    "tests/test_trace_generators.py",
    "tests/test_view.py",
)

# As in the group `beside` of pyproject.toml.
BESIDE = ("aioboto3>=13", "opentelemetry-instrumentation-threading>=0.51b0")

SHOWN = (
    ("OpenAI", "openai"),
    ("Anthropic", "anthropic"),
    ("AWS Bedrock", "boto3"),
    ("Google Gemini", "google-genai"),
    ("OpenTelemetry", "opentelemetry-sdk"),
)


def requirement(package: str) -> str:
    """The range of a package in pyproject.toml, as it is written there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'"{re.escape(package)}(?:\[[^\]]*\])?([<>=!~][^";]*)', text)
    if found is None:
        raise SystemExit(f"pyproject.toml does not name {package}")
    return found.group(1).replace(",", ", ")


def table() -> str:
    """The supported ranges as a Markdown table."""
    pythons = sorted({e.python for e in ENVIRONMENTS}, key=lambda v: int(v.split(".")[1]))
    lines = ["| | package | supported |", "| --- | --- | --- |"]
    lines += [f"| {title} | `{name}` | {requirement(name)} |" for title, name in SHOWN]
    lines.append(f"| Python | | 3.9 to 3.13; tested on {', '.join(pythons)} |")
    return "\n".join(lines)


def interpreter(version: str) -> Optional[str]:
    """A Python of that version: on the path, or among pyenv's."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = shutil.which("pyenv")
    if pyenv is not None:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
        found = sorted(Path(root, "versions").glob(f"{version}.*/bin/python"))
        candidates += [str(path) for path in reversed(found)]
    for candidate in candidates:
        if candidate is None:
            continue
        asked = "import sys; print('%d.%d' % sys.version_info[:2])"
        said = subprocess.run([candidate, "-c", asked], capture_output=True, text=True)
        if said.stdout.strip() == version:
            return candidate
    return None


def run(environment: Environment, arguments: list[str], only: Optional[str]) -> str:
    """Make the environment and run the tests in it; returns how that went."""
    python = interpreter(environment.python)
    if python is None:
        return f"skipped: no Python {environment.python} here"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    venv = FOLDER / environment.name
    own = str(venv / "bin" / "python")
    install = [uv, "pip", "install", "--quiet", "--python", own, "--resolution"]
    install += [environment.resolution, "--editable", f"{ROOT}[all]", *environment.pins]
    tools = [uv, "pip", "install", "--quiet", "--python", own, "--group", "dev"]
    # The test tools come after, and newest: the oldest ones are nobody's promise.
    steps = [[uv, "venv", "--quiet", "--clear", "--python", python, str(venv)], install]
    frozen = FOLDER / f"{environment.name}.txt"
    for step in steps:
        if subprocess.run(step, cwd=ROOT).returncode != 0:
            return "cannot be installed"
    said = subprocess.run(
        [uv, "pip", "freeze", "--exclude-editable", "--python", own],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    frozen.write_text(said.stdout, encoding="utf-8")
    if subprocess.run([*tools, "--constraint", str(frozen)], cwd=ROOT).returncode != 0:
        return "the test tools cannot be installed"
    # Tests that need these skip where the environment cannot have them.
    for package in BESIDE:
        beside = [uv, "pip", "install", "--quiet", "--python", own, package]
        subprocess.run([*beside, "--constraint", str(frozen)], stderr=subprocess.DEVNULL)
    tests = [own, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *arguments]
    tests += [only] if only else TESTS
    code = subprocess.run(tests, cwd=ROOT).returncode
    return "ok" if code == 0 else f"failed (pytest exited with {code})"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests on every supported combination.")
    parser.add_argument("names", nargs="*", help="environments; none for all")
    parser.add_argument("--table", action="store_true", help="print the supported ranges")
    parser.add_argument("--only", metavar="PATH", help="these tests instead of all that depend")
    options, passed_on = parser.parse_known_args()
    if options.table:
        print(table())
        return 0
    chosen = [e for e in ENVIRONMENTS if not options.names or e.name in options.names]
    if len(chosen) < len(options.names):
        known = ", ".join(environment.name for environment in ENVIRONMENTS)
        parser.error(f"the environments are {known}")
    FOLDER.mkdir(exist_ok=True)
    results: list[tuple[str, str]] = []
    for environment in chosen:
        print(f"\n== {environment.name}", flush=True)
        begin = time.monotonic()
        outcome = run(environment, passed_on, options.only)
        results.append((environment.name, f"{outcome}, {time.monotonic() - begin:.0f} s"))
    print()
    for name, outcome in results:
        print(f"{name:28} {outcome}")
    fine = ("ok", "skipped")
    return 0 if all(outcome.startswith(fine) for _, outcome in results) else 1


if __name__ == "__main__":
    sys.exit(main())
