"""Make the trace file that the pages in docs/ read: a small shop's support, answered by models.

    python -m tests.docs.make_files

The SDKs are the real ones, the providers are simulated. The runs are moved apart afterwards, so
that the file looks as if it were of a day. Run again it gives other ids: `make docs` then writes
the new outputs into the pages, but ids in their commands have to be changed by hand.
"""

# pyright: basic

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Optional

import anthropic
import openai

import peekr
from peekr.eval import NotEmpty
from simulated_providers import SimulatedProviders

FILE = Path(__file__).parent / "files" / "traces.jsonl"
BEGAN = 1763971200.0  # 2025-11-24 08:00:00 UTC
APART_S = 2 * 3600.0 + 611.0

TOOLS: List[Any] = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "An order by its number",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "string"}},
                "required": ["number"],
            },
        },
    }
]
PROMPTS = {
    "control": "You answer customers of a shop. Be polite.",
    "brief": "You answer customers of a shop. One sentence.",
}


@peekr.trace(name="find_order")
def find_order(number: str) -> Dict[str, Any]:
    if "0000" in number:
        raise LookupError("no such order")
    return {"order": "A-1007", "state": "sent", "days": 2}


class Shop:
    def __init__(self, providers: SimulatedProviders) -> None:
        self.openai = openai.OpenAI(
            base_url=providers.openai_url, api_key="simulated", max_retries=0
        )
        self.anthropic = anthropic.Anthropic(
            base_url=providers.anthropic_url, api_key="simulated", max_retries=0
        )

    @peekr.trace(name="support.answer")
    def answer(self, question: str, model: str = "gpt-4o") -> Optional[str]:
        return self.reply(question, model)

    @peekr.experiment(variants=PROMPTS, sticky_by="user_id")
    def reply(self, question: str, model: str, variant_config: str) -> Optional[str]:
        messages: List[Any] = [
            {"role": "system", "content": variant_config},
            {"role": "user", "content": question},
        ]
        made = self.openai.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        message = made.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)
        for call in message.tool_calls:
            assert call.type == "function"
            found = find_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})
        made = self.openai.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        return made.choices[0].message.content

    @peekr.trace(name="support.digest")
    @peekr.feature("digest")
    def digest(self, text: str) -> str:
        made = self.anthropic.messages.create(
            model="claude-sonnet-5",
            max_tokens=300,
            system="You write one line for the team.",
            messages=[{"role": "user", "content": text}],
        )
        return "".join(block.text for block in made.content if block.type == "text")


def run(shop: Shop) -> None:
    order = "Please find_order A-1007: where is my parcel?"
    with peekr.session(user_id="ada", session_id="chat-1", tenant_id="acme"):
        shop.answer(order)
        shop.answer("Can I still change the address?")
    with peekr.session(user_id="ben", session_id="chat-2", tenant_id="beta"):
        shop.answer("Do you ship to Norway, and what does it cost?", model="gpt-4o-mini")
    with peekr.session(user_id="eve", session_id="chat-3", tenant_id="acme"):
        try:
            shop.answer("Please find_order 0000: it never came.")
        except LookupError:
            pass
    with peekr.session(user_id="cleo", session_id="chat-4", tenant_id="beta"):
        shop.answer(order, model="gpt-4o-mini")
        try:
            shop.answer("Is it a gift?", model="simulated-error-429")
        except openai.RateLimitError:
            pass
    with peekr.session(session_id="nightly", tenant_id="acme"):
        shop.digest("Four customers asked about parcels, one about an address. " * 2)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "traces.jsonl")
        peekr.instrument(console=False, jsonl_path=path, evaluators=[NotEmpty()], async_eval=False)
        with SimulatedProviders(latency_s=0.2) as providers:
            shop = Shop(providers)
            run(shop)
            shop.openai.close()
            shop.anthropic.close()
        peekr.shutdown()
        with open(path, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
    traces: Dict[str, List[Dict[str, Any]]] = defaultdict(list)
    for record in records:
        traces[record["trace_id"]].append(record)
    with FILE.open("w", encoding="utf-8") as file:
        for number, trace in enumerate(traces.values()):
            moved = BEGAN + number * APART_S - min(record["start_time"] for record in trace)
            for record in trace:
                for key in ("start_time", "end_time"):
                    record[key] = round(record[key] + moved, 6)
                attributes = record["attributes"]
                if attributes.pop("server.port", None) is not None:
                    attributes["server.address"] = f"api.{attributes['provider']}.com"
                file.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
