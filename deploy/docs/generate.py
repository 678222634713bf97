"""Write the tables of the manual from the code: ``python deploy/docs/generate.py [--check]``.

A document holds a block between ``<!-- generated: NAME -->`` and ``<!-- end generated -->``;
what stands between the marks comes from here, everything around it is written by hand.  The
example configuration ``deploy/config/node.toml`` is made whole.  ``--check`` writes nothing and
fails when a file would change, which is how a forgotten table fails the tests.

Owns: the tables' form; what stands in them is asked of facts.py.  Refuses: a block whose table
nobody makes, and log events without a meaning.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, get_args

import click
from facts import (
    EVENTS,
    ROOT,
    commands,
    error_codes,
    log_events,
    make_targets,
    metric_families,
    ops_routes,
    routes,
)

DOCS: Final = ROOT / "deploy" / "docs"
EXAMPLE: Final = ROOT / "deploy" / "config" / "node.toml"
BLOCK: Final = re.compile(
    r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL
)


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
        elif item.about.high <= 1 << 32:
            kind += f", {item.about.low} to {item.about.high}"
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
    kinds = kind if isinstance(kind, tuple) else get_args(kind) or (kind,)
    return " or ".join(item.__name__ for item in kinds)


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
        roles = ", ".join(sorted(item.roles)) or "every institution"
        rows.append((_code(kind), _code(f"[{body}]"), roles, item.say))
    return _table(("kind", "body", "roles that may", "meaning"), rows)


def questions() -> str:
    from node.ledger.registry import QUESTIONS

    rows = []
    for name, item in sorted(QUESTIONS.items()):
        given = ", ".join(_field(field) for field in fields(item.params))
        rows.append((_code(name), _code(given), "yes" if item.provable else "no", item.say))
    return _table(("question", "parameters", "provable", "meaning"), rows)


def alarms() -> str:
    from node.ledger.registry import ALARMS

    rows = [(_code(name), item.say) for name, item in sorted(ALARMS.items())]
    return _table(("alarm", "what it does"), rows)


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


def golden() -> str:
    """Cut the golden receipt's transaction and seal into their parts."""
    vectors = ROOT / "tests" / "vectors"
    receipt = json.loads((vectors / "receipt.json").read_text(encoding="utf-8"))
    raw, seal = bytes.fromhex(receipt["transaction"]), bytes.fromhex(receipt["seal"])
    length, signers = int.from_bytes(raw[2:4], "big"), raw[1]
    keys_at = 4 + length
    signatures_at = keys_at + 32 * signers
    canon = json.loads((vectors / "canon.json").read_text(encoding="utf-8"))
    opened, tag = canon["commitments"][-1], canon["tags"][0]
    step = json.loads((vectors / "smt.json").read_text(encoding="utf-8"))["steps"][0]
    rows = [
        ("transaction: version, signers, payload length", raw[:4].hex()),
        ("payload", raw[4:keys_at].hex()),
        ("keys", raw[keys_at:signatures_at].hex()),
        ("signatures", raw[signatures_at:].hex()),
        ("transaction id", sha256(b"\0" + raw).hexdigest()),
        ("seal: tag", seal[:18].hex()),
        ("seal: fields", seal[18:].hex()),
        ("seal digest, the next block's parent seal", sha256(seal).hexdigest()),
        (f"opening of `{opened['raw']}` as text/plain", opened["opening"]),
        ("its commitment", opened["commitment"]),
        (f"subject tag {tag['i']} of the secret {tag['secret']}", tag["tag"]),
        ("state root with one key, 61, whose value is 31", step["root"]),
    ]
    assert step["changes"] == [["61", "31"]], "the first step sets one key"
    return "".join(f"**{what}**\n\n{_wrapped(text)}\n" for what, text in rows)


def _wrapped(text: str) -> str:
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["```", *lines, "```"]) + "\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "cli": cli,
    "http": http,
    "ops": ops,
    "scopes": scopes,
    "problems": problems,
    "results": results,
    "operations": operations,
    "questions": questions,
    "alarms": alarms,
    "exits": exits,
    "metrics": metrics,
    "events": events,
    "targets": targets,
    "media-types": media_types,
    "reasons": reasons,
    "parameters": parameters,
    "golden": golden,
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
