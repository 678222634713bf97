"""What commands show: data on stdout, talk on stderr, one form for every error.

Owns: borderless tables (two spaces between columns, stable order, for people and awk), JSON
with every key present and no envelope, and the boundary that turns exceptions into

    error: <title>: <code>
      <detail>
      next: <what to do>

Refuses: tracebacks, unless -vv asks for one, or a daemon meets a fault without a code.
Invariant: a script sees the exit code of the registry, whatever was raised.
"""

import errno
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click

from node.errors import ChartsealError, Exit, from_exception, problem

TRACEBACK_VERBOSITY: Final = 2


@dataclass(slots=True)
class Session:
    """The global options of one run of the command line."""

    endpoint: str = "http://127.0.0.1:7651"
    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    output: str = "table"
    timeout_s: float = 10.0
    color: str = "auto"
    quiet: bool = False
    verbose: int = 0
    daemon: bool = False  # stderr is a log: unforeseen faults belong there in full

    @property
    def json(self) -> bool:
        return self.output == "json"

    def show(self, row: Mapping[str, Any]) -> None:
        """Print one object: JSON, or a line of name and value per key."""
        if self.json:
            _print_json(row)
            return
        width = max((len(name) for name in row), default=0)
        for name, value in row.items():
            click.echo(f"{name.ljust(width)}  {_cell(value)}".rstrip())

    def show_list(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Print objects that all have ``columns``: a JSON list, or a table with a header."""
        assert all(tuple(row) == tuple(columns) for row in rows), "every key, in order"
        if self.json:
            _print_json(list(rows))
            return
        cells = [[name.upper() for name in columns]]
        cells += [[_cell(row[name]) for name in columns] for row in rows]
        widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
        for line in cells:
            padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            click.echo("  ".join(padded).rstrip())

    def talk(self, text: str) -> None:
        """Tell a person what happens; scripts never depend on it."""
        if not self.quiet:
            click.echo(text, err=True)

    def show_error(self, error: ChartsealError) -> None:
        """Print ``error`` on stderr, as a problem document under ``-o json``."""
        if self.json:
            document = problem(error.code, error.detail) | {"hint": error.hint}
            click.echo(json.dumps(document, indent=2), err=True)
            return
        prefix = click.style("error:", fg="red", bold=True)
        click.echo(f"{prefix} {error.entry.title}: {error.code}", err=True)
        for line in error.detail.splitlines():
            click.echo(f"  {printable(line)}", err=True)
        click.echo(f"  next: {printable(error.hint)}", err=True)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(_cell(item) for item in value) or "-"
    return printable(str(value))


def printable(text: str) -> str:
    """Return ``text`` without control characters: answers must not steer a terminal."""
    return "".join(item if item.isprintable() else "?" for item in text)


class Boundary:
    """The one place where exceptions of a command end; leaves with the registered code."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, click.ClickException | click.exceptions.Exit):
            return
        if isinstance(error, click.Abort | KeyboardInterrupt):
            self._session.talk("aborted")
            raise click.exceptions.Exit(Exit.NEEDS_YES) from None
        if not isinstance(error, Exception):
            return  # SystemExit and the like are decisions, not faults
        if isinstance(error, BrokenPipeError):
            # The reader of our output left; keep Python from complaining at shutdown.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(Exit.UNEXPECTED) from None
        shown = _of_system(error) if isinstance(error, OSError) else from_exception(error)
        unforeseen = not isinstance(getattr(error, "code", None), str)
        if self._session.verbose >= TRACEBACK_VERBOSITY or (
            self._session.daemon and unforeseen
        ):
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        self._session.show_error(shown)
        raise click.exceptions.Exit(shown.exit_code) from None


def _of_system(error: OSError) -> ChartsealError:
    if isinstance(getattr(error, "code", None), str):
        return from_exception(error)
    if error.errno == errno.EADDRINUSE:
        return ChartsealError("port-in-use", error.strerror or "")
    where = f"{error.filename}: " if error.filename else ""
    return ChartsealError("file-unreadable", f"{where}{error.strerror or type(error).__name__}")
