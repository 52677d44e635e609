"""Run the benches named on the command line, or all; each prints its table and leaves bench/results/NAME.json."""

import pkgutil
import sys
from importlib import import_module
from itertools import takewhile
from pathlib import Path

from bench._results import keep

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("_") and not module.ispkg]


def run(name: str) -> None:
    print(f"== {name}")
    bench = import_module(f"bench.{name}")
    keep(name, bench.main())
    if hasattr(bench, "publish"):
        bench.publish()


def main(arguments: list[str]) -> None:
    """Names of benches; what follows one name and begins with a dash is a quick look at that one."""
    wanted = list(takewhile(lambda word: not word.startswith("-"), arguments))
    if unknown := set(wanted) - set(names()):
        sys.exit(f"no such bench: {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
    if options := arguments[len(wanted) :]:
        bench = import_module(f"bench.{wanted[0]}") if len(wanted) == 1 else None
        if not hasattr(bench, "look"):
            sys.exit("options are for a quick look at one bench: python -m bench streaming --help")
        bench.look(options)
        return
    for name in wanted or names():
        run(name)


if __name__ == "__main__":
    main(sys.argv[1:])
