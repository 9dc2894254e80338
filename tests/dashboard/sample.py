"""A varied trace file for the dashboard's tests: what a month of a small company looks like.

Agents with tools, failures, recoveries, wrappers that repeat the usage below them, models without a
price, sessions, scores, findings of guards, a long loop, one very slow trace, orphans, and texts of
somebody who means harm. Deterministic: the same number gives the same records.
"""

from __future__ import annotations

import random
from typing import Any, Dict, Iterator, List, Optional, Tuple

NOW = 1_790_000_000.0
HOSTILE = "</script><img src=x onerror=alert(1)>\u202egnp.exe\x1b[31m javascript:alert(1)\"'><b>"
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "acme-ft-7b")
_PRICES: Tuple[Optional[float], ...] = (2.5e-6, 1.5e-7, 3e-6, 3e-7, None)
_QUESTIONS = (
    "What is the weather in Paris?",
    "Summarise the contract of our largest customer, please.",
    "Why did my last order not arrive?",
    "Write a polite answer to this complaint.",
)

Record = Dict[str, Any]


class _Trace:
    """One trace in the making; children are written before their parents, as they end first."""

    def __init__(self, number: int, begin: float, chance: random.Random) -> None:
        self.number, self.begin, self.chance = number, begin, chance
        self.records: List[Record] = []
        self.spans = 1
        self.common: Dict[str, Any] = {}
        self.tenant: Optional[str] = None

    def span(
        self,
        name: str,
        offset_s: float,
        duration_ms: float,
        parent: Optional[int] = 1,
        number: Optional[int] = None,
        status: str = "ok",
        **attributes: Any,
    ) -> int:
        if number is None:
            self.spans += 1
            number = self.spans
        start = self.begin + offset_s
        self.records.append(
            {
                "trace_id": f"{self.number:032x}",
                "span_id": f"{self.number:08x}{number:08x}",
                "parent_id": None if parent is None else f"{self.number:08x}{parent:08x}",
                "name": name,
                "start_time": start,
                "end_time": start + duration_ms / 1000.0,
                "duration_ms": duration_ms,
                "status": status,
                "tenant_id": self.tenant,
                "retention_class": None,
                "attributes": {**self.common, **attributes},
            }
        )
        return number

    def chat(self, offset_s: float, question: str, answer: Any, **more: Any) -> int:
        index: int = more.pop("model_index", self.chance.randrange(len(_MODELS)))
        tokens_in = self.chance.randrange(50, 4000)
        tokens_out = self.chance.randrange(5, 400)
        facts: Dict[str, Any] = {
            "model": _MODELS[index],
            "provider": "openai",
            "gen_ai.operation.name": "chat",
            "tokens_input": tokens_in,
            "tokens_output": tokens_out,
            "tokens_total": tokens_in + tokens_out,
            "input": [
                {"role": "system", "content": "You help customers."},
                {"role": "user", "content": question},
            ],
            "output": answer,
            "finish_reasons": ["stop"],
        }
        price = _PRICES[index]
        if price is not None:
            facts["cost_usd"] = tokens_in * price + tokens_out * price * 4
        if self.chance.random() < 0.5:
            facts["tokens_cache_read"] = tokens_in // 2
            facts["time_to_first_token_ms"] = self.chance.uniform(100, 900)
        duration = more.pop("duration_ms", None) or self.chance.lognormvariate(7.0, 0.6)
        parent = more.pop("parent", 1)
        name = more.pop("name", "openai.chat")
        return self.span(name, offset_s, duration, parent, **{**facts, **more})


