"""YouTube through yt-dlp: the only package that imports yt_dlp.

source      the face of it: list a channel, look at a video, read its bytes
client      yt-dlp's YoutubeDL with our budget, our options and one place where refusals are seen
listing     channels and playlists as an endless-safe stream of entries
formats     which of the offered formats are taken; pure
offers      what YouTube names without giving it
files       pictures, captions and the info of a video
media       ranged reads, and yt-dlp's own downloader for what cannot be read in ranges
curl        libcurl as one more of yt-dlp's request handlers, for ranges; curl_handle: one request by it
refusals    yt-dlp's exceptions and YouTube's wording -> our kinds
setup       options from the settings, versions for the checks
"""

from ingestion.options import QUALITIES
from ingestion.youtube.listing import Entry, Listing
from ingestion.youtube.setup import settings_options, versions
from ingestion.youtube.source import DEFAULT_CHOICE, YouTube

__all__ = ["DEFAULT_CHOICE", "QUALITIES", "Entry", "Listing", "YouTube", "settings_options", "versions"]
