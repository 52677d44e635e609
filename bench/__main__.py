"""Run the benches named on the command line, or all; each prints its table and leaves bench/results/NAME.json."""

import json
import pkgutil
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"


def names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("_") and not module.ispkg]


def run(name: str) -> None:
    print(f"== {name}")
    measured = import_module(f"bench.{name}").main()
    RESULTS.mkdir(exist_ok=True)
    dated = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(dated, indent=2) + "\n")


def main(wanted: list[str]) -> None:
    if unknown := set(wanted) - set(names()):
        sys.exit(f"no such bench: {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
    for name in wanted or names():
        run(name)


if __name__ == "__main__":
    main(sys.argv[1:])
