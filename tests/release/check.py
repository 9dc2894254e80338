"""Build the distribution and try it as its users get it, in clean environments.

    python tests/release/check.py                  everything
    python tests/release/check.py python-3.9       the named checks; --list names them all

Leaves the wheel and the sdist in `dist/`, and the environments, made by uv, below `.matrix/`.

build           the sdist and the wheel, twice, which are to be the same byte for byte
python-X.Y      the wheel alone, with the newest of what it needs: `pip check`, licences, and
                `smoke.py`, which loads every module and runs every command
lowest-X.Y      the same with the lowest versions that pyproject.toml allows, those of extras that
                need no SDK too; on a newer Python than the oldest, the lowest that have a wheel
beside-X.Y      with all extras but Presidio, beside the newest SDKs and langchain: `pip check`,
                licences, the examples of the providers, and a model called through langchain
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
FOLDER = ROOT / ".matrix" / "release"
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
LOWEST = ("3.9", "3.11", "3.13")
BESIDE = ("3.9", "3.11", "3.13")
EXTRAS = ("guard", "parquet")  # those without an SDK; Presidio is 300 MB
SDKS = ("openai", "anthropic", "boto3", "google-genai", "langchain", "langchain-openai")
EXAMPLES = ("openai_calls.py", "anthropic_calls.py", "bedrock_calls.py", "gemini_calls.py")

sys.path.insert(0, str(ROOT / "tests"))
from matrix import interpreter  # noqa: E402

LANGCHAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import peekr
from simulated_providers import stand_in
peekr.instrument(console=False, jsonl_path="langchain.jsonl")
with stand_in():
    from langchain_openai import ChatOpenAI
    model = ChatOpenAI(model="gpt-4o-mini")
    assert model.invoke("Say hello").content == "Hello."
    assert "".join(chunk.content for chunk in model.stream("Say bye")) == "Bye."
peekr.shutdown()
"""


class Failed(Exception):
    """A check has failed; the text says how."""


class Check(NamedTuple):
    """One thing to check: its name on the command line, and what does it."""

    name: str
    run: Callable[[], str]


def uv(*arguments: str, **variables: str) -> None:
    """Run uv."""
    program = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    call([program, *arguments], environ={**os.environ, **variables})


def call(
    command: list[str], *, cwd: Path = ROOT, environ: Optional[Mapping[str, str]] = None
) -> str:
    """Run a command, and return what it prints.

    Raises:
        Failed: it did, with what it printed.
    """
    made = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if made.returncode != 0:
        raise Failed(f"{' '.join(command)}\n{made.stdout}")
    return made.stdout


def built() -> Path:
    """The wheel.

    Raises:
        Failed: there is none.
    """
    wheels = sorted(DIST.glob("*.whl"))
    if len(wheels) != 1:
        raise Failed("the check build comes first")
    return wheels[0]


def build() -> str:
    """Build what is committed twice, each time from a copy of its own, and compare."""
    moment = os.environ.get("SOURCE_DATE_EPOCH") or call(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    )
    digests: list[dict[str, str]] = []
    for number in (1, 2):
        tree, out = FOLDER / f"tree-{number}", DIST if number == 1 else FOLDER / "again"
        for folder in (tree, out):
            shutil.rmtree(folder, ignore_errors=True)
        tree.mkdir(parents=True)
        archive = FOLDER / "committed.tar"
        call(["git", "-C", str(ROOT), "archive", "--output", str(archive), "HEAD"])
        shutil.unpack_archive(archive, tree)
        uv(
            *("build", "--quiet", "--out-dir", str(out), str(tree)),
            SOURCE_DATE_EPOCH=moment.strip(),
        )
        digests.append(
            {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(out.iterdir())
                if path.suffix in (".whl", ".gz")
            }
        )
    if digests[0] != digests[1] or len(digests[0]) != 2:
        raise Failed(f"two builds differ: {digests}")
    return ", ".join(f"{name} {digest[:12]}" for name, digest in digests[0].items())


def environment(name: str, version: str) -> Path:
    """A new environment without anything in it; its Python.

    Raises:
        Failed: there is no such Python here.
    """
    found = interpreter(version)
    if found is None:
        raise Failed(f"no Python {version} here")
    venv = FOLDER / name
    uv("venv", "--quiet", "--clear", "--python", found, str(venv))
    return venv / "bin" / "python"


def install(python: Path, *what: str) -> None:
    """Install something, and see that nothing that is installed misses something."""
    uv("pip", "install", "--quiet", "--python", str(python), *what)
    uv("pip", "check", "--python", str(python))


def used(python: Path, name: str) -> str:
    """Use what is installed, all of it, in a folder of its own."""
    folder = FOLDER / f"{name}-run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Without the variables of whoever runs this.
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    smoke = ROOT / "tests" / "release" / "smoke.py"
    said = call([str(python), str(smoke)], cwd=folder, environ=environ)
    return "; ".join(line.strip() for line in said.splitlines() if line.startswith("  "))


