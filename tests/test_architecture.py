"""What the project's structure promises, beside the contracts that `make lint` checks."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

import peekr

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "peekr"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULES = [file for file in FILES if file.name != "__init__.py" or file.read_text("utf-8").strip()]

SDKS = ("openai", "anthropic", "boto3", "botocore", "aiobotocore", "google")

MAX_LINES = 500


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


def imports_of(file: Path) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    """Each import: the module, and the names that are taken from it."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), tuple(alias.name for alias in node.names)


def loaded_by(code: str) -> Set[str]:
    """The modules that a program loads, in a Python of its own."""
    # Coverage tools and test plugins may start in every Python: what is there before is not ours.
    program = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(made.stdout.splitlines()[-1].split())


def roots(modules: Set[str]) -> Set[str]:
    return {module.partition(".")[0] for module in modules}


# -- imports ---------------------------------------------------------------------------------------


def names_of_modules(package: Path) -> Set[str]:
    return {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_inside_imports_the_root_package(file: Path) -> None:
    # `from peekr import x` is fine where x is a module: that loads the module and nothing else.
    own = names_of_modules(PACKAGE)
    if file == PACKAGE / "__init__.py":
        return
    for module, names in imports_of(file):
        if module == "peekr":
            assert names, f"{name_of(file)} imports the root package"
            assert set(names) <= own, f"{name_of(file)} takes {names} from the root package"
        assert not module.startswith("."), f"{name_of(file)} imports relatively: {module}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_llm_sdk_is_imported_when_a_module_is(file: Path) -> None:
    for module, _ in imports_of(file):
        assert module.partition(".")[0] not in SDKS, f"{name_of(file)} imports {module}"


def test_import_peekr_loads_nothing_heavy() -> None:
    loaded = roots(loaded_by("import peekr"))
    assert not loaded & {*SDKS, "opentelemetry", "rich", "click", "orjson", "wrapt", "sqlite3"}


def test_instrument_loads_no_sdk_and_nothing_of_the_terminal() -> None:
    loaded = roots(loaded_by("import peekr; peekr.instrument(console=False, storage=None)"))
    assert not loaded & {*SDKS, "rich", "click", "sqlite3", "genai_prices"}


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_loads_no_opentelemetry(arguments: str) -> None:
    code = f"sys.argv = ['peekr', {arguments!r}]; import peekr.cli; peekr.cli.main()"
    loaded = roots(loaded_by(code))
    assert "peekr" in loaded
    assert not loaded & {"opentelemetry", "click", "rich", "orjson", *SDKS}


def test_help_of_a_command_loads_no_opentelemetry() -> None:
    from peekr.cli import COMMANDS

    for module, _ in COMMANDS.values():
        loaded = roots(loaded_by(f"import {module}"))
        assert not loaded & {"opentelemetry", *SDKS}, module


# -- names -----------------------------------------------------------------------------------------


def homes() -> Dict[str, str]:
    found: Dict[str, str] = vars(peekr)["_HOMES"]
    return found


def public_modules() -> Tuple[str, ...]:
    found: Tuple[str, ...] = vars(peekr)["_MODULES"]
    return found


def test_all_is_sorted_and_complete() -> None:
    assert list(peekr.__all__) == sorted(peekr.__all__)
    assert set(peekr.__all__) == {*homes(), *public_modules(), "__version__"}
    assert list(homes()) == sorted(homes())
    assert set(peekr.__all__) <= set(dir(peekr))


def test_what_type_checkers_see_is_what_there_is() -> None:
    block = next(
        node
        for node in tree_of(PACKAGE / "__init__.py").body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen: Dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            seen[alias.name] = str(node.module)
    assert {name: home for name, home in seen.items() if home != "peekr"} == homes()
    assert {name for name, home in seen.items() if home == "peekr"} == set(public_modules())


@pytest.mark.parametrize("name", peekr.__all__)
def test_every_public_name_resolves_and_says_what_it_is(name: str) -> None:
    value: Any = getattr(peekr, name)
    if name == "__version__":
        assert isinstance(value, str)
        return
    assert inspect.getdoc(value), f"peekr.{name} has no docstring"
    if name in homes():
        assert value is getattr(importlib.import_module(homes()[name]), name)
        exported = getattr(sys.modules[homes()[name]], "__all__", ())
        assert name in exported, f"{homes()[name]}.__all__ lacks {name}"


def test_a_public_name_is_no_modules_name() -> None:
    # The import of `peekr.trace`, the module, would put itself in the function's place.
    assert not set(homes()) & names_of_modules(PACKAGE)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'peekr' has no attribute 'nothing'"):
        peekr.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_names_in_all_exist(file: Path) -> None:
    for node in tree_of(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            if not isinstance(node.value, ast.List):
                return
            names: List[str] = ast.literal_eval(node.value)
            dotted = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
            module = importlib.import_module(dotted.replace(".__init__", ""))
            assert [name for name in names if not hasattr(module, name)] == []


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_begins_with_one_sentence(file: Path) -> None:
    doc = ast.get_docstring(tree_of(file))
    assert doc, f"{name_of(file)} has no docstring"
    first, _, rest = doc.partition("\n")
    assert first.endswith((".", "…")), f"{name_of(file)} begins with {first!r}"
    assert not rest or rest.startswith("\n")


@pytest.mark.parametrize("folder", ["src", "tests", "examples", "benchmarks", "semconv"])
def test_no_module_has_a_name_that_says_nothing(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        assert file.stem.strip("_") not in {"util", "utils", "helper", "helpers", "common", "misc"}


def test_no_file_is_long() -> None:
    long = {
        name_of(file) for file in FILES if len(file.read_text("utf-8").splitlines()) > MAX_LINES
    }
    assert long == set()


@pytest.mark.parametrize("file", [*FILES, *TESTS], ids=name_of)
def test_a_module_runs_on_the_oldest_python(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"), feature_version=(3, 9))
    if not [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]:
        return
    future = [names for module, names in imports_of(file) if module == "__future__"]
    assert future == [("annotations",)], f"{name_of(file)} evaluates its annotations"


@pytest.mark.parametrize("package", sorted((PACKAGE / "instrumentation").iterdir()), ids=name_of)
def test_a_provider_is_a_folder_an_entry_point_and_its_tests(package: Path) -> None:
    if not package.is_dir() or package.name == "__pycache__":
        return
    assert (ROOT / "tests" / "instrumentation" / package.name).is_dir()
    entry_points = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'"peekr.instrumentation.{package.name}.' in entry_points


def test_attribute_names_come_from_the_registry_alone() -> None:
    from peekr.semconv import otel, own

    registered = {
        value
        for module in (otel, own)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    for file in FILES:
        if file.parent.name == "semconv":
            continue
        texts = {
            node.value
            for node in ast.walk(tree_of(file))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        written = {text for text in texts & registered if text.startswith(("gen_ai.", "peekr."))}
        assert not written, f"{name_of(file)} writes {sorted(written)} out"


def test_the_project_speaks_of_itself_alone() -> None:
    machine = ("/" + "work/", "/" + "tmp/v", "/" + "root/")
    for folder in ("src", "tests", "examples", "benchmarks", "semconv"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text("utf-8")
            assert not [path for path in machine if path in text], name_of(file)
