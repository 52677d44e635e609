"""Where the formats of a transfer are to be had: addresses run out after hours, and fresh ones are asked for then."""

import threading
from collections.abc import Callable, Sequence

from ingestion.errors import TransientError
from ingestion.extraction import Extraction, MediaFormat

Renew = Callable[[], Extraction]
"""One more look at the same video for the same choice of formats; raises what a look raises. Called by any thread."""

MOST_RENEWALS = 6
"""Of one transfer: an address lasts six hours, and a film of ten may come slowly."""


class Addresses:
    """The formats of one transfer with their addresses, shared by all threads that read."""

    def __init__(self, formats: Sequence[MediaFormat], renew: Renew | None = None):
        self._formats = {media.format_id: media for media in formats}
        self._renew = renew
        self._renewals = 0
        self._good: set[str] = {media.url for media in formats}  # those that gave a byte, and the first ones
        self._lock = threading.Lock()

    def of(self, format_id: str) -> MediaFormat:
        with self._lock:
            return self._formats[format_id]

    def note_good(self, media: MediaFormat) -> None:
        """Bytes came from this address."""
        if media.url not in self._good:
            with self._lock:
                self._good.add(media.url)

    def fresh(self, refused: MediaFormat) -> MediaFormat | None:
        """The same format under another address than the `refused` one; None when there is no way to get one, and when the
        refused one is fresh itself.

        The first thread to come looks at the video once more, for all. Raises what the look raises, and TransientError
        (`forbidden`) when the video is not offered in this format and size any more.
        """
        with self._lock:
            known = self._formats[refused.format_id]
            if known.url != refused.url:
                return known
            if self._renew is None or self._renewals == MOST_RENEWALS or refused.url not in self._good:
                return None
            self._renewals += 1
            offered = {(media.format_id, media.size): media for media in self._renew().formats}
            for name, media in self._formats.items():
                if (name, media.size) not in offered:
                    raise TransientError("forbidden", f"format {name}: its address was refused, and it is not offered any more")
                self._formats[name] = offered[name, media.size]
            return self._formats[refused.format_id]
