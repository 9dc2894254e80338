"""Stored spans sent on: to a collector or to Peekr's endpoint, each once."""
