"""`python -m peekr.cli`."""

from __future__ import annotations

from peekr.cli import main

main()
