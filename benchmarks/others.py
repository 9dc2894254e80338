"""What watching a call costs on the caller's thread, with Peekr and with others that do it.

Each contestant is a process in an environment of its own (`environments.py`), on an SDK whose
provider is in memory (`contest/`). The processes take turns, batch by batch, so that the machine's
moods are shared; a batch's time is the processor time of the calling thread. What a contestant adds
is its batch less the batch of the bare SDK in the same round; the medians of all rounds are shown.
Processes are started anew several times, since some are luckier than others with their memory.
`control` is a second process of the bare SDK: what it seems to add is the noise.

    python benchmarks/others.py [--providers openai,anthropic] [--starts 3] [--rounds 40]

Content is captured everywhere. Peekr writes its file as it comes (`peekr`); hands its spans to what
the others hand theirs to (`peekr, no store`); looks through requests and answers before it writes
(`peekr, guards`: `PIIRedact`, and a `Blocklist` of secrets that blocks). Before each start's rounds
every contestant is asked what it recorded of a call; what is missing or wrong is said below the
table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Optional

from environments import ENVIRONMENTS, SDKS, interpreter
from results import Section, say, table

WORKER = Path(__file__).parent / "contest" / "worker.py"
KINDS = {"plain": 10, "streamed": 2}
"""Calls a batch: few, so that those who are compared follow closely on each other."""
MEASURES = ("thread_us", "process_us", "wall_us")
NAMES = {
    "control": "the bare SDK again (noise)",
    "by hand": "a hand-written span",
    "peekr": "Peekr, JSONL file",
    "peekr, no store": "Peekr, no store",
    "peekr, guards": "Peekr, JSONL file, two guards",
    "opentelemetry": "OpenTelemetry, newest",
    "opentelemetry, earlier": "OpenTelemetry, earlier",
    "openllmetry": "OpenLLMetry",
    "openinference": "OpenInference",
    "openlit": "OpenLIT",
    "logfire": "Logfire",
}
PROVIDERS = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "bedrock": "Bedrock",
    "gemini": "Gemini",
}


class Place(NamedTuple):
    """Where a contestant runs: its environment, and whose bare SDK it is compared with."""

    environment: str
    bare: str


def places(provider: str) -> dict[str, Place]:
    """The contestants of a provider; `bare` ones are named `bare`, or `bare of` an environment."""
    found = {
        "bare": Place("bare", "bare"),
        "control": Place("bare", "bare"),
        "by hand": Place("bare", "bare"),
    }
    for name, environment in ENVIRONMENTS.items():
        if name == "bare" or provider not in environment.providers:
            continue
        bare = "bare"
        if provider in environment.instead:
            bare = f"bare of {name}"
            found[bare] = Place(name, bare)
        found[name] = Place(name, bare)
        if name == "peekr":
            found["peekr, no store"] = found["peekr, guards"] = Place(name, bare)
    return found


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: str, place: Place, provider: str, folder: str) -> None:
        self.contestant = contestant
        self._errors = Path(folder) / f"{contestant}.txt"
        plain = "bare" if contestant.startswith("bare") or contestant == "control" else contestant
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [interpreter(place.environment), WORKER, plain, provider, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                encoding="utf-8",
            )
        self.versions: dict[str, str] = self._answer()["versions"]

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            said = self._errors.read_text("utf-8")[-2000:]
            raise SystemExit(f"{self.contestant}: the process ended\n{said}")
        made: dict[str, Any] = json.loads(line)
        return made

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


class Measured:
    """Everything found of one provider: `added[kind][contestant][measure]`, microseconds a call."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.batches: dict[str, dict[str, list[dict[str, float]]]] = {kind: {} for kind in KINDS}
        self.checks: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.functions: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
        self.versions: dict[str, dict[str, str]] = {}
        self.places = places(provider)

    def start(self, rounds: int, folder: str) -> None:
        """One start of all processes, and their rounds."""
        workers = [
            Worker(name, place, self.provider, folder) for name, place in self.places.items()
        ]
        for worker in workers:
            self.versions[worker.contestant] = worker.versions
            for kind in KINDS:
                self.checks[kind][worker.contestant] = worker.ask(check=kind)
        for number in range(rounds + 1):
            # Whoever is first finds the caches of others: it is another one in each round.
            turn = number % len(workers)
            for kind, calls in KINDS.items():
                for worker in workers[turn:] + workers[:turn]:
                    batch = worker.ask(batch=kind, calls=calls)
                    if number:  # the first one warms up
                        self.batches[kind].setdefault(worker.contestant, []).append(batch)
        for worker in workers:
            for kind in KINDS:
                self.functions[kind][worker.contestant] = worker.ask(count=kind)["functions"]
            worker.end()

    def bare(self, kind: str, measure: str = "thread_us") -> float:
        return median(batch[measure] for batch in self.batches[kind]["bare"])

    def added(self, kind: str, contestant: str, measure: str = "thread_us") -> Optional[float]:
        """What it adds to a call; None where it does not watch this."""
        if contestant not in self.batches[kind]:
            return None
        if contestant != "control" and not self.checks[kind][contestant]["spans"]:
            return None
        bare = self.batches[kind][self.places[contestant].bare]
        own = self.batches[kind][contestant]
        return median(with_[measure] - without[measure] for with_, without in zip(own, bare))

    def ran(self, kind: str, contestant: str) -> Optional[float]:
        """How many functions more than without it ran in a call."""
        if self.added(kind, contestant) is None:
            return None
        counts = self.functions[kind]
        return counts[contestant] - counts[self.places[contestant].bare]

    def remarks(self) -> list[str]:
        """What contestants recorded otherwise than it was."""
        said: list[str] = []
        for name in self.places:
            if name.startswith("bare") or name == "control":
                continue
            for kind in KINDS:
                check = self.checks[kind][name]
                missing = [what for what in ("input", "output", "tokens") if not check[what]]
                about = f"{NAMES[name]}, {PROVIDERS[self.provider]} {kind}"
                if not check["spans"]:
                    said.append(f"{about}: records nothing")
                    continue
                if missing:
                    said.append(f"{about}: {' and '.join(missing)} missing or wrong")
                if check["spans"] != 1:
                    said.append(f"{about}: {check['spans']:g} spans a call")
        return said


