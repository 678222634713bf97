"""The house rules that no linter holds: sizes, docstrings, words, nothing left unfinished."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE_LINES_MAX = 400
TEST_MODULE_LINES_MAX = 600  # cases may stand one after the other
FUNCTION_LINES_MAX = 60
CODE = ("consensus", "storage", "node", "deploy", "tests")
# Written apart, so that this file does not hold what it forbids.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
FOREIGN = re.compile(
    r"(?:^|[\s\"'(=])/wo"
    r"rk/"  # paths of one machine
    r"|(?i:clau"
    r"de|anthro"
    r"pic|open"
    r"ai|co"
    r"pilot|sub-?ag"
    r"ent)"
    r"|(?i:py"
    r"pi\.org|python"
    r"hosted|crates"
    r"\.io|npm"
    r"js|mirr"
    r"or\.)"
    r"|(?i:\bissue"
    r"s? #?\d|\bpull request"
    r" #?\d)|(?<![\w&/(\[])#\d"
    r"{2,5}\b(?!\w)",
    re.MULTILINE,
)
TEXTS = {".py", ".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".service", ".txt", ""}
HYPHENS = re.compile("[\u2010-\u2015\u2212]")
# U+2014 stands in signed notes: the format asks for it.
WITH_DASH = {
    "node/ledger/checkpoint.py",
    "deploy/docs/formats.md",
    "deploy/docs/verification.md",
}


@cache
def files() -> list[Path]:
    """Return what belongs to the project: tracked files and new ones that are not ignored."""
    run = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in run.stdout.splitlines() if (ROOT / name).is_file()]


def modules() -> list[Path]:
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE
    ]


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for item in ast.walk(tree):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item


def test_there_is_something_to_look_at():
    assert len(modules()) > 50


def test_no_module_is_longer_than_people_read():
    long = {}
    for path in modules():
        lines = len(text_of(path).splitlines())
        limit = TEST_MODULE_LINES_MAX if "tests" in path.parts else MODULE_LINES_MAX
        if lines > limit:
            long[name(path)] = lines
    assert long == {}


def test_no_rust_module_is_longer_either():
    rust = [path for path in files() if path.suffix == ".rs"]
    assert rust
    long = [name(path) for path in rust if len(text_of(path).splitlines()) > MODULE_LINES_MAX]
    assert long == []


def test_every_rust_module_says_what_it_owns():
    silent = [
        name(path)
        for path in files()
        if path.suffix == ".rs" and not text_of(path).startswith("//! ")
    ]
    assert silent == []


def test_no_function_is_longer_than_a_page():
    long = {}
    for path in modules():
        for item in functions(tree_of(path)):
            assert item.end_lineno is not None
            lines = item.end_lineno - item.lineno + 1
            if lines > FUNCTION_LINES_MAX and not is_table(item):
                long[f"{name(path)}:{item.name}"] = lines
    assert long == {}


def is_table(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether the function is one list, kept as rows, and nothing else."""
    (*head, last) = function.body
    docstring = len(head) <= 1 and all(isinstance(item, ast.Expr) for item in head)
    return docstring and isinstance(last, ast.Return) and isinstance(last.value, ast.List)


def test_every_module_says_what_it_owns():
    silent = [name(path) for path in modules() if not ast.get_docstring(tree_of(path))]
    assert silent == []


def test_tests_are_no_package():
    assert [name(p) for p in files() if p.name == "__init__.py" and "tests" in p.parts] == []


def test_nothing_is_left_unfinished():
    found = {}
    for path in files():
        if path.suffix in TEXTS and (hit := UNFINISHED.search(text_of(path))):
            found[name(path)] = hit[0]
    assert found == {}


def test_nothing_names_where_it_was_written():
    found = {}
    for path in files():
        if path.suffix in TEXTS and (hit := FOREIGN.search(text_of(path))):
            found[name(path)] = hit[0]
    assert found == {}


def test_hyphens_are_plain():
    found = [
        name(path)
        for path in files()
        if path.suffix in (".py", ".md")
        and name(path) not in WITH_DASH
        and "tests" not in path.parts
        and HYPHENS.search(text_of(path))
    ]
    assert found == []


def test_no_broad_except_hides_a_fault():
    found = []
    for path in modules():
        if "tests" in path.parts:
            continue
        for item in ast.walk(tree_of(path)):
            if isinstance(item, ast.ExceptHandler) and _is_broad(item.type):
                found.append(f"{name(path)}:{item.lineno}")
    assert found == []


def _is_broad(kind: ast.expr | None) -> bool:
    """``except BaseException`` may clean up and raise again; ``Exception`` only hides."""
    return kind is None or getattr(kind, "id", "") == "Exception"


@pytest.mark.parametrize("word", ["skip", "skipif", "xfail"])
def test_no_test_is_switched_off(word):
    mark = re.compile(rf"pytest\.mark\.{word}\b")
    assert [name(p) for p in modules() if mark.search(p.read_text())] == []
