"""Manual and code say the same: what exists is documented, what is documented exists."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest

from node import errors, eventloop, keys, settings
from node.config import ENVIRONMENT_PREFIX
from node.ledger.registry import OPERATIONS, QUESTIONS, RESULTS
from tests.support.manual import DOCS, ROOT, facts, generate

HAND_WRITTEN = sorted(
    {
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "deploy").rglob("*.service"),
        *(ROOT / "deploy").rglob("*.y*ml"),
        *(ROOT / "deploy").rglob("Containerfile"),
        *(
            path
            for room in ("consensus", "storage", "node", "native")
            for path in (ROOT / room).rglob("*.md")
        ),
    }
)
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in HAND_WRITTEN}
INLINE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (DOCS / name).read_text()


@cache
def commands() -> dict[tuple[str, ...], click.Command]:
    return dict(facts.commands())


def spoken() -> list[tuple[str, str]]:
    """Return (file, text) of every inline code span and every line of a code block."""
    found = []
    for name, text in TEXTS.items():
        joined = re.sub(r"\\\n\s*", " ", text)
        found += [
            (name, line.strip()) for body in BLOCK.findall(joined) for line in body.split("\n")
        ]
        found += [(name, span) for span in INLINE.findall(BLOCK.sub("", joined))]
    return found


# --- what exists is documented -------------------------------------------------------------


def test_generated_tables_are_what_the_code_says():
    stale = [str(path) for path, text in generate.outputs().items() if path.read_text() != text]
    assert stale == [], "run: python deploy/docs/generate.py"


def test_every_table_stands_in_one_document():
    used = [match[2] for text in TEXTS.values() for match in generate.BLOCK.finditer(text)]
    assert sorted(used) == sorted(generate.TABLES)


def test_every_command_and_option_is_documented():
    text = page("cli.md")
    for path, command in commands().items():
        title = " ".join(("chartseal", *path))
        assert f"### `{title}`\n" in text
        section = text.split(f"### `{title}`\n")[1].split("\n### ")[0]
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert f"`{option.opts[-1]}`" in section, f"{title} {option.opts[-1]}"


def test_every_option_has_a_help_text():
    silent = [
        f"chartseal {' '.join((*path, option.opts[-1]))}"
        for path, command in commands().items()
        for option in command.params
        if isinstance(option, click.Option) and not (option.help or "").strip()
    ]
    assert silent == []


def test_every_setting_and_its_variable_are_documented():
    text = page("configuration.md")
    for item in settings.SETTINGS.values():
        assert f"`{item.name}`" in text
        assert f"`{item.environment}`" in text


def test_every_route_is_documented():
    text = page("http.md")
    for route in facts.routes():
        assert f"#### `{route.method} {route.path}`" in text
    for method, path in facts.ops_routes():
        assert f"`{method} {path}`" in text


def test_every_metric_is_documented_with_its_labels():
    text = page("metrics.md")
    families = facts.metric_families()
    assert len(families) > 20
    for name, (_kind, _say, labels) in families.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{label}`" in row for label in labels)


def test_every_condition_is_documented():
    text = page("errors.md")
    for item in facts.error_codes():
        assert f"| `{item.code}` | {item.status} |" in text


def test_every_result_of_the_ledger_is_documented():
    text = page("errors.md")
    for number, result in RESULTS.items():
        assert f"| {number} | `{result.code}` |" in text


def test_every_operation_is_documented():
    assert all(f"| `{kind}` |" in page("formats.md") for kind in OPERATIONS)


def test_every_log_event_is_documented():
    assert all(f"| `{name}` |" in page("operations.md") for name in facts.log_events())


def test_the_node_logs_through_events_only():
    elsewhere = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "node").rglob("*.py"))
        if "getLogger" in path.read_text() and path.name != "log.py"
    ]
    assert elsewhere == []


def test_every_exit_code_that_forbids_a_restart_has_its_own_advice():
    text = page("operations.md")
    for code in errors.EXIT_DO_NOT_RESTART:
        assert f"**{int(code)}**" in text


def test_every_make_target_is_documented():
    assert all(f"| `make {name}` |" in page("cli.md") for name in facts.make_targets())


# --- what is documented exists -------------------------------------------------------------


def said(pattern: str) -> list[tuple[str, str]]:
    found = re.compile(pattern)
    return [(name, hit) for name, text in TEXTS.items() for hit in found.findall(text)]


def test_no_document_names_a_metric_that_is_gone():
    known = set(facts.metric_families()) | {"chartseal_native"}  # the module in Rust
    gone = [(at, word) for at, word in said(r"\bchartseal_[a-z_]+\b") if word not in known]
    assert [item for item in gone if not item[1].endswith("_")] == []


def test_no_document_names_a_variable_that_is_gone():
    root = commands()[()]
    known = {item.environment for item in settings.SETTINGS.values()}
    known |= {f"{ENVIRONMENT_PREFIX}PEERS", f"{ENVIRONMENT_PREFIX}KILLS"}
    known |= {keys.ENVIRONMENT_VARIABLE, eventloop.VARIABLE}
    known |= {f"{ENVIRONMENT_PREFIX}{item.name}".upper() for item in root.params}
    known |= {
        variable
        for command in commands().values()
        for item in command.params
        for variable in ([item.envvar] if isinstance(item.envvar, str) else item.envvar or [])
    }
    assert [
        item for item in said(r"\bCHARTSEAL_[A-Z0-9_]+[A-Z0-9]\b") if item[1] not in known
    ] == []


def test_no_document_names_a_setting_or_event_that_is_gone():
    sections = "|".join([*settings.SECTIONS, "peer", "block", "request"])
    events = facts.log_events()
    gone = [
        (at, span)
        for at, span in spoken()
        if re.fullmatch(rf"(?:{sections})\.[a-z_]+", span)
        and not span.endswith((".py", ".pid", ".md", ".key", ".toml", ".log"))
        and span not in settings.SETTINGS
        and span not in events
        and span not in QUESTIONS
    ]
    assert gone == []


def test_no_document_names_a_route_that_is_gone():
    shapes = [
        re.sub(r"\\{[a-z_:]+\\}", "[^/]+", re.escape(route.path)) for route in facts.routes()
    ]
    gone = [
        (at, path)
        for at, path in said(r"(?<![\w.])(/v1/[\w{}$./:-]*[\w}])")
        if not any(re.fullmatch(shape, path) for shape in shapes)
    ]
    assert [item for item in gone if not item[1].startswith("/v1/problems")] == []


def test_no_document_names_a_make_target_that_is_gone():
    known = facts.make_targets()
    named = [(at, m[1]) for at, span in spoken() if (m := re.match(r"make ([a-z-]+)", span))]
    assert named
    assert [item for item in named if item[1] not in known] == []


def command_lines() -> list[tuple[str, str]]:
    found = []
    for at, span in spoken():
        match = re.search(r"(?:^|[ |(]|/bin/)chartseal +(?=[a-z])[^|>&;#()]+", span)
        if match and "=" not in span.split("chartseal")[0]:
            found.append((at, match[0].partition("chartseal")[2].strip()))
    return found


def test_documents_show_the_command_line():
    assert len(command_lines()) > 20


def test_no_document_shows_a_command_that_does_not_exist():
    wrong = [
        (at, line, fault)
        for at, line in command_lines()
        if (fault := fault_of(shlex.split(line)))
    ]
    assert wrong == []


def fault_of(words: list[str]) -> str:
    """Return what is wrong with a command line, or nothing."""
    known = commands()
    path: tuple[str, ...] = ()
    for number, word in enumerate(words):
        command = known[path]
        options = {
            name for item in command.params for name in (*item.opts, *item.secondary_opts)
        }
        if word.startswith("-") and len(word) > 1:
            name = word.partition("=")[0]
            if name not in options | {"--help", "-h", "-vv"}:
                return f"{' '.join(path)} has no {name}"
        elif isinstance(command, click.Group):
            if (*path, word) in known:
                path = (*path, word)
            elif not (number and words[number - 1].startswith("-")):
                return f"no command {' '.join((*path, word))}"
    return ""


def test_links_lead_somewhere():
    broken = []
    for path in HAND_WRITTEN:
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target and not (path.parent / target).exists():
                broken.append((path.relative_to(ROOT).as_posix(), target))
    assert broken == []


# --- the registry itself -------------------------------------------------------------------


@cache
def raised_codes() -> list[tuple[str, str]]:
    """Return (place, code) of every condition that our code raises by a literal."""
    found = []
    for path in sorted(
        item for room in ("node", "storage") for item in (ROOT / room).rglob("*.py")
    ):
        for item in ast.walk(ast.parse(path.read_text())):
            if isinstance(item, ast.Call) and item.args and _raises(item.func):
                code = item.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found.append((f"{path.relative_to(ROOT)}:{item.lineno}", code.value))
    return found


def _raises(function: ast.expr) -> bool:
    name = getattr(function, "id", getattr(function, "attr", ""))
    return name in ("ChartsealError", "ConfigError", "KeystoreError", "refuse")


def test_every_condition_that_is_raised_is_registered():
    known = {item.code for item in facts.error_codes()}
    assert len(raised_codes()) > 30
    assert [item for item in raised_codes() if item[1] not in known] == []


@pytest.mark.parametrize(
    "path", HAND_WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_documents_are_text_that_ends_with_a_line_end(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "\t" not in text
