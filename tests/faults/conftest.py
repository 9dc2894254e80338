from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulated_providers import SimulatedProviders

from .running import App, Nursery

collect_ignore_glob = ["test_*.py"] if os.name == "nt" else []


@pytest.fixture(scope="session")
def nursery(server_of_all: SimulatedProviders) -> Iterator[Nursery]:
    made = Nursery(server_of_all.openai_url)
    yield made
    made.stop()


@pytest.fixture
def app(nursery: Nursery, tmp_path: Path) -> App:
    """A folder for an application, to run its programs in."""
    folder = tmp_path / "app"
    folder.mkdir()
    return App(nursery, folder)
