"""The command line as people and scripts meet it: help, suggestions, errors, exit codes."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import node
from node import errors
from node.cli.main import COMMANDS, cli
from node.cli.output import Boundary, Session, printable
from node.errors import ChartsealError


def _run(*arguments, **options):
    return CliRunner().invoke(cli, list(arguments), **options)


def test_help_names_every_command_and_every_global_option():
    result = _run("--help")
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name}\s+{re.escape(text)}", result.stdout, re.MULTILINE)
    for option in ("--endpoint", "--token-file", "--output", "--timeout", "--color", "--quiet"):
        assert option in result.stdout


def _commands(command, path):
    yield command, path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), [*path, name])


def test_every_command_explains_itself():
    seen = []
    for command, path in _commands(cli, []):
        result = _run(*path, "--help")
        assert result.exit_code == 0
        assert command.help, path
        assert all(line == line.rstrip() for line in result.stdout.splitlines())
        seen.append(" ".join(path))
    assert {"init", "key change-passphrase", "dev cluster up", "config validate"} <= set(seen)


def test_help_imports_no_command_and_nothing_heavy():
    code = (
        "import sys; from node.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('asyncio', 'aiohttp', 'nacl.pwhash', 'plyvel', 'cryptography')\n"
        "found = [m for m in sys.modules if m in heavy or m.startswith('node.cli.cmd_')]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [(["verison"], "version"), (["dev", "clutser"], "cluster"), (["key", "shwo"], "show")],
    ids=range(3),
)
def test_a_mistyped_command_gets_a_suggestion(arguments, advice):
    result = _run(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean '{advice}'?" in result.stderr


def test_a_command_like_nothing_gets_none():
    result = _run("qqqq")
    assert (result.exit_code, "Did you mean" in result.stderr) == (2, False)


def test_version_as_table_and_as_json_with_every_key():
    table = _run("version")
    assert table.stdout.startswith("chartseal  ")
    shown = json.loads(_run("-o", "json", "version").stdout)
    assert list(shown) == ["chartseal", "python", "platform", "accelerator", "event loop"]


def test_global_options_come_from_variables_too():
    result = _run("version", env={"CHARTSEAL_OUTPUT": "json"})
    assert json.loads(result.stdout)
    assert _run("version", env={"CHARTSEAL_OUTPUT": "xml"}).exit_code == 2


def test_an_error_has_title_code_detail_and_hint_on_stderr_only(tmp_path):
    result = _run("key", "show", str(tmp_path / "none"))
    assert result.exit_code == 79
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: the key file does not exist: keystore-missing",
        f"  {tmp_path}/none does not exist",
        "  next: check keystore.path, or make keys with `chartseal key generate`",
    ]


def test_an_error_under_json_is_a_problem_document_on_stderr(tmp_path):
    result = _run("-o", "json", "key", "show", str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (79, "")
    document = json.loads(result.stderr)
    assert list(document) == [
        "type", "title", "status", "detail", "code", "retryable", "hint",
    ]  # fmt: skip
    assert document["code"] == "keystore-missing"


def _raising(error):
    @click.command()
    @click.pass_obj
    def command(session):
        raise error

    return command


def _boundary(error, *flags):
    cli.add_command(_raising(error), "test-raise")
    try:
        return _run(*flags, "test-raise")
    finally:
        cli.commands.pop("test-raise")


def test_an_unforeseen_fault_shows_a_traceback_only_with_vv():
    error = ValueError("Jane Doe, born 1970")
    quiet = _boundary(error)
    assert quiet.exit_code == 1
    assert "Traceback" not in quiet.stderr
    assert "Jane" not in quiet.stderr
    assert "internal" in quiet.stderr
    assert "Traceback" in _boundary(error, "-vv").stderr


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (OSError(98, "Address already in use"), 4, "port-in-use"),
        (FileNotFoundError(2, "No such file or directory", "/x"), 3, "file-unreadable"),
        (ChartsealError("data-dir-locked", "by 7"), 80, "data-dir-locked"),
        (ChartsealError("verification-failed"), 8, "verification-failed"),
    ],
)
def test_faults_end_with_the_code_of_the_registry(error, exit_code, code):
    result = _boundary(error)
    assert result.exit_code == exit_code
    assert f": {code}\n" in result.stderr


def test_every_registered_code_ends_a_command_as_registered():
    for entry in errors.all_codes():
        with pytest.raises(click.exceptions.Exit) as left, Boundary(Session(quiet=True)):
            raise ChartsealError(entry.code)
        assert left.value.exit_code == entry.exit


@pytest.mark.parametrize("error", [click.Abort(), KeyboardInterrupt()])
def test_giving_up_is_exit_code_10(error):
    with pytest.raises(click.exceptions.Exit) as left, Boundary(Session()):
        raise error
    assert left.value.exit_code == 10


def test_answers_cannot_steer_the_terminal():
    result = _boundary(ChartsealError("not-found", "a\x1b[2Jb\nc"))
    assert "\x1b" not in result.stderr
    assert "  a?[2Jb\n  c\n" in result.stderr
    assert printable("ä\x00\u202e") == "ä??"


@pytest.mark.parametrize(
    ("flags", "env", "coloured"),
    [
        (["--color", "always"], {}, True),
        (["--color", "never"], {}, False),
        ([], {}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
    ids=range(4),
)
def test_colour_is_for_terminals_unless_told(flags, env, coloured):
    result = _run(*flags, "key", "show", "/none", env=env)
    assert ("\x1b[" in result.stderr) is coloured


def test_tables_have_no_borders_two_spaces_and_a_stable_order(capsys):
    rows = [{"id": "a", "ok": True, "n": 7}, {"id": "long-name", "ok": False, "n": None}]
    Session().show_list(rows, ["id", "ok", "n"])
    assert capsys.readouterr().out.splitlines() == [
        "ID         OK   N",
        "a          yes  7",
        "long-name  no   -",
    ]
    Session(output="json").show_list(rows, ["id", "ok", "n"])
    assert json.loads(capsys.readouterr().out) == rows
    with pytest.raises(AssertionError, match="every key"):
        Session().show_list([{"id": "a"}], ["id", "ok"])


def test_running_without_assertions_is_refused():
    ended = subprocess.run(
        [sys.executable, "-O", "-m", "node", "version"], capture_output=True, text=True,
        cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "refusing to run under -O" in ended.stderr


def test_python_m_node_is_the_same_command_line():
    ended = subprocess.run(
        [sys.executable, "-m", "node", "-o", "json", "version"], capture_output=True,
        cwd=Path(__file__).parents[3], check=True,
    )  # fmt: skip
    assert "chartseal" in json.loads(ended.stdout)


def test_every_code_that_the_source_raises_is_registered():
    for module in pkgutil.walk_packages(node.__path__, "node."):  # any of them may register
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pattern = re.compile(
        r'(?:ChartsealError|ConfigError|KeystoreError|problem)\(\s*"([a-z0-9-]+)"'
        r'|^\s+code(?:: [\w\[\]]+)? = "([a-z0-9-]+)"$',
        re.MULTILINE,
    )
    root, found = Path(__file__).parents[3], {}
    for package in ("node", "storage"):
        for path in (root / package).rglob("*.py"):
            for match in pattern.finditer(path.read_text()):
                found[match[1] or match[2]] = path.name
    assert len(found) > 20
    assert {code: at for code, at in found.items() if errors.lookup(code) is None} == {}
