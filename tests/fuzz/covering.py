"""The same properties with inputs that Atheris chooses, by the code that they reach.

`python tests/fuzz/covering.py [SECONDS]`, the last part of `make fuzz`: each target for so long (20
by default), each in a process of its own. Atheris has wheels for a few Pythons and systems; it goes
into an environment of its own, `.fuzz`, with Python 3.11. Where that cannot be made, this says why
and ends well.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fuzz"
PYTHON = FOLDER / "bin" / "python"

# Name -> module of this folder, the test or the function that gives it, that one's argument.
TARGETS: Dict[str, Tuple[str, str, str]] = {
    **{
        f"{kind}-{provider}": ("test_extractors", f"damaged_{kind}", provider)
        for kind in ("answers", "requests")
        for provider in ("openai", "anthropic", "bedrock", "gemini")
    },
    "dialects": (
        "test_dialects",
        "test_damaged_spans_of_others_are_read_without_a_fault_and_nothing_is_made_up",
        "",
    ),
    "events": ("test_streams", "test_messages_of_an_event_stream_may_hold_anything", ""),
    "guards": ("test_guards", "test_no_secret_survives_in_a_value", ""),
}


def main(arguments: List[str]) -> int:
    seconds = int(arguments[0]) if arguments else 20
    reason = _prepare()
    if reason:
        print(f"Atheris is left out: {reason}")
        return 0
    failed: List[str] = []
    for name in TARGETS:
        print(f"== {name}", flush=True)
        sizes = ("-len_control=0", "-max_len=512", f"-max_total_time={seconds}")
        sizes += (f"-artifact_prefix={FOLDER}/",)
        run = [str(PYTHON), __file__, "--target", name, *sizes]
        done = subprocess.run(run, cwd=ROOT, check=False, capture_output=True, text=True)
        print("\n".join(line for line in done.stderr.splitlines() if "DONE" in line))
        if done.returncode:
            failed.append(name)
            print(done.stdout[-4_000:], done.stderr[-8_000:])
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _prepare() -> str:
    """Make the environment; why it cannot be made, empty where it can."""
    if PYTHON.exists():
        return ""
    found = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    wanted = ("--editable", ".[all]", "atheris", "hypothesis", "pytest", "pyyaml")
    try:
        for step in (
            [found, "venv", "--quiet", "--python", "3.11", str(FOLDER)],
            [found, "pip", "install", "--quiet", "--python", str(PYTHON), *wanted],
        ):
            subprocess.run(step, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(FOLDER, ignore_errors=True)
        said = str(getattr(error, "stderr", None) or error).strip()
        return said.splitlines()[-1] if said else "no reason was given"
    return ""


def _run(name: str, options: List[str]) -> None:
    """Feed one target until its time is over; runs in the process of its own."""
    sys.path[:0] = [str(ROOT), str(ROOT / "examples")]
    os.environ["PEEKR_RAISE_FAULTS"] = "1"
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["peekr"]):
        module_name, test_name, argument = TARGETS[name]
        module = importlib.import_module(f"tests.fuzz.{module_name}")
    found: Any = getattr(module, test_name)
    test: Any = found(argument) if argument else found
    atheris.Setup([__file__, *options], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--target"]:
        _run(sys.argv[2], sys.argv[3:])
    else:
        raise SystemExit(main(sys.argv[1:]))
