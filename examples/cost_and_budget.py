"""What calls cost, and no more of them once the budget is spent.

The OpenAI SDK is the real one; `simulated_providers` answers on loopback, without a key or money.

    python cost_and_budget.py traces.jsonl
    peekr cost traces.jsonl --by tenant --by model
"""

# pyright: basic

from __future__ import annotations

import sys

import openai

import peekr
from peekr.alert import BudgetAlert, BudgetNotice
from simulated_providers import SimulatedProviders


def warn(notice: BudgetNotice) -> None:
    print(f"{notice.key}: {notice.spent_usd / notice.limit_usd:.0%} of the budget is spent")


def main(path: str) -> None:
    budget = BudgetAlert(
        limit_usd=0.0008,
        window="day",
        scope="tenant",  # each tenant has a budget of its own
        on_warning=warn,
        on_exceeded=lambda notice: print(f"{notice.key}: stop"),
    )
    peekr.instrument(
        console=False,
        jsonl_path=path,
        budget_alert=budget,
        # Of models that are not in the table, and what was negotiated for those that are.
        prices={"simulated-small": {"input": 0.2, "output": 0.8}},
    )
    with (
        SimulatedProviders() as providers,
        openai.OpenAI(api_key="simulated", base_url=providers.openai_url) as client,
    ):
        for tenant, model in (("acme", "gpt-4o"), ("beta", "simulated-small")):
            with peekr.session(tenant_id=tenant):
                try:
                    for number in range(1, 9):
                        client.chat.completions.create(
                            model=model,
                            messages=[{"role": "user", "content": f"Count to {number}, please"}],
                        )
                except peekr.BudgetExceededError as error:
                    print(f"{tenant}: call {number} was not sent: {error}")
                print(f"{tenant}: spent ${budget.spent:.6f}, ${budget.remaining:.6f} left")
    peekr.shutdown()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "traces.jsonl")