def sample_records(n_traces: int = 200, seed: int = 7) -> Iterator[Record]:
    """The records of so many traces, in the order in which they end.

    Args:
        n_traces: How many; the special ones are among the first thirty.
        seed: Another one gives other figures.
    """
    chance = random.Random(seed)
    for number in range(1, n_traces + 1):
        begin = NOW - 30 * 86400 + 30 * 86400 * number / n_traces + chance.uniform(0, 600)
        trace = _Trace(number, begin, chance)
        trace.tenant = ("acme", "globex", None)[number % 3]
        if number % 4 == 0:
            trace.common = {"session_id": f"s-{number // 16}", "user_id": f"u-{number % 5}"}
        if number % 5 == 0:
            trace.common["feature"] = ("search", "summary")[number % 2]
        if number % 6 == 0:
            trace.common["experiment_variant"] = "ab"[number % 4 // 2]
        _SHAPES.get(number, _agent)(trace)
        yield from trace.records


def _tool(call_id: Any) -> Dict[str, Any]:
    return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": call_id}


def _agent(trace: _Trace) -> None:
    chance, question = trace.chance, _QUESTIONS[trace.number % len(_QUESTIONS)]
    call = {"id": f"call_{trace.number}", "name": "search_kb", "arguments": {"q": question[:20]}}
    trace.chat(
        0.1,
        question,
        [{"role": "assistant", "content": None, "tool_calls": [call]}],
        finish_reasons=["tool_calls"],
        tool_calls=[call],
    )
    fails = chance.random() < 0.05
    more: Dict[str, Any] = _tool(call["id"])
    if fails:
        more["error"] = f"TimeoutError: no answer within 30 s (request {trace.number})"
    trace.span(
        "tool.search_kb",
        2.0,
        chance.uniform(20, 400),
        status="error" if fails else "ok",
        input={"q": question[:20]},
        output=None if fails else {"found": ["a", "b"]},
        **more,
    )
    scores: Dict[str, Any] = {}
    if trace.number % 3 == 0:
        scores = {"eval_scores": {"Rubric": round(chance.random(), 3)}}
    trace.chat(3.0, question, f"Here is what I found, number {trace.number}.", **scores)
    root_fails = chance.random() < 0.03
    trace.span(
        "agent.run",
        0.0,
        chance.lognormvariate(8.6, 0.4),
        parent=None,
        number=1,
        status="error" if root_fails else "ok",
        input={"question": question},
        output=None if root_fails else f"Here is what I found, number {trace.number}.",
        **(
            {"error": f"RateLimitError: quota of org-{trace.number} exceeded"} if root_fails else {}
        ),
    )


def _wrapper(trace: _Trace) -> None:
    parent = trace.spans = 2
    child = trace.chat(0.2, "wrapped?", "Once.", parent=parent, model_index=0)
    usage = next(r for r in trace.records if r["span_id"].endswith(f"{child:08x}"))["attributes"]
    trace.chat(
        0.1,
        "wrapped?",
        "Once.",
        name="framework.chat",
        model_index=0,
        number=parent,
        tokens_input=usage["tokens_input"],
        tokens_output=usage["tokens_output"],
        cost_usd=usage["cost_usd"],
    )
    trace.span("agent.run", 0.0, 5000.0, parent=None, number=1)


def _retried(trace: _Trace) -> None:
    trace.chat(
        0.1,
        "again?",
        None,
        status="error",
        error="RateLimitError: Error code: 429 - {'error': {'message': 'slow down'}}",
        model_index=0,
    )
    trace.chat(1.1, "again?", "At last.", model_index=0)
    trace.span("agent.run", 0.0, 4000.0, parent=None, number=1)


def _loop(trace: _Trace) -> None:
    for step in range(750):
        trace.chat(step * 0.6, "next?", "search more", model_index=1, duration_ms=400.0)
        trace.span("tool.search_kb", step * 0.6 + 0.41, 90.0, input={"step": step}, output="none")
    trace.span("agent.loop", 0.0, 451_000.0, parent=None, number=1)


def _slow(trace: _Trace) -> None:
    trace.chat(1.0, "take your time", "Done.", duration_ms=700_000.0)
    trace.span("batch.job", 0.0, 720_000.0, parent=None, number=1)


def _orphans(trace: _Trace) -> None:
    trace.chat(0.5, "who am I?", "An orphan.", parent=99)
    trace.span("tool.lost", 0.7, 10.0, parent=98)


def _hostile(trace: _Trace) -> None:
    trace.tenant = HOSTILE
    trace.common = dict.fromkeys(("session_id", "user_id", "feature", "endpoint"), HOSTILE)
    trace.chat(
        0.1,
        HOSTILE,
        HOSTILE * 3,
        name=HOSTILE,
        model=HOSTILE,
        provider=HOSTILE,
        status="error",
        error=HOSTILE,
        eval_scores={HOSTILE: 0.1},
        experiment_variant=HOSTILE,
    )
    trace.span(
        HOSTILE, 0.0, 3000.0, parent=None, number=1, input={HOSTILE: HOSTILE}, output=HOSTILE
    )


def _long(trace: _Trace) -> None:
    text = "A very long text. " * 6000
    trace.chat(0.1, text, text, finish_reasons=["length"])
    trace.span("agent.run", 0.0, 3000.0, parent=None, number=1)


def _guarded(trace: _Trace) -> None:
    trace.chat(
        0.1,
        "My number is [PHONE]",
        "Mine is [BLOCKED]",
        guardrail_warnings=[{"guard": "Blocklist", "field": "output", "rule": "terms"}],
        compliance_violations=[
            {"type": "required_disclosure", "pack": "FINRA", "matched": "", "rule": "say so"}
        ],
    )
    trace.span("agent.run", 0.0, 3000.0, parent=None, number=1)


def _judged(trace: _Trace) -> None:
    question = trace.chat(
        0.1, "How far is the moon?", "Three metres.", eval_scores={"Hallucination": 0.05}
    )
    trace.chat(
        0.2,
        "Is it true?",
        '{"score": 0.05}',
        parent=question,
        name="openai.chat",
        **{"peekr.internal": True},
    )
    trace.span("agent.run", 0.0, 3000.0, parent=None, number=1)


def _empty(trace: _Trace) -> None:
    trace.span("GET /health", 0.0, 1.0, parent=None, number=1)


_SHAPES = {
    2: _wrapper,
    3: _retried,
    5: _loop,
    7: _slow,
    11: _orphans,
    13: _hostile,
    17: _long,
    19: _guarded,
    23: _judged,
    29: _empty,
}
