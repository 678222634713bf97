"""Write the tables of the manual from the code: ``python deploy/docs/generate.py [--check]``.

A document holds a block between ``<!-- generated: NAME -->`` and ``<!-- end generated -->``;
what stands between the marks comes from here, everything around it is written by hand.  The
example configuration ``deploy/config/node.toml`` is made whole.  ``--check`` writes nothing and
fails when a file would change, which is how a forgotten table fails the tests.

Owns: the tables' form and the meanings that code has no place for (log events, make targets).
Refuses: blocks nobody makes, and events without a meaning.
"""

import argparse
import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args

import click

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "deploy" / "docs"
EXAMPLE: Final = ROOT / "deploy" / "config" / "node.toml"
BLOCK: Final = re.compile(
    r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL
)

# What a log event says to the person who reads it.
EVENTS: Final = {
    "node.start": "Disk, keys and genesis were opened; the network comes next. `torn_bytes` "
    "counts bytes of an unfinished write that were cut off.",
    "node.stop": "An orderly end after SIGTERM or SIGINT.",
    "peer.up": "This member proved its key and is connected.",
    "peer.down": "The connection to this member ended; it is dialled again by itself.",
}


# --- what the code knows ------------------------------------------------------------------


class Nothing(dict[str, Any]):
    """Answers every question of a collector or a handler table with nothing at all."""

    def __getattr__(self, name: str) -> "Nothing":
        return Nothing()

    def __getitem__(self, key: Any) -> "Nothing":
        return Nothing()

    def __call__(self, *_args: Any, **_kwargs: Any) -> "Nothing":
        return Nothing()

    def __truediv__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __sub__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __float__(self) -> float:
        return 0.0

    def __str__(self) -> str:
        return ""


def metric_families() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return name as scraped -> (type, help, label names) of every family of the node."""
    from node.observe import NodeCollector

    found = {}
    parts: list[Any] = [Nothing() for _ in range(5)]
    family: Any
    for family in NodeCollector(*parts).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, family.documentation, tuple(family._labelnames))  # noqa: SLF001
    return found


def log_events() -> dict[str, list[str]]:
    """Return event name -> names of its fields, from every ``event("...")`` call in node."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "node").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not _is_event(call.func) or not call.args:
                continue
            for name in _texts(call.args[0]):
                keys = {item.arg for item in call.keywords if item.arg not in (None, "level")}
                found.setdefault(name, set()).update(keys)
    return {name: sorted(keys) for name, keys in sorted(found.items())}


