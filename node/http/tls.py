"""TLS towards clients: the institution's own certificate, and whose certificates clients show.

Members' TLS is another thing (``node/net/tls.py``).  A client certificate is optional on the
wire, because tokens are another way in; one that does not verify ends the handshake.
"""

import ssl
from typing import Final

from node.config import Config
from node.errors import ChartsealError

_PROTOCOLS: Final = ["http/1.1"]


def ssl_context(config: Config) -> ssl.SSLContext | None:
    """Return the context of the client port; None: plain HTTP, which ``Config`` allows on
    loopback only.  Loading the chain again into the same context serves a renewed certificate
    from the next handshake on.  Raises ``ChartsealError`` (config-invalid).
    """
    api = config.api
    if api.tls_cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Interface engines in hospitals are old; 1.2 with forward secrecy is what they all have.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_PROTOCOLS)
    context.num_tickets = 0  # no resumption: every connection shows its certificate
    try:
        context.load_cert_chain(api.tls_cert_file, api.tls_key_file)
        if api.client_ca_file is not None:
            context.load_verify_locations(api.client_ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise ChartsealError("config-invalid", f"api TLS files: {error}") from error
    return context
