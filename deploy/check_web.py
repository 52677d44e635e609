"""Health check of the site's container: exit 0 when /healthz answers 200.

It asks by a host name that the site answers to, as a TLS proxy would; else a site with MASSDL_ALLOWED_HOSTS or
MASSDL_HTTPS set would refuse or redirect it.
"""

import http.client
import os
import sys

PORT = 8000
PATH = "/healthz"
TIMEOUT_SECONDS = 8


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", PATH, headers={"Host": host(os.environ.get("MASSDL_ALLOWED_HOSTS", "")), "X-Forwarded-Proto": "https"})
        answer = connection.getresponse()
        said = answer.read(200).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as exc:
        sys.stderr.write(f"{PATH} on port {PORT}: {exc!r}\n")
        return 1
    sys.stderr.write(f"{PATH} on port {PORT}: {answer.status} {said}\n")
    return 0 if answer.status == http.client.OK else 1


def host(allowed_hosts: str) -> str:
    """A name that the site answers to: the first of MASSDL_ALLOWED_HOSTS, or localhost when any name or none is set."""
    first = allowed_hosts.split(",")[0].strip()
    return "localhost" if first in ("", "*") else first.lstrip(".")


if __name__ == "__main__":
    sys.exit(main())
