"""bench/results/: the numbers of the last full run of each bench."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def keep(name: str, measured: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    dated = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(dated, indent=2) + "\n")


def kept(name: str) -> dict[str, Any] | None:
    """None when it was never run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
