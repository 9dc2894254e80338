"""The wheel and the sdist: the same bytes each time, with what belongs there and nothing else."""

from __future__ import annotations

import email
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Set

import pytest

pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[2]
TOP = ("LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", ".gitignore")
BUILD = """
import os, sys
os.umask(int(sys.argv[2], 8))
from hatchling import build
build.build_sdist(sys.argv[1])
build.build_wheel(sys.argv[1])
"""


class Built(NamedTuple):
    """What a build made."""

    wheel: Path
    sdist: Path

    @property
    def digests(self) -> List[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in self]

    @property
    def names(self) -> List[str]:
        return [path.name for path in self]


def build(tree: Path, *, umask: str = "022", **environment: str) -> Built:
    """Build in a tree, in a process of its own."""
    out = tree.with_name(f"{tree.name}-dist")
    out.mkdir()
    subprocess.run(
        [sys.executable, "-c", BUILD, str(out), umask],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1750000000", **environment},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return Built(*out.glob("*.whl"), *out.glob("*.tar.gz"))


def copied(source: Path, folder: Path) -> Path:
    """A copy of what is built."""
    folder.mkdir()
    for name in TOP:
        shutil.copy(source / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "examples"):
        shutil.copytree(source / name, folder / name, ignore=ignored)
    return folder


def tree(source: Path, folder: Path, *, other: bool = False) -> Path:
    """A copy to build in; another one has other times, modes and stray files."""
    copied(source, folder)
    if other:
        (folder / "src" / "peekr" / "__pycache__").mkdir()
        (folder / "src" / "peekr" / "__pycache__" / "record.cpython-39.pyc").write_bytes(b"x")
        (folder / "tests").mkdir()
        (folder / "tests" / "test_x.py").write_text("", "utf-8")
        (folder / "traces.jsonl").write_text("{}\n", "utf-8")
        for path in folder.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
            if path.is_file():
                path.chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was at one moment, whoever works on it meanwhile."""
    return copied(ROOT, tmp_path_factory.mktemp("project") / "project")


@pytest.fixture(scope="module")
def built(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tree(project, tmp_path_factory.mktemp("release") / "one"))


def in_wheel(built: Built) -> Set[str]:
    with zipfile.ZipFile(built.wheel) as archive:
        return set(archive.namelist())


def in_sdist(built: Built) -> Dict[str, tarfile.TarInfo]:
    """The sdist's files by their path below its one folder."""
    with tarfile.open(built.sdist) as archive:
        return {member.name.partition("/")[2]: member for member in archive.getmembers()}


def sources(project: Path) -> Set[str]:
    """Every file of the package."""
    return {
        path.relative_to(project / "src").as_posix()
        for path in (project / "src" / "peekr").rglob("*")
        if path.is_file()
    }


def test_two_builds_are_the_same_byte_for_byte(built: Built, project: Path, tmp_path: Path) -> None:
    again = build(
        tree(project, tmp_path / "two", other=True),
        umask="077",
        PYTHONHASHSEED="7",
        TZ="Asia/Kathmandu",
        LC_ALL="C",
    )
    assert again.names == built.names
    assert again.digests == built.digests


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_tree(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert build(unpacked).digests == built.digests


def test_the_wheel_has_the_whole_package_and_nothing_else(built: Built, project: Path) -> None:
    found = in_wheel(built)
    info = {name for name in found if name.partition("/")[0].endswith(".dist-info")}
    assert found - info == sources(project)
    assert {name.partition("/")[2] for name in info} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    # Said by name, should somebody move them.
    assert "peekr/py.typed" in found
    for kind in ("html", "css", "js"):
        assert any(n.startswith("peekr/dashboard/page/") and n.endswith(kind) for n in found), kind


def test_the_sdist_has_what_a_build_needs_and_nothing_else(built: Built, project: Path) -> None:
    found = set(in_sdist(built))
    assert found == {f"src/{name}" for name in sources(project)} | {*TOP, "PKG-INFO"}


def test_nobody_owns_what_is_in_the_sdist(built: Built) -> None:
    for name, member in in_sdist(built).items():
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", ""), name
        assert member.mtime == 1_750_000_000, name
        assert member.mode & 0o777 in (0o644, 0o755), name


def test_the_metadata_says_licence_pythons_and_readme(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        said = email.message_from_bytes(archive.read(name))
    assert said["License-Expression"] == "MIT"
    assert said.get_all("License-File") == ["LICENSE"]
    assert said["Requires-Python"] == ">=3.9"
    assert said["Description-Content-Type"] == "text/markdown"
    assert str(said.get_payload()).startswith("# Peekr\n")
    pythons = [c.rpartition(" ")[2] for c in said.get_all("Classifier") or () if ":: 3." in c]
    assert pythons == ["3.9", "3.10", "3.11", "3.12", "3.13"]
    # The launcher turns all instrumentors off where one SDK of an `instruments` extra is missing.
    assert not {"instruments", "instruments-any"} & set(said.get_all("Provides-Extra") or ())