def _is_event(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "event" and getattr(function.value, "id", "") == "log"
    return isinstance(function, ast.Name) and function.id == "event"


def _texts(argument: ast.expr) -> list[str]:
    """Return the texts that an argument may be: a literal, or either side of a choice."""
    if isinstance(argument, ast.IfExp):
        return _texts(argument.body) + _texts(argument.orelse)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    raise SystemExit(f"line {argument.lineno}: event names are literals")


def commands(
    command: click.Command | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of the command line with its words, groups before their members."""
    if command is None:
        from node.cli.main import cli

        command = cli
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed"
            if not inner.hidden:
                yield from commands(inner, (*path, name))


def error_codes() -> list[Any]:
    """Return every registered condition, after importing each module that registers some."""
    from node import errors

    for path in sorted((ROOT / "node").rglob("*.py")):
        if re.search(r"^register\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return list(errors.all_codes())


def routes() -> list[Any]:
    """Return the routes of the client port as ``node.http.answers.Route``."""
    from node.http.answers import Api
    from node.http.api import api_routes
    from node.http.limits import HttpLimits

    return list(api_routes(Api(Nothing(), HttpLimits())))  # type: ignore[arg-type]


def ops_routes() -> list[tuple[str, str]]:
    """Return method and path of every route of the operators' port."""
    from node.http.api import build_ops

    app = build_ops(Nothing(), metrics=bytes)  # type: ignore[arg-type]
    return [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


def make_targets() -> dict[str, str]:
    """Return target -> meaning, from the Makefile's own help texts."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rows = re.findall(r"^([a-z-]+):(?:[^=\n]*?)(?:##\s*(.*))?$", text, re.MULTILINE)
    return {name: say or f"the part `{name}` of `make check`" for name, say in rows}


# --- tables -------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(text: Any) -> str:
    return f"`{text}`" if str(text) else ""


def settings() -> str:
    from node.config import plain
    from node.settings import SETTINGS

    rows = []
    for item in SETTINGS.values():
        default = "must be set" if item.required else plain(item.default)
        shown = "unset" if default is None else default if item.required else _code(default)
        kind = item.about.kind
        if item.about.choices:
            kind = " or ".join(_code(choice) for choice in item.about.choices)
        elif item.about.low > 0:
            kind += f", {item.about.low} or more"
        rows.append(
            (_code(item.name), shown, kind, item.about.meaning, _code(item.environment))
        )
    return _table(("setting", "default", "kind", "meaning", "variable"), rows)


def cli() -> str:
    return "\n".join(_command(path, command) for path, command in commands())


def _command(path: tuple[str, ...], command: click.Command) -> str:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = ["chartseal", *path, *[p.make_metavar(click.Context(command)) for p in arguments]]
    title = " ".join(["chartseal", *path])
    lines = [f"### `{title}`", "", " ".join((command.help or "").split()), ""]
    if arguments:
        lines += [f"    {' '.join(usage)}", ""]
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        rows = [(_option(p), p.help or "", _default(p)) for p in options]
        lines += [_table(("option", "meaning", "default"), rows)]
    return "\n".join(lines)


def _option(option: click.Option) -> str:
    names = ", ".join(_code(name) for name in (*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return names
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    return f"{names} {_code('|'.join(choices) or option.metavar or option.type.name.upper())}"


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    value = option.to_info_dict()["default"]
    if option.is_flag or option.count or not isinstance(value, str | int | float | tuple):
        return ""
    return _code(", ".join(map(str, value)) if isinstance(value, tuple) else value)


def http() -> str:
    rows = [
        (_code(f"{route.method} {route.path}"), _code(route.scope or ""), route.summary)
        for route in routes()
    ]
    parts = [_table(("route", "scope", "meaning"), rows)]
    parts += [_route(route) for route in routes()]
    return "\n".join(parts)


def _route(route: Any) -> str:
    lines = [f"#### `{route.method} {route.path}`", "", route.summary, ""]
    for item in route.parameters:
        lines += [f"- {item.place} `{item.name}`: {item.say}"]
    if route.body:
        lines += [f"- body: {_forms(route.body)}"]
    for item in route.answers:
        lines += [f"- {item.status} ({_forms(item.forms)}): {item.say}"]
    if route.problems:
        lines += [f"- problems of its own: {', '.join(_code(code) for code in route.problems)}"]
    return "\n".join(lines) + "\n"


def _forms(forms: Any) -> str:
    return " or ".join(
        " ".join([_code(media), *([] if kind is None else [_struct(kind)])])
        for media, kind in forms.items()
    )


def _struct(kind: Any) -> str:
    return " or ".join(item.__name__ for item in get_args(kind) or (kind,))


def ops() -> str:
    return _table(("route",), [(_code(f"{method} {path}"),) for method, path in ops_routes()])


def scopes() -> str:
    from node.http.auth import CERTIFICATE_SCOPES
    from node.tokens import SCOPES

    used = {scope: [r for r in routes() if r.scope == scope] for scope in SCOPES}
    rows = [
        (_code(scope), ", ".join(_code(f"{r.method} {r.path}") for r in used[scope]),
         "yes" if scope in CERTIFICATE_SCOPES else "no")
        for scope in SCOPES
    ]  # fmt: skip
    return _table(("scope", "routes", "client certificates have it"), rows)


def problems() -> str:
    rows = [
        (_code(item.code), item.status, int(item.exit), "yes" if item.retryable else "no",
         item.title, item.hint)
        for item in error_codes()
    ]  # fmt: skip
    return _table(("code", "HTTP", "exit", "retry", "meaning", "what to do next"), rows)


def results() -> str:
    from node.ledger.registry import RESULTS

    rows = [(number, _code(item.code), item.say) for number, item in sorted(RESULTS.items())]
    return _table(("number", "code", "meaning"), rows)


def operations() -> str:
    from node.ledger.registry import OPERATIONS

    rows = []
    for kind, item in sorted(OPERATIONS.items()):
        body = ", ".join(_field(field) for field in fields(item.body))
        rows.append((_code(kind), _code(f"[{body}]"), ", ".join(sorted(item.roles)), item.say))
    return _table(("kind", "body", "roles that may", "meaning"), rows)


def _field(field: Any) -> str:
    kind = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    return f"{field.name}: {re.sub(r'[a-z_]+[.]', '', kind)}"


def exits() -> str:
    from node.errors import EXIT_DO_NOT_RESTART, Exit

    rows = []
    for code in Exit:
        because = ", ".join(_code(item.code) for item in error_codes() if item.exit == code)
        again = "no" if code in EXIT_DO_NOT_RESTART else "yes"
        name = code.name.lower().replace("_", " ")
        rows.append((int(code), name, again if code >= 1 else "", because))
    return _table(("exit", "name", "restart may help", "conditions"), rows)


def metrics() -> str:
    rows = [
        (_code(name), kind, ", ".join(map(_code, labels)), say)
        for name, (kind, say, labels) in metric_families().items()
    ]
    return _table(("metric", "type", "labels", "meaning"), rows)


def events() -> str:
    found = log_events()
    unexplained = sorted(found.keys() - EVENTS.keys())
    gone = sorted(EVENTS.keys() - found.keys())
    if unexplained or gone:
        raise SystemExit(f"EVENTS in generate.py: explain {unexplained}, remove {gone}")
    rows = [
        (_code(name), ", ".join(map(_code, keys)), EVENTS[name]) for name, keys in found.items()
    ]
    return _table(("event", "fields", "meaning"), rows)


def targets() -> str:
    rows = [(_code(f"make {name}"), say) for name, say in make_targets().items()]
    return _table(("command", "meaning"), rows)


def media_types() -> str:
    from node.ledger.canon import MEDIA_TYPES

    rows = [(item.id, _code(item.name), item.canon) for item in MEDIA_TYPES]
    return _table(("id", "media type", "canonical form"), rows)


def reasons() -> str:
    from node.ledger.receipt import Reason

    return ", ".join(_code(reason.value) for reason in Reason) + "\n"


def parameters() -> str:
    from node.ledger.genesis import Parameters

    rows = [(_code(item.name), item.default) for item in fields(Parameters)]
    return _table(("parameter", "default"), rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "cli": cli,
    "http": http,
    "ops": ops,
    "scopes": scopes,
    "problems": problems,
    "results": results,
    "operations": operations,
    "exits": exits,
    "metrics": metrics,
    "events": events,
    "targets": targets,
    "media-types": media_types,
    "reasons": reasons,
    "parameters": parameters,
}


# --- files --------------------------------------------------------------------------------


def example_config() -> str:
    """Return the configuration that the service unit and the container start from."""
    from node.cli.layout import config_text

    return config_text(
        {
            "node.id": "hospital-a",
            "node.data_dir": "/var/lib/chartseal/data",
            "network.genesis": "/etc/chartseal/genesis.bin",
            "p2p.listen": "0.0.0.0:7650",
            "keystore.path": "/var/lib/chartseal/node.key",
            "keystore.passphrase_file": "/etc/chartseal/passphrase",
            "log.format": "json",
        },
        {
            "hospital-b": "ledger.hospital-b.example:7650",
            "laboratory-c": "ledger.laboratory-c.example:7650",
            "payer-d": "ledger.payer-d.example:7650",
        },
    )


def fill(text: str) -> str:
    """Return ``text`` with every generated block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[4]}"

    return BLOCK.sub(block, text)


def outputs() -> dict[Path, str]:
    """Return every file that this program writes, with what should stand in it."""
    made = {EXAMPLE: example_config()}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if BLOCK.search(text):
            made[path] = fill(text)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on changes")
    check = parser.parse_args().check
    changed = [
        (path, text)
        for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in changed:
        sys.stdout.write(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}\n")
        if not check:
            path.write_text(text, encoding="utf-8")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
