"""What stands in docs/ works: programs and commands run, and print what is shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
import yaml

from tests import readme
from tests.docs import session, write
from tests.docs.pages import DOCS, blocks, guides, page_paths, prepared, prose
from tests.support import endpoint
from tests.support.endpoint import Endpoint

PAGES = {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in guides()}
RUN = [name for name, text in PAGES.items() if blocks(text)]
# What a page needs besides Peekr, by what stands in it.
NEEDS = {
    "import openai": "openai",
    "import anthropic": "anthropic",
    "--provider anthropic": "anthropic",
    "import boto3": "boto3",
    "from google import genai": "google.genai",
    "from fastapi": "fastapi",
    "peekr replay": "openai",
}


@pytest.fixture(scope="session")
def surroundings(server_of_all: Any) -> Dict[str, str]:
    return session.surroundings(server_of_all)


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Endpoint]:
    with endpoint.running() as started:
        started.otherwise = session.answer
        yield started


@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(
    name: str, tmp_path: Path, surroundings: Dict[str, str], elsewhere: Endpoint
) -> None:
    if sys.version_info < (3, 10):
        pytest.skip("the outputs are those of the newest SDKs, which want a newer Python")
    text = PAGES[name]
    for mark, module in NEEDS.items():
        if mark in text:
            pytest.importorskip(module)
    if "import openai" in text:
        import openai

        if int(openai.__version__.partition(".")[0]) < 2:
            pytest.skip("the outputs are those of the newest SDKs")
    ran = session.run(text, tmp_path, surroundings, elsewhere)
    assert ran == text, "make docs writes what commands print today"


@pytest.mark.parametrize("name", PAGES)
def test_what_follows_from_the_project_is_up_to_date(name: str) -> None:
    assert not write.stale(PAGES[name]), "make docs writes it"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_its_one_title_and_its_headings_do_not_repeat(name: str) -> None:
    headings = re.findall(r"^(#+ .+)$", prose(PAGES[name]), re.MULTILINE)
    assert PAGES[name].startswith("# ")
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("name", PAGES)
def test_no_fence_is_lost_and_each_prepared_file_is_there(name: str) -> None:
    text = PAGES[name]
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(blocks(text))
    for file in prepared(text):
        assert (
            file == "traces.db"
            or session.FILES.joinpath(file).exists()
            or (session.OF_OTHERS.joinpath(file).exists())
        )


def test_every_page_is_in_the_navigation_once() -> None:
    text = (readme.ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r"^ +- .+?: (\S+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in page_paths())
    assert yaml.safe_load(text)["docs_dir"] == DOCS.name


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", prose(text)):
            assert (DOCS / name).parent.joinpath(target).exists(), f"{name}: {target}"


def test_the_files_that_the_architecture_names_exist() -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|yaml|toml)|[\w/]+/)`", PAGES["architecture.md"]))
    assert len(named) > 10
    for path in named:
        places = (readme.ROOT / "src" / "peekr" / path, readme.ROOT / path)
        assert any(place.exists() for place in places), path


def test_the_verbs_of_make_exist() -> None:
    makefile = (readme.ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    used = {verb for text in PAGES.values() for verb in re.findall(r"`make ([a-z]+)`", text)}
    assert used
    assert used <= verbs


def test_the_extras_exist() -> None:
    project = (readme.ROOT / "pyproject.toml").read_text("utf-8")
    used = {name for text in PAGES.values() for name in re.findall(r'"peekr\[([a-z]+)\]"', text)}
    assert used
    for name in used:
        assert re.search(rf"^{name} = \[", project, re.MULTILINE), name


# -- how pages are run -----------------------------------------------------------------------------


def page(tmp_path: Path, text: str, surroundings: Dict[str, str], elsewhere: Endpoint) -> str:
    return session.run(text, tmp_path, surroundings, elsewhere)


def test_what_a_command_prints_is_written_below_it(
    tmp_path: Path, surroundings: Dict[str, str], elsewhere: Endpoint
) -> None:
    program = '```python title="a.py"\nprint(6 * 7)\n```\n'
    text = f"# P\n{program}```console\n$ python a.py\n41\n$ true\n```\n"
    assert page(tmp_path, text, surroundings, elsewhere) == text.replace("41", "42")


def test_what_differs_by_time_and_id_alone_is_left(
    tmp_path: Path, surroundings: Dict[str, str], elsewhere: Endpoint
) -> None:
    text = "# P\n```console\n$ echo 0af7651916cd43dd8448eb211c80319c 12ms\n{} 34ms\n```\n"
    assert page(tmp_path, text.format("4" * 32), surroundings, elsewhere) == text.format("4" * 32)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```python\nimport no_such_thing\n```\n", "line 1: .*no_such_thing"),
        ("```python\nimport sys\nprint(1, file=sys.stderr)\n```\n", "line 1: 1"),
        ("```sh\ntrue\nfalse\n```\n", "line 1: false"),
        ("```console\n$ exit 3\n```\n", "line 1: exit 3"),
        ("```text\n?\n```\n", "line 1: what is 'text'"),
        ('```python title="unused.py"\n```\n', "line 1: unused.py is used nowhere"),
    ],
)
def test_what_does_not_work_is_told_by_its_line(
    text: str, says: str, tmp_path: Path, surroundings: Dict[str, str], elsewhere: Endpoint
) -> None:
    with pytest.raises(AssertionError, match=f"(?s){says}"):
        page(tmp_path, text, surroundings, elsewhere)


def test_what_is_not_run_still_has_to_compile(
    tmp_path: Path, surroundings: Dict[str, str], elsewhere: Endpoint
) -> None:
    text = "<!-- not run: there is no such thing -->\n```python\nimport no_such_thing{}\n```\n"
    page(tmp_path, text.format(""), surroundings, elsewhere)
    with pytest.raises(SyntaxError):
        page(tmp_path, text.format(" as"), surroundings, elsewhere)
