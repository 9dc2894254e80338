"""Runs the benchmarks, and writes what they found to `RESULTS.md` and, in part, to the README.

    python benchmarks/run.py                    all
    python benchmarks/run.py --only others      the named ones; the others' parts stay as they are
    python benchmarks/run.py --quick            few repetitions: whether they run
    python benchmarks/run.py --long             a million spans where spans are counted

Each figure is a ratio, or stands beside what it is to be compared with: programs take turns in one
run, and medians are shown. Absolute times say something of this machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import List, NamedTuple, Optional

from results import Section

FOLDER = Path(__file__).parent
PAGE = FOLDER / "RESULTS.md"
HEAD = """# What Peekr costs

`make bench` writes this page. Each part says when it was measured and how busy the machine was.
Every figure is the median of repetitions that take turns in one run with what they are compared
with; absolute times are those of the machine that is named, ratios carry over.
"""


class Benchmark(NamedTuple):
    """A file of this folder.

    Attributes:
        title: What it measures.
        tables: Whether it writes sections with `--json`; otherwise its output is shown as it is.
        quick: Arguments for a short run.
        usual: Arguments for a usual run.
        long: Arguments for a long run; None for the usual ones.
    """

    title: str
    tables: bool = False
    quick: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    long: Optional[tuple[str, ...]] = None


BENCHMARKS = {
    "others": Benchmark(
        "Beside other instrumentations", True, ("--starts", "1", "--rounds", "5"), ()
    ),
    "call": Benchmark("A call, by hand and by Peekr, in one process", quick=("5",)),
    "writing": Benchmark("From the ended span to the file", True, ("--rounds", "3"), ()),
    "storage": Benchmark("A span's life, end to end"),
    "blocking": Benchmark("How long ending a span blocks", True, ("--rounds", "2"), ()),
    "memory": Benchmark("Memory", True, ("--spans", "20000"), (), ("--spans", "1000000")),
    "guard": Benchmark("Guards"),
    "start": Benchmark("Import, set-up, and the start of the command line"),
    "reading": Benchmark(
        "The command line on large files",
        quick=("10000",),
        long=("10000", "100000", "1000000"),
    ),
    "dashboard": Benchmark("The dashboard on large files", quick=("10000",), long=("1000000",)),
}


def measured(name: str, arguments: tuple[str, ...]) -> List[Section]:
    """What a benchmark found; its output is shown as it comes where it makes no sections."""
    benchmark = BENCHMARKS[name]
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    shown = f"`python benchmarks/{' '.join([f'{name}.py', *arguments])}`"
    with tempfile.TemporaryDirectory() as folder:
        if benchmark.tables:
            path = Path(folder) / "sections.json"
            subprocess.run([*command, "--json", str(path)], check=True)
            return [Section(**section) for section in json.loads(path.read_text("utf-8"))]
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    print(made.stdout)
    return [Section("", shown, f"```\n{made.stdout.strip()}\n```")]


def part(name: str, sections: List[Section], machine: str) -> str:
    """A benchmark's part of the page."""
    lines = [f"<!-- {name} -->", f"## {BENCHMARKS[name].title}", "", machine]
    for section in sections:
        body = [f"### {section.title}"] if section.title else []
        body += [section.note] if section.note else []
        text = "\n\n".join([*body, section.body])
        if section.summary:
            text = f"<!-- quoted -->\n{text}\n<!-- /quoted -->"
        lines += ["", text]
    return "\n".join([*lines, f"<!-- /{name} -->"])


def written(page: str, name: str, text: str) -> str:
    """The page with a benchmark's part in its place."""
    parts = {
        match[1]: match[0]
        for match in re.finditer(r"<!-- (\w+) -->\n## .*?<!-- /\1 -->", page, re.DOTALL)
    }
    parts[name] = text
    return "\n\n".join([HEAD.strip(), *[parts[one] for one in BENCHMARKS if one in parts]]) + "\n"


def machine(load: float, seconds: float) -> str:
    """Of what, when and on what something was measured."""
    versions = {name: metadata.version(name) for name in ("peekr", "opentelemetry-sdk")}
    said = [
        time.strftime("%Y-%m-%d"),
        f"Python {platform.python_version()}",
        f"{_processor()}, {os.cpu_count()} cores",
        platform.system(),
        *[f"{name} {version}" for name, version in versions.items()],
        f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after",
        f"{seconds:.0f} s",
    ]
    return "Measured " + "; ".join(said) + "."


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        return found[1].strip() if found else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parsed = parser.parse_args()
    for name in parsed.only:
        benchmark = BENCHMARKS[name]
        if not (FOLDER / f"{name}.py").exists():
            continue
        arguments = benchmark.quick if parsed.quick else benchmark.usual
        if parsed.long and benchmark.long is not None:
            arguments = benchmark.long
        print(f"\n-- {name} {' '.join(arguments)}", file=sys.stderr, flush=True)
        load, begin = os.getloadavg()[0], time.perf_counter()
        sections = measured(name, arguments)
        said = machine(load, time.perf_counter() - begin)
        page = PAGE.read_text("utf-8") if PAGE.exists() else ""
        PAGE.write_text(written(page, name, part(name, sections, said)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
