"""`python -m demo.youtube_twin --port 8899 --state var/twin`: runs until it is stopped; one line of JSON says it is ready."""

import argparse
import json
import os
import signal
import threading
from pathlib import Path

from demo.youtube_twin.server import Twin


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.youtube_twin", description="A local stand-in for YouTube.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, default=Path("var/twin"), help="folder for the certificate and the media")
    parser.add_argument("--scale", type=float, default=1.0, help="how heavy videos are: 4 makes them some megabytes each")
    parser.add_argument("--pad", type=int, default=0, help="bytes of filler per listed video (real pages carry about 9000)")
    parser.add_argument("--player-js", type=Path, help="a recorded base.js, for videos whose addresses need solving")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Twin(arguments.state, arguments.port, scale=arguments.scale, player_js=arguments.player_js, pad=arguments.pad) as twin:
        print(json.dumps({"proxy": twin.proxy_url, "pid": os.getpid(), "ca": str(twin.ca_file)}), flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
