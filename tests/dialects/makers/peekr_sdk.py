"""Peekr itself, also in the version that came before this one: JSON lines and SQLite."""

from __future__ import annotations

import importlib
import sys

import conversation

peekr = importlib.import_module("peekr")
peekr.instrument(
    console=False, storage="both", jsonl_path=sys.argv[1], db_path=sys.argv[1][:-6] + ".db"
)
providers, client = conversation.served()
openai = importlib.import_module("openai")


@peekr.trace(name="get_weather")
def get_weather(city: str) -> str:
    return conversation.WEATHER


@peekr.trace(name="trip")
def trip(question: str) -> str:
    get_weather("Lisbon")
    return conversation.run(client, openai.NotFoundError)


with peekr.session(user_id="u-1", session_id="s-1"):
    trip(conversation.QUESTION)
providers.stop()
