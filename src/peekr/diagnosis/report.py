"""A diagnosis of another process: written by that process when it ends."""

from __future__ import annotations

import atexit
import json
import os
from typing import Optional

from peekr.diagnosis import Diagnosis, doctor

__all__ = ["FOLDER_VARIABLE", "at_exit", "read"]

FOLDER_VARIABLE = "PEEKR_DOCTOR"
_folder: Optional[str] = None


def at_exit() -> None:
    """Have a report written when this process ends, if `peekr doctor` has started it."""
    global _folder
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and _folder is None:
        # What a diagnosis loads at the end loads this, which the end is too late for.
        import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]

        _folder = folder
        atexit.register(_write, os.getpid())


def read(folder: str) -> list[Diagnosis]:
    """The reports of the processes that have ended, in the order of their ends."""
    paths = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".json")]
    found: list[Diagnosis] = []
    for path in sorted(paths, key=os.path.getmtime):
        with open(path, encoding="utf-8") as file:
            found.append(Diagnosis.from_dict(json.load(file)))
    return found


def _write(process: int) -> None:
    if process != os.getpid() or _folder is None:
        return  # a fork's child, which the report would be wrong about
    try:
        path = os.path.join(_folder, f"{process}.json")
        with open(f"{path}.part", "w", encoding="utf-8") as file:
            json.dump(doctor().to_dict(), file, default=str)
        os.replace(f"{path}.part", path)
    except Exception as error:
        with open(os.path.join(_folder, f"{process}.txt"), "w", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}: {error}")