def figures(measured: list[Measured], measure: str) -> list[list[str]]:
    """A row a contestant, a column a provider and kind; beside microseconds, times Peekr's."""
    rows = [["bare SDK, all of it"]]
    for one in measured:
        rows[0] += [f"{one.bare(kind, measure):,.0f} µs" for kind in KINDS]
    for name, title in NAMES.items():
        row = [title]
        for one in measured:
            for kind in KINDS:
                added, ours = one.added(kind, name, measure), one.added(kind, "peekr", measure)
                noise = abs(one.added(kind, "control", measure) or 0)
                if added is None or ours is None:
                    row.append("")
                elif name in ("peekr", "control") or ours <= 2 * noise:
                    row.append(f"{added:+,.0f} µs")
                else:
                    row.append(f"{added:+,.0f} µs ({added / ours:.1f}x)")
        rows.append(row)
    return rows


def counts(measured: list[Measured]) -> list[list[str]]:
    """As `figures`, of functions."""
    rows = [["bare SDK, all of it"]]
    for one in measured:
        rows[0] += [f"{one.functions[kind]['bare']:,.0f}" for kind in KINDS]
    for name, title in NAMES.items():
        if name != "control":
            found = [one.ran(kind, name) for one in measured for kind in KINDS]
            rows.append([title, *["" if ran is None else f"{ran:+,.0f}" for ran in found]])
    return rows


def packages(measured: list[Measured]) -> list[list[str]]:
    """A row an environment: what is compared."""
    rows: list[list[str]] = []
    for name, environment in ENVIRONMENTS.items():
        if name == "bare":
            continue
        installed = {k: v for one in measured for k, v in one.versions.get(name, {}).items()}
        wanted = [requirement.partition("==")[0] for requirement in environment.requirements]
        wanted = ["peekr"] if name == "peekr" else [one.partition("[")[0] for one in wanted]
        instead = [one.replace("==", " ") for one in environment.instead.values()]
        shown = [f"{one} {installed[one]}" for one in wanted if one in installed]
        rows.append([NAMES[name], "; ".join(shown), "; ".join(instead)])
    return rows


def sections(measured: list[Measured], starts: int, rounds: int) -> list[Section]:
    head = ["added to a call"]
    head += [f"{PROVIDERS[one.provider]}, {kind}" for one in measured for kind in KINDS]
    made = [
        Section(
            f"What watching a call adds on the caller's thread ({title})",
            f"`python benchmarks/others.py`; medians of {starts * rounds} rounds;"
            " a streamed call has 200 chunks; in brackets, times what Peekr adds with its file.",
            table(head, figures(measured, measure)),
            summary=measure == "thread_us",
        )
        for measure, title in (
            ("thread_us", "processor time of the thread"),
            ("process_us", "processor time of the process, its other threads included"),
            ("wall_us", "time of the clock"),
        )
    ]
    made.append(
        Section(
            "How many functions more run in a call",
            "Python's and C's, on the caller's thread, as `cProfile` counts them: a figure that"
            " does not depend on the machine.",
            table(head, counts(measured)),
        )
    )
    remarks = [f"* {remark}." for one in measured for remark in one.remarks()]
    if remarks:
        made.append(Section("What is missing or wrong in what they record", "", "\n".join(remarks)))
    made.append(
        Section(
            "What was compared",
            "SDKs: "
            + ", ".join(SDKS[one.provider].replace("==", " ") for one in measured)
            + ", except where said.",
            table(["", "packages", "other versions of SDKs"], packages(measured), numbers=False),
        )
    )
    return made


def run(providers: list[str], starts: int, rounds: int) -> list[Section]:
    for name in ENVIRONMENTS:
        interpreter(name)
    measured = [Measured(provider) for provider in providers]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(starts):
            for one in measured:
                print(f"{one.provider}, start {number + 1} of {starts}", file=sys.stderr)
                one.start(rounds, folder)
    return sections(measured, starts, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure instrumentations side by side.")
    parser.add_argument("--providers", default=",".join(PROVIDERS))
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", help="write the sections to this file")
    parsed = parser.parse_args()
    say(run(parsed.providers.split(","), parsed.starts, parsed.rounds), parsed.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
