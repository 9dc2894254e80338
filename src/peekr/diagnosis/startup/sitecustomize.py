"""What Python runs before a program that `peekr doctor` starts: arranges for the report."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from typing import Any, cast


def _run_the_next() -> None:
    """Run the `sitecustomize` that this one stands in front of, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        cast("Any", found.loader).exec_module(module)


def _arrange() -> None:
    try:
        from peekr.diagnosis import report

        report.at_exit()
    except Exception as error:
        sys.stderr.write(f"peekr doctor: no report: {type(error).__name__}: {error}\n")


_arrange()
_run_the_next()
