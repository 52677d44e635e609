"""How other processes turn, break and look at a running twin."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

SECONDS = 30


class TwinControl:
    """Speaks to the twin on that port of this machine; no proxy of the environment is used."""

    def __init__(self, port: int):
        self.port = port
        self._opener = build_opener(ProxyHandler({}))

    def log(self) -> list[dict[str, Any]]:
        """The requests seen so far, oldest first."""
        return self._call("GET", "log")

    def clear_log(self) -> None:
        """Forget them, and start the counters again."""
        self._call("DELETE", "log")

    def counters(self) -> dict[str, int]:
        """How many requests of each kind, answers of each status, and bytes."""
        return self._call("GET", "counters")

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Put these rules in the place of the old ones; see `Fault`. ValueError when one is none."""
        self._call("POST", "faults", rules)

    def configure(self, **settings: Any) -> dict[str, Any]:
        """Change some settings; see `Settings`. Answers all of them. ValueError for what is none."""
        return self._call("POST", "settings", settings)

    def reset(self) -> None:
        """An empty log, no faults, the settings it started with."""
        self._call("POST", "reset")

    def _call(self, method: str, name: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        request = Request(f"http://127.0.0.1:{self.port}/__twin__/{name}", data=data, method=method)
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                return json.load(response)
        except HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from error
