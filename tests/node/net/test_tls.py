"""The throw-away certificate: TLS 1.3 only, one binding on both sides, no key left on disk."""

import asyncio
import hashlib
import ssl
import tempfile
from pathlib import Path

import pytest

from node.net import tls


async def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[bytes, str]:
    """Return the certificate that the client saw and the TLS version of one connection."""
    listening = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=server
    )
    async with listening:
        address = listening.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(*address, ssl=client, server_hostname="")
        try:
            found = writer.get_extra_info("ssl_object")
            seen = tls.channel_binding(found, server_side=False, own_certificate=b"")
            await reader.read()
            return seen, found.version()
        finally:
            writer.close()
            await writer.wait_closed()


async def test_both_sides_name_the_servers_certificate() -> None:
    server, client = tls.make_identity(), tls.make_identity()
    seen, version = await connect(server.server_context, client.client_context)
    assert version == "TLSv1.3"
    assert seen == hashlib.sha256(server.certificate).digest()
    assert seen == tls.channel_binding(
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="unused"
        ),
        server_side=True,
        own_certificate=server.certificate,
    )


async def test_older_tls_is_refused() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect(tls.make_identity().server_context, old)


def test_every_identity_is_new_and_its_key_leaves_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tls.make_identity().certificate != tls.make_identity().certificate
    assert list(tmp_path.iterdir()) == []
