"""`chartseal`: the table of commands and the global options.

Owns: which commands exist (imported only when used, so that `--help` and shell completion stay
fast), the suggestion for a mistyped one, the global options and their variables
(`CHARTSEAL_ENDPOINT`, `CHARTSEAL_OUTPUT`, ...).  Refuses: to run under -O, because assertions
guard what we sign.
"""

import difflib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from node.cli.output import Boundary, Session

# name: (where the command is, one line of help)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("node.cli.cmd_init:init", "Make a node's directory: keys, configuration."),
    "join": ("node.cli.cmd_join:join", "Join a network by a member's invitation."),
    "genesis": ("node.cli.cmd_genesis:genesis", "Found a network from join cards."),
    "run": ("node.cli.cmd_run:run", "Run the node in the foreground."),
    "key": ("node.cli.cmd_key:key", "Make, show, check and re-encrypt key files."),
    "config": ("node.cli.cmd_config:config", "Show and check the configuration."),
    "token": ("node.cli.cmd_token:token", "Create, list and revoke access tokens."),
    "demo": ("node.cli.cmd_demo:demo", "Show the whole product in a minute."),
    "dev": ("node.cli.cmd_dev:dev", "Networks of real nodes on this machine."),
    "record": ("node.cli.family:record", "Anchor, verify, amend, retract, hand over, erase."),
    "person": ("node.cli.cmd_person:person", "Keys of patients and devices, signing."),
    **{
        name: (f"node.cli.family:{name}", say)
        for name, say in (
            ("identity", "Keys, practitioners, patients, devices."),
            ("consent", "Patients' consent, and what it permits."),
            ("access", "Requests, releases, break-glass, audit."),
            ("telemetry", "What devices measured, and alerts."),
            ("referral", "Referrals, from opening to report."),
            ("claim", "Coverage, claims, payments, contracts."),
            ("research", "Studies, datasets and their uses."),
            ("reward", "Closed-loop points for taking part."),
            ("supply", "Custody of medicines and devices."),
            ("governance", "Proposals, votes, documents, incidents."),
            ("membership", "The own seat in the members' network."),
            ("network", "Members, voters, engine, quorum, features."),
        )
    },
    "tx": ("node.cli.cmd_tx:tx", "Submit transactions and follow them."),
    "receipt": ("node.cli.cmd_receipt:receipt", "Fetch receipts, verify them offline."),
    "proof": ("node.cli.cmd_proof:proof", "Verify proven answers offline."),
    "block": ("node.cli.cmd_block:block", "Show the ledger's blocks, also as they come."),
    "member": ("node.cli.cmd_member:member", "Institutions: join, leave, change keys."),
    "proposal": ("node.cli.cmd_proposal:proposal", "What members decide: propose, vote."),
    "status": ("node.cli.cmd_status:status", "Show how a node is doing."),
    "drain": ("node.cli.cmd_drain:drain", "Let a node finish and take no new work."),
    "undrain": ("node.cli.cmd_drain:undrain", "Let a drained node serve again."),
    "cert": ("node.cli.cmd_cert:cert", "Certificates of the client port."),
    "db": ("node.cli.cmd_db:db", "A stopped node's directory: its layout, and back."),
    "upgrade": ("node.cli.cmd_upgrade:upgrade", "May this node be upgraded now?"),
    "snapshot": ("node.cli.cmd_snapshot:snapshot", "Snapshots: make, verify, carry, install."),
    "backup": ("node.cli.cmd_backup:backup", "Make, verify, list and prune backups."),
    "restore": ("node.cli.cmd_restore:restore", "A data directory from a backup, or a drill."),
    "archive": ("node.cli.cmd_archive:archive", "Old blocks as static files, and back."),
    "prune": ("node.cli.cmd_prune:prune", "Drop bodies of old blocks that a copy holds."),
    "doctor": ("node.cli.cmd_doctor:doctor", "Look a node over, whether it runs or not."),
    "debug": ("node.cli.cmd_debug:debug", "Make a support bundle, look into the process."),
    "inspect": ("node.cli.cmd_inspect:inspect", "Serve a stopped node's ledger, read-only."),
    "why": ("node.cli.cmd_why:why", "Say what is wrong with a node, and what to do."),
    "check": ("node.cli.cmd_check:check", "Read a stopped node's ledger again, compare."),
    "version": ("node.cli.cmd_version:version", "Show the version of this software."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used."""

    def __init__(
        self,
        *arguments: Any,
        table: Mapping[str, tuple[str, str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._table = {} if table is None else table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._table.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry[0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), f"{entry[0]} is no command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.5)
            advice = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{name}'.{advice}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, text) for name, (_, text) in self._table.items()]
        names = super().list_commands(ctx)
        limit = formatter.width - 6 - max((len(name) for name in names), default=0)
        for name in names:
            command = super().get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(limit)))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class Group(LazyGroup):
    """A group of subcommands that share a prefix; mistyped names get a suggestion too."""


class Root(LazyGroup):
    """The whole command line: every exception of every command ends in its boundary."""

    def invoke(self, ctx: click.Context) -> Any:
        session = ctx.obj = Session()
        with Boundary(session):
            return super().invoke(ctx)


def _color_of(choice: str, no_color: str | None) -> bool | None:
    if choice == "auto":
        return False if no_color else None
    return choice == "always"


def _accelerate(choice: str) -> None:
    """Put the chosen backend in force; without a choice nothing is imported for it here."""
    if choice != "auto":
        from node.ledger import accel

        accel.choose(choice)


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    name="chartseal",
    cls=Root,
    table=COMMANDS,
    context_settings={
        "auto_envvar_prefix": "CHARTSEAL",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.option(
    "--endpoint",
    metavar="URL",
    default="http://127.0.0.1:7651",
    show_default=True,
    help="The node to ask.",
)
@click.option("--token-file", type=_FILE, help="Access token, in a file of mode 0600.")
@click.option("--ca-file", type=_FILE, help="Authority that signed the node's certificate.")
@click.option("--cert-file", type=_FILE, help="Client certificate (PEM).")
@click.option("--key-file", type=_FILE, help="Its private key (PEM).")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the data on stdout.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Patience with the node.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours; NO_COLOR is respected.",
)
@click.option(
    "--accel",
    type=click.Choice(["auto", "native", "pure"]),
    default="auto",
    show_default=True,
    help="Who verifies and hashes: the native accelerator or Python.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only data and errors.")
@click.option("-v", "--verbose", count=True, help="Tell more; -vv shows tracebacks.")
@click.pass_context
def cli(ctx: click.Context, /, accel: str, **options: Any) -> None:
    """Chartseal: a ledger node for health-care institutions.

    Data goes to stdout, talk to stderr.  Every option can be set by a variable, for instance
    CHARTSEAL_ENDPOINT or CHARTSEAL_OUTPUT.
    """
    for name, value in options.items():
        setattr(ctx.obj, name, value)
    _accelerate(accel)
    ctx.color = _color_of(ctx.obj.color, os.environ.get("NO_COLOR"))


def main() -> None:
    """Entry point of the installed command."""
    if not __debug__:
        raise SystemExit("refusing to run under -O: assertions guard what this node signs")
    cli()
