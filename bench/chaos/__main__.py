"""`python -m bench.chaos --minutes 10`: exit code 0 when every promise held."""

import argparse
import atexit
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

from bench.chaos.conductor import Conductor, Size
from bench.chaos.promises import breaches
from bench.chaos.recovery import recoveries, standstills, too_long, too_slow
from bench.chaos.report import as_json, lines
from bench.chaos.stage import SUPERVISORS, WORKERS, open_stage

RESULTS = Path(__file__).resolve().parent.parent / "results" / "chaos.json"


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up like Ctrl-C
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="massdl-chaos-"))
    kept_all = threading.Event()
    atexit.register(_remove, folder, kept_all)  # before PostgreSQL's own, which is stopped first then
    _say(f"seed {seed}; everything lives in {folder}")
    size = Size(options.minutes * 60, options.every, options.channels, options.first, options.more, options.group, options.lease)
    try:
        with open_stage(folder, media=options.media, lease_seconds=options.lease, dice=random.Random(seed)) as stage:
            evidence = Conductor(stage, size, seed, _say).run()
    except KeyboardInterrupt:
        _say(f"interrupted; what there was stays in {folder}")
        return 130
    felt = recoveries(evidence, workers=SUPERVISORS * WORKERS)
    broken = {**breaches(evidence), "slow recoveries": [*too_slow(felt), *too_long(standstills(evidence))]}
    result = as_json(evidence, broken, felt, seed=seed, minutes=options.minutes, channels=options.channels, lease_seconds=options.lease)
    for line in lines(result):
        print(line)
    dated = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    options.results.write_text(json.dumps(dated, indent=2) + "\n")
    if any(broken.values()):
        print(f"promises were broken; the database, the objects and the logs stay in {folder}")
        return 1
    kept_all.set()
    return 0


def _remove(folder: Path, kept_all: threading.Event) -> None:
    """What is left of a run that broke a promise, or did not come to its end, is kept."""
    if kept_all.is_set():
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description="The workers among failing parts.")
    parser.add_argument("--minutes", type=float, default=10, help="of faults (default: 10); draining and checking come on top")
    parser.add_argument("--seed", type=int, help="of the plan of faults (default: another one each time)")
    parser.add_argument("--every", type=float, default=5, metavar="SECONDS", help="between two faults, more or less (default: 5)")
    parser.add_argument("--channels", type=int, default=100)
    parser.add_argument("--first", type=int, default=10, metavar="N", help="videos of each channel to begin with (default: 10)")
    parser.add_argument("--more", type=int, default=10, metavar="N", help="more videos of a channel in each wave (default: 10)")
    parser.add_argument("--group", type=int, default=10, metavar="N", help="channels of a wave (default: 10)")
    parser.add_argument("--lease", type=float, default=30, metavar="SECONDS", help="MASSDL_LEASE_SECONDS (default: 30, as in production)")
    parser.add_argument("--folder", type=Path, help="where everything lives (default: a temporary folder, removed when all went well)")
    parser.add_argument("--media", type=Path, help="where the local YouTube keeps its media between runs (default: in the folder)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="as JSON (default: bench/results/chaos.json)")
    return parser.parse_args()


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
