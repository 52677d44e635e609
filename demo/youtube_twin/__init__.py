"""A local stand-in for YouTube, faithful enough for yt-dlp's unmodified extractors.

    with Twin(folder) as twin:
        YoutubeDL({**twin.ytdlp_options(), ...}).extract_info("https://www.youtube.com/@demo")

One port speaks three things: CONNECT for YouTube's hosts (answered here, with a throw-away certificate), a refusal for
any other host, so that nothing leaves the machine by mistake, and plain HTTP under /__twin__/ for tests in other
processes (`TwinControl`).

A request goes down this list of modules, each of which can be read alone:

    server     the port, its threads, and the `Twin` that tests hold
    proxy      one connection: TLS (certificate), ranges, faults, pacing; makes messages
    site       which answer belongs to which address
    listings   channel tabs and playlists          player     whether a video may be watched, and its addresses
    webpages   the HTML around both                formats    what a video is offered in
    captions   its words, written and recognised
    media      real files of that size and length  encoding   ffmpeg makes them
    catalogue  channels, playlists, videos         specials   what can be wrong with a video
    showcase   channels that look like somebody's  numbered   channels of any size
    settings, faults, journal, control             what a test turns, breaks and looks at
"""

from demo.youtube_twin.control import TwinControl
from demo.youtube_twin.server import Twin

__all__ = ["Twin", "TwinControl"]
