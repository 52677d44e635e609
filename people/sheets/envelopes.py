"""JSON: a list of channels, or an envelope {"channels": [...], "settings": {...}}."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from people.sheets.columns import column_of, repeated_column, unknown_column
from people.sheets.sheet import Entry, Problem, SheetError, clean_text, make_problem

ENVELOPE_KEYS = ("channels", "settings")
MAX_DEPTH = 20
LAYOUT = 'The file is a list of channels, or {"channels": [...], "settings": {...}}.'


def read_envelope(text: str, problems: list[Problem]) -> tuple[Iterator[Entry], dict[str, Any]]:
    """The entries and the raw settings; adds to `problems`. Raises `SheetError` when it is not JSON or not of this layout."""
    document = _parse(text)
    if isinstance(document, list):
        return _entries(document, problems), {}
    if not isinstance(document, dict):
        raise SheetError(f"This JSON is neither a list nor an object. {LAYOUT}")
    for key in document.keys() - set(ENVELOPE_KEYS):
        message = f"The key “{clean_text(key)[:60]}” is not known and was not read. {LAYOUT}"
        problems.append(make_problem(None, key, message, is_note=True))
    channels, settings = document.get("channels"), document.get("settings") or {}
    if not isinstance(channels, list):
        raise SheetError(f'The list "channels" is missing. {LAYOUT}')
    if not isinstance(settings, dict):
        raise SheetError(f'"settings" is not an object such as {{"limit": 10}}. {LAYOUT}')
    return _entries(channels, problems), _storable(settings)


def excerpt(value: Any) -> str:
    """The value as JSON, for staff to find it by; blank when it is nested so deeply that it can be read but not written."""
    try:
        return json.dumps(value)[:1000]
    except RecursionError:
        return ""


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as exc:
        raise SheetError(f"This is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except RecursionError as exc:
        raise SheetError(f"This JSON is nested too deeply. {LAYOUT}") from exc
    except SheetError:
        raise
    except ValueError as exc:  # a number of thousands of digits
        raise SheetError("This JSON holds a number that is too long to be read.") from exc


def _refuse_constant(constant: str) -> None:
    raise SheetError(f"This is not valid JSON: {constant} is no number.")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise SheetError(f"The key “{clean_text(repeated)[:60]}” stands twice in one object; only one can be meant.")
    return found


def _entries(channels: list[Any], problems: list[Problem]) -> Iterator[Entry]:
    reported: set[str] = set()
    for number, item in enumerate(channels, start=1):
        if isinstance(item, str):
            yield Entry(number, {"channel": item} if item.strip() else {})
        elif isinstance(item, dict):
            entry = _entry(number, item, problems, reported)
            if entry:
                yield entry
        else:
            message = 'This is neither an address nor an object such as {"name": "Ann", "channel": "@ann"}.'
            problems.append(make_problem(number, excerpt(item), message))


def _entry(number: int, item: dict[str, Any], problems: list[Problem], reported: set[str]) -> Entry | None:
    """The entry of an object; None when a value in it is of the wrong kind. A key not known is reported once for all."""
    values: dict[str, str] = {}
    for key, value in item.items():
        column = column_of(key)
        text = _text(value, is_list_allowed=column == "channel")
        if column is None or (text and column in values):
            if key not in reported:
                problems.append(repeated_column(key, column) if column else unknown_column(key))
            reported.add(key)
        elif text is None:
            problems.append(make_problem(number, excerpt(value), f"The value of “{clean_text(key)[:60]}” is not text."))
            return None
        elif text.strip():
            values[column] = text
    return Entry(number, values)


def _text(value: Any, *, is_list_allowed: bool) -> str | None:
    """The value as text, None when it cannot be."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if is_list_allowed and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return None


def _storable(value: Any, depth: int = 0) -> Any:
    """The settings with text that any database can keep."""
    if depth > MAX_DEPTH:
        raise SheetError('"settings" is nested too deeply.')
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_storable(part, depth + 1) for part in value]
    if isinstance(value, float) and not isfinite(value):
        raise SheetError('"settings" holds a number that is too large.')
    if isinstance(value, dict):
        return {clean_text(key): _storable(part, depth + 1) for key, part in value.items()}
    return value
