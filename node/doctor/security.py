"""What strangers could reach: ports without access control, old tokens, weak settings."""

from typing import Final

from node import tokens
from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.errors import ChartsealError

TOKEN_DAYS: Final = 400
_DAY_MS: Final = 86_400_000


def ops(scene: Scene) -> Said:
    at = scene.settings.ops.listen
    if at.is_loopback:
        return ok(f"{at}")
    return failure(f"{at}: metrics, causes and stacks for everybody, without access control")


def api(scene: Scene) -> Said:
    at = scene.settings.api
    if at.tls_cert_file is None:
        return ok(f"{at.listen}, loopback only")
    if at.tokens_file is None and at.client_ca_file is None:
        return failure("neither tokens nor client certificates are set: nobody can be let in")
    return ok("TLS, with tokens or client certificates")


def token_file(scene: Scene) -> Said:
    path = scene.settings.api.tokens_file
    if path is None:
        return not_applicable("no api.tokens_file is set")
    try:
        rows = tokens.read_file(path)
    except ChartsealError as error:
        return failure(str(error))
    now_ms = scene.machine.now_ms()
    over = [row.id for row in rows.values() if row.expires_ms <= now_ms]
    if over:
        return warning(f"{len(over)} of {len(rows)} tokens are over: {', '.join(over[:4])}")
    return ok(f"{len(rows)} tokens")


def token_scopes(scene: Scene) -> Said:
    path = scene.settings.api.tokens_file
    try:
        rows = {} if path is None else tokens.read_file(path)
    except ChartsealError:
        rows = {}
    if not rows:
        return not_applicable("no tokens")
    late = scene.machine.now_ms() + TOKEN_DAYS * _DAY_MS
    broad = [row.id for row in rows.values()
             if row.scopes >= set(tokens.SCOPES) and row.expires_ms > late]  # fmt: skip
    if broad:
        return warning(f"every scope, for more than {TOKEN_DAYS} days: {', '.join(broad[:4])}")
    return ok("each has what it needs, for a time")


def log_level(scene: Scene) -> Said:
    level = scene.settings.log.level
    return warning("debug: much talk, and slower") if level == "debug" else ok(level)


def transport(_scene: Scene) -> Said:
    return not_applicable("members speak TLS 1.3 alone; nothing can be set there")


CHECKS = (
    Check(
        "security.ops",
        "the ops port is this machine's alone",
        ops,
        "ops.listen = 127.0.0.1:7652; let a scraper come through a tunnel",
    ),
    Check(
        "security.api",
        "clients must prove who they are",
        api,
        "set api.tokens_file or api.client_ca_file",
    ),
    Check(
        "security.tokens",
        "no dead tokens lie about",
        token_file,
        "`chartseal token revoke`, then `chartseal token create`",
    ),
    Check(
        "security.scopes",
        "no token may do everything for ever",
        token_scopes,
        "make one for each client, with its scopes and an end",
    ),
    Check("security.log", "the log is not in debug", log_level, 'log.level = "info"'),
    Check("security.members", "members' TLS is 1.3", transport, "nothing"),
)
