"""What the clock has a say in: when downloads may begin, how much of a day may be spent, when channels are looked at again.

windows    hours in which downloads may begin, in local time; pure
holds      why no download may begin at this moment, and until when; what a day has stored
rescans    looking at channels again for what is new

Scans are free of windows and caps: a listing is cheap, and what it finds waits for its hour.
"""

from ingestion.schedule.holds import Hold, count_stored, held_until
from ingestion.schedule.rescans import forget_empty_rescans, rescan_due
from ingestion.schedule.windows import day_ends, next_opening

__all__ = ["Hold", "count_stored", "day_ends", "forget_empty_rescans", "held_until", "next_opening", "rescan_due"]
