"""The HTML around the JSON: configuration, initial data, initial player answer."""

import json
from functools import cache
from typing import Any

from demo.youtube_twin.listings import VISITOR

VERSION = "2.20260708.00.00"
PLAYER = "/s/player/c9168c90/player_ias.vflset/en_US/base.js"
CLIENT_NUMBERS = {"WEB": 1, "TVHTML5": 7, "WEB_EMBEDDED_PLAYER": 56}
NOT_FOUND = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"
TOO_MANY = b"<!DOCTYPE html><html><title>Sorry...</title>Our systems have detected unusual traffic from your computer network.</html>"
IFRAME_API = r"var scriptUrl = 'https:\/\/www.youtube.com\/s\/player\/c9168c90\/www-widgetapi.vflset\/www-widgetapi.js';"


def page(data: dict[str, Any], player: dict[str, Any] | None = None, *, client: str = "WEB") -> bytes:
    parts = [_head(client)]
    if player:
        parts.append(f"<script>var ytInitialPlayerResponse = {_script_json(player)};</script>")
    parts.append(f"<script>var ytInitialData = {_script_json(data)};</script></body></html>")
    return "".join(parts).encode()


@cache
def _head(client: str) -> str:
    who = {"clientName": client, "clientVersion": VERSION, "hl": "en", "gl": "US", "visitorData": VISITOR}
    configuration = {
        "INNERTUBE_CLIENT_NAME": client,
        "INNERTUBE_CLIENT_VERSION": VERSION,
        "INNERTUBE_CONTEXT_CLIENT_NAME": CLIENT_NUMBERS[client],
        "INNERTUBE_CONTEXT": {"client": who},
        "VISITOR_DATA": VISITOR,
        "STS": 20472,
        "PLAYER_JS_URL": PLAYER,
    }
    script = f"<script>ytcfg.set({_script_json(configuration)});</script>"
    return f"<!DOCTYPE html><html><head><title>twin</title>{script}</head><body>"


def _script_json(value: Any) -> str:
    return json.dumps(value).replace("</", "<\\/")
