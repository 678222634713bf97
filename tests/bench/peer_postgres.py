"""PostgreSQL with a synchronous standby: what a hospital without a ledger would have.

An audit table whose rows are chained by SHA-256 in the database, one primary and one standby
that must have the row on its disk before the commit is answered.  No signatures; whoever has
the database can write another chain.  ``postgres-chain`` adds one row a transaction,
``postgres-chain-100`` a hundred, ``postgres-insert`` one row without a chain.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from node.cli.cluster import free_ports
from tests.bench import machine, peers

RECORDS: Final = 100
ABOUT: Final = {"signatures": "none", "durable": "primary and one standby, fsync on"}
SCHEMA: Final = """
create table plain (id bigserial primary key, body bytea not null);
create table audit (id bigint primary key, hash bytea not null, body bytea not null);
create table head (one int primary key, id bigint not null, hash bytea not null);
insert into head values (1, 0, '\\x00');
create function append(bodies bytea[]) returns bigint language plpgsql as $$
declare last head%rowtype; item bytea;
begin
  select * into last from head where one = 1 for update;
  foreach item in array bodies loop
    last.id := last.id + 1;
    last.hash := sha256(last.hash || item);
    insert into audit values (last.id, last.hash, item);
  end loop;
  update head set id = last.id, hash = last.hash where one = 1;
  return last.id;
end $$;
"""
SETTINGS: Final = (
    "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "fsync = on",
    "synchronous_commit = on", "full_page_writes = on", "shared_buffers = 256MB",
    "max_wal_size = 4GB", "max_connections = 100", "wal_level = replica",
    "max_wal_senders = 5", "hot_standby = on",
)  # fmt: skip


def binaries() -> Path | None:
    """Return the directory of the newest installed server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return None if path is None else Path(path).resolve().parent


def missing() -> str | None:
    if binaries() is None:
        return f"no PostgreSQL: {peers.INSTALL}"
    return peers.without("asyncpg")


class Servers:
    """A primary and its synchronous standby in ``place``.  The server refuses to run as root;
    root therefore lets the package's own account run it."""

    def __init__(self, place: Path) -> None:
        found = binaries()
        assert found is not None, "asked before"
        self._bin = found
        self._place = place
        self.port, self._standby_port = free_ports(2)
        self._as: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(place, account.pw_uid, account.pw_gid)
            place.chmod(0o700)
            who = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            self._as = ["setpriv", *who]

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self._as, str(self._bin / program), *arguments]

    def tool(self, program: str, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run(
            self.command(program, *arguments), input=text, capture_output=True, text=True,
            check=False, cwd=self._place, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr[-400:]}"
        return done.stdout

    def sql(self, text: str) -> str:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres"]
        return self.tool("psql", *where, "-v", "ON_ERROR_STOP=1", "-Atq", text=text)

    def primary(self) -> list[str]:
        """Make the primary; return its command line."""
        data = self._place / "primary"
        self.tool("initdb", "-D", str(data), "-U", "bench", "--auth=trust", "-N")
        with (data / "postgresql.conf").open("a") as file:
            file.write("\n".join([*SETTINGS, f"port = {self.port}", ""]))
        return self.command("postgres", "-D", str(data))

    def standby(self) -> list[str]:
        """Copy the running primary; return the standby's command line."""
        data = self._place / "standby"
        self.tool(
            "pg_basebackup", "-D", str(data), "-h", "127.0.0.1", "-p", str(self.port),
            "-U", "bench", "-R", "--checkpoint=fast",
        )  # fmt: skip
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"port = {self._standby_port}\n")
        return self.command("postgres", "-D", str(data))

    def answers(self) -> bool:
        try:
            return self.sql("select 1;").strip() == "1"
        except AssertionError:
            return False


def measure(directory: Path, *, quick: bool) -> dict[str, Any]:
    """Return the three rows."""
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as name:
        place = Path(name)
        about = ABOUT | {"fdatasync_us": machine.fdatasync_us(place)}
        servers, log = Servers(place), place / "log"
        with peers.running([servers.primary()], log) as first:
            peers.until(servers.answers, "the primary answers")
            servers.sql(SCHEMA)
            with peers.running([servers.standby()], log) as second:
                servers.sql("alter system set synchronous_standby_names = '*';")
                servers.sql("select pg_reload_conf();")
                state = "select sync_state from pg_stat_replication;"
                peers.until(lambda: "sync" in servers.sql(state).split(), "in step")
                return _rows(servers, [*first, *second], about, quick=quick)


def _rows(servers: Servers, processes: Any, about: dict[str, Any], *, quick: bool) -> Any:
    one = {"port": servers.port, "sql": "select append(array[$1::bytea])"}
    many = {"port": servers.port, "sql": "select append($1::bytea[])", "records": RECORDS}
    plain = {"port": servers.port, "sql": "insert into plain(body) values ($1) returning id"}
    levels = (1,) if quick else (1, 4, 16, 64)
    found = {}
    for name, options, at in (
        ("postgres-chain", one, levels),
        ("postgres-chain-100", many, (1,) if quick else (1, 4)),
        ("postgres-insert", plain, (16,) if quick else levels),
    ):
        per = RECORDS if name.endswith("100") else 1
        found[name] = about | peers.best(
            "postgres", options, processes, levels=at, quick=quick, per_request=per
        )
    return found
