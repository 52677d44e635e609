"""Six channels that look like somebody's, for the demo and for screenshots. Nearly all their videos can be watched."""

import base64
import hashlib
from datetime import timedelta

from demo.youtube_twin.catalogue import NEWEST, TABS, Channel, Video
from demo.youtube_twin.specials import REFUSALS

# Few lengths, because each is a set of files to make.
LENGTHS = {"videos": (23, 31, 44, 60, 75), "shorts": (8, 12), "streams": (60, 75)}
DAYS_BETWEEN = {"videos": 9, "shorts": 13, "streams": 31}

# handle -> title, description, then the titles of each tab, newest first; "private: " and the like marks a special video
SHOWCASE: dict[str, tuple[str, str, dict[str, list[str]]]] = {
    "gardening-with-ann": (
        "Gardening with Ann",
        "A cottage garden in all weathers.",
        {
            "videos": [
                "Tomatoes that ripen before the frost",
                "The compost heap, one year on",
                "Pruning an old apple tree without fear",
                "Slugs: what worked and what did not",
                "private: My neighbour's roses",
                "Sowing broad beans in November",
                "A pond from an old bathtub",
                "Six herbs for a shady windowsill",
                "How I sharpen my tools",
                "Saving seeds from this year's squash",
                "Moving a rhubarb crown",
                "The first day of spring in the greenhouse",
                "Why I stopped digging",
                "Garden tour: July",
            ],
            "shorts": ["Bees on the lavender", "One-minute pot wash", "Guess this seedling", "Frost at dawn"],
            "streams": ["Live: your spring questions"],
        },
    ),
    "bread-and-butter": (
        "Bread & Butter",
        "Ann bakes. Recipes below each video.",
        {
            "videos": [
                "Sourdough for people with jobs",
                "Butter in a jam jar",
                "Rye bread that keeps for a week",
                "Why your loaf has a hole",
                "Cinnamon buns, the slow way",
                "A starter from nothing: day 1 to 7",
                "Flatbreads over a campfire",
                "Three ways with stale bread",
                "My grandmother's poppy seed roll",
                "Baking in a cold kitchen",
            ],
            "shorts": ["The windowpane test", "Scoring a loaf", "How it should sound"],
        },
    ),
    "old-engines": (
        "Old Engines",
        "Marek takes them apart and, mostly, puts them together again.",
        {
            "videos": [
                "A 1931 Lister starts after forty years",
                "Casting a new flywheel",
                "The mystery of the missing governor",
                "Cleaning a carburettor with patience",
                "Valve timing explained with cardboard",
                "Steam for beginners: the boiler test",
                "geo: At the 1967 tractor fair",
                "A two-stroke that ran backwards",
                "Turning a piston on a small lathe",
                "What the oil tells you",
                "Bearings from a scrapyard",
                "Ignition by candle: the hot bulb engine",
            ],
            "streams": ["First start, live from the shed", "Sorting bolts with you"],
        },
    ),
    "evening-physics": (
        "Evening Physics",
        "One question after dinner, answered with things from the kitchen.",
        {
            "videos": [
                "Why is the night sky dark?",
                "Weighing a cloud",
                "The pendulum that forgets",
                "members: The full derivation, slowly",
                "Rainbows you can make at home",
                "How a fridge moves heat uphill",
                "Measuring the speed of light with chocolate",
                "Spinning tops and why they stand",
                "A boat in a bucket: Archimedes again",
                "The shape of a falling drop",
                "Noise, and where it comes from",
                "Entropy in a pack of cards",
                "What the tide does at midnight",
            ],
            "shorts": ["Coin on a balloon", "The slowest ball wins", "A spoon that sings", "Magnet in a copper pipe"],
            "streams": ["premiere: Next week: the physics of bread", "Lunar eclipse, live"],
        },
    ),
    "harbour-radio": (
        "Harbour Radio",
        "Tom\u00e1s plays and records what passes through the harbour.",
        {
            "videos": [
                "Sea shanty no. 12: Leaving the quay",
                "An accordion in the fog",
                "Interview: the last lighthouse keeper",
                "Fado on a Tuesday",
                "How we record wind",
                "Rope, rigging and rhythm",
                "Sea shanty no. 11: The cook's complaint",
                "The bell buoy, a study",
                "Morning news, 1974, from a found tape",
                "Gulls: a field recording",
                "Tuning a piano next to a ferry",
            ],
            "streams": ["Night watch: three hours of harbour"],
        },
    ),
    "maps-and-mountains": (
        "Maps & Mountains",
        "Long walks with paper maps.",
        {
            "videos": [
                "Reading contours without a phone",
                "Crossing the plateau in two days",
                "A hut, a storm, a pack of cards",
                "How old maps lie",
                "What I carry, and what I left at home",
                "Finding north with a watch",
                "The valley that moved on the map",
                "Fording a river safely",
                "Drawing a map of your own street",
                "Five passes in five days: day one",
                "Five passes in five days: day five",
            ],
            "shorts": ["Cloud sea at sunrise", "One knot for everything"],
        },
    ),
}


def make_showcase() -> list[Channel]:
    return [_make_channel(handle, *about) for handle, about in SHOWCASE.items()]


def _make_channel(handle: str, title: str, description: str, titles: dict[str, list[str]]) -> Channel:
    tabs = {tab: [_make_video(handle, tab, index, line) for index, line in enumerate(titles[tab])] for tab in TABS if tab in titles}
    return Channel(handle, title, tabs, description)


def _make_video(handle: str, tab: str, index: int, line: str) -> Video:
    """Id, length and views follow from the place in the channel."""
    special, title = _read_line(line)
    digest = hashlib.sha1(f"{handle}/{tab}/{index}".encode()).digest()
    lengths = LENGTHS[tab]
    return Video(
        id=base64.urlsafe_b64encode(digest).decode()[:11],
        title=title,
        seconds=lengths[digest[-1] % len(lengths)],
        published=NEWEST - timedelta(days=DAYS_BETWEEN[tab] * index + digest[-2] % 5, hours=digest[-3] % 9),
        views=900 + int.from_bytes(digest[-4:-2]),
        description=f"{title}.\n\nThank you for watching!",
        special=special or ("was_live" if tab == "streams" else ""),
    )


def _read_line(line: str) -> tuple[str, str]:
    """The special mark of a title, or "", and the title."""
    mark, _, title = line.partition(": ")
    return (mark, title) if mark in REFUSALS else ("", line)
