"""What calls cost, and no more of them once the budget is spent.

python cost_and_budget.py traces.jsonl          # on simulated providers
python cost_and_budget.py traces.jsonl --real   # asks OpenAI: OPENAI_API_KEY, a cent at most
peekr cost traces.jsonl --by tenant --by model
"""

# pyright: basic

from __future__ import annotations

import sys

import openai

import peekr
from peekr.alert import BudgetAlert, BudgetNotice
from simulated_providers import stand_in


def warn(notice: BudgetNotice) -> None:
    print(f"{notice.key}: {notice.spent_usd / notice.limit_usd:.0%} of the budget is spent")


def main(path: str = "traces.jsonl") -> None:
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
        # What was negotiated; and the prices of models that are not in the table.
        prices={"gpt-4o-mini": {"input": 0.1, "output": 0.4}},
    )
    with openai.OpenAI() as client:
        for tenant, model in (("acme", "gpt-4o"), ("beta", "gpt-4o-mini")):
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
    with stand_in():
        main(*sys.argv[1:])
