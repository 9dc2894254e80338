"""What Peekr costs before the first call: import, set-up, memory, the command line's start.

Each figure is the ratio of two whole programs that take turns, medians over rounds; run
`python benchmarks/start.py`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 9

# Prints seconds from before the imports to after the set-up, and the peak memory in KiB.
MEASURED = """
import resource, sys, time
{sdks}
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
{body}
took = time.perf_counter() - begin
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
"""
BARE = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
provider = TracerProvider(resource=Resource.create({"service.name": "bare"}))
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
"""
PEEKR = """
import peekr
peekr.instrument(console=False)
"""


def measure(program: str, folder: str) -> tuple[float, float]:
    # Compiled once, as an installed package is.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    took, memory = made.stdout.split()
    return float(took), float(memory)


def start(command: list[str]) -> float:
    program = (
        "import subprocess, sys, time\nbegin = time.perf_counter()\n"
        f"subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL)\n"
        "print(time.perf_counter() - begin, 0)"
    )
    return measure(program, ".")[0]


def main() -> int:
    sdks = "import openai"
    bare, peekr = [MEASURED.format(sdks=sdks, body=body) for body in (BARE, PEEKR)]
    times: list[float] = []
    memories: list[float] = []
    helps: list[float] = []
    peekr_command = str(Path(sys.executable).with_name("peekr"))
    with tempfile.TemporaryDirectory() as folder:
        measure(bare, folder), measure(peekr, folder)
        for _ in range(ROUNDS):
            of_bare, of_peekr = measure(bare, folder), measure(peekr, folder)
            times.append(of_peekr[0] / of_bare[0])
            memories.append(of_peekr[1] / max(of_bare[1], 1.0))
            helps.append(start([peekr_command, "--help"]) / start([sys.executable, "-c", "pass"]))
    print(f"import and set-up     {statistics.median(times):.2f}x a bare OpenTelemetry SDK")
    print(f"memory                {statistics.median(memories):.2f}x a bare OpenTelemetry SDK")
    print(f"peekr --help          {statistics.median(helps):.2f}x python -c pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