def licences(python: Path, name: str) -> None:
    """Look at the licences of what came along; `packaging` is brought for that alone."""
    said = call([str(python), str(ROOT / "tests" / "release" / "licences.py"), "all", *EXTRAS])
    (FOLDER / f"{name}-licences.txt").write_text(said, encoding="utf-8")


def newest(version: str) -> str:
    """The wheel alone, and the newest of what it needs."""
    name = f"python-{version}"
    python = environment(name, version)
    install(python, str(built()))
    said = used(python, name)
    install(python, "packaging")
    licences(python, name)
    return said


def lowest(version: str) -> str:
    """The wheel and the lowest of what it names."""
    name = f"lowest-{version}"
    python = environment(name, version)
    lowest_direct = ("--resolution", "lowest-direct", "--only-binary", ":all:")
    install(python, *lowest_direct, *required(), str(built()))
    return f"{used(python, name)}; {versions(python, exact=version == PYTHONS[0])}"


def required() -> list[str]:
    """What pyproject.toml depends on, with `EXTRAS`: named here, they count as direct."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    if block is None:
        raise Failed("pyproject.toml has no dependencies")
    found: list[str] = re.findall(r'^\s*"([^"]+)"', block[1], re.MULTILINE)
    for extra in EXTRAS:
        found += re.findall(rf'^{extra} = \["([^"]+)"\]', text, re.MULTILINE)
    return found


def versions(python: Path, *, exact: bool) -> str:
    """What is installed of what pyproject.toml names.

    Args:
        python: The environment's.
        exact: Each has to be the lowest that is allowed.

    Raises:
        Failed: a package has no lower bound, or is newer than it.
    """
    found: list[str] = []
    for requirement in required():
        match = re.match(r"([\w.-]+)>=([\w.]+)", requirement)
        if match is None:
            raise Failed(f"{requirement} has no lower bound")
        package, bound = match.groups()
        there = installed(python, package)
        found.append(f"{package} {there}")
        if exact and release(there) != release(bound):
            raise Failed(f"{package} {there} is not the lowest, {bound}")
    return ", ".join(found)


def installed(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    return call([str(python), "-c", code, package]).strip()


def release(version: str) -> tuple[str, ...]:
    """A version without the zeros at its end: 8.0 and 8.0.0 are the same."""
    parts = version.split(".")
    while parts and parts[-1] == "0":
        parts.pop()
    return tuple(parts)


def beside(version: str) -> str:
    """The wheel beside the newest SDKs."""
    name = f"beside-{version}"
    python = environment(name, version)
    extras = ",".join(("all", *EXTRAS))
    install(python, f"peekr[{extras}] @ {built().as_uri()}", *SDKS, "packaging")
    licences(python, name)
    folder = FOLDER / f"{name}-run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts: list[str] = []
    for example in EXAMPLES:
        call([str(python), str(ROOT / "examples" / example), f"{example}.jsonl"], cwd=folder)
        lines = (folder / f"{example}.jsonl").read_text(encoding="utf-8").splitlines()
        counts.append(f"{example} {len(lines)}")
    call([str(python), "-c", LANGCHAIN, str(ROOT / "examples")], cwd=folder)
    answers = re.findall(r'"output":"([^"]*)"', (folder / "langchain.jsonl").read_text("utf-8"))
    if answers != ["Hello.", "Bye."]:
        raise Failed(f"the calls through langchain are recorded as {answers}")
    there = ", ".join(f"{package} {installed(python, package)}" for package in SDKS)
    return f"{', '.join(counts)} records; {there}"


CHECKS = (
    Check("build", build),
    *(Check(f"python-{v}", partial(newest, v)) for v in PYTHONS),
    *(Check(f"lowest-{v}", partial(lowest, v)) for v in LOWEST),
    *(Check(f"beside-{v}", partial(beside, v)) for v in BESIDE),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the distribution, and try it.")
    parser.add_argument("names", nargs="*", help="checks; none for all")
    parser.add_argument("--list", action="store_true", help="name them")
    options = parser.parse_args()
    known = [check.name for check in CHECKS]
    if options.list:
        print(*known, sep="\n")
        return 0
    if not set(options.names) <= set(known):
        parser.error(f"the checks are {', '.join(known)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = 0
    for check in CHECKS:
        if options.names and check.name not in options.names:
            continue
        begin = time.monotonic()
        try:
            outcome: Optional[str] = check.run()
        except Failed as error:
            outcome = f"FAILED: {error}"
            failed += 1
        print(f"{check.name} ({time.monotonic() - begin:.0f} s): {outcome}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
