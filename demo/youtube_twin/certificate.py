"""A throw-away certificate authority and one certificate for YouTube's hosts, made once per state folder."""

import os
import shutil
import ssl
import tempfile
from pathlib import Path

HOST_NAMES = ("www.youtube.com", "*.youtube.com", "*.googlevideo.com", "*.ytimg.com", "*.ggpht.com", "youtubei.googleapis.com")


def make_certificate(folder: Path) -> Path:
    """The folder with ca.pem and server.pem (key and chain); made unless it is there. Safe when several start at once."""
    target = folder / "certificate"
    if target.exists():
        return target
    import trustme  # slow to import, and needed once

    temporary = Path(tempfile.mkdtemp(prefix=".certificate-", dir=folder))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(temporary / "ca.pem")
    authority.issue_cert(*HOST_NAMES).private_key_and_cert_chain_pem.write_to_path(temporary / "server.pem")
    try:
        os.rename(temporary, target)
    except OSError:  # another process was first
        shutil.rmtree(temporary)
    return target


def make_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "server.pem")
    context.set_alpn_protocols(["http/1.1"])
    return context
