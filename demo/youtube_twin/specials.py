"""What can be wrong with a video, in the words of YouTube's watch page."""

from dataclasses import dataclass, field
from typing import Any

COUNTRY = "The uploader has not made this video available in your country"
UNAVAILABLE = "Video unavailable"


@dataclass(frozen=True)
class Refusal:
    """Why a video cannot be watched. `hides_details`: title, length and owner are left out of the answer too."""

    status: str
    reason: str
    subreason: str = ""
    hides_details: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


REFUSALS = {
    "private": Refusal("LOGIN_REQUIRED", "Private video", "Sign in if you've been granted access to this video", hides_details=True),
    "members": Refusal("UNPLAYABLE", "Join this channel to get access to members-only content like this video, and other exclusive perks."),
    "removed": Refusal("ERROR", UNAVAILABLE, "This video has been removed by the uploader", hides_details=True),
    "terminated": Refusal(
        "ERROR",
        UNAVAILABLE,
        "This video is no longer available because the YouTube account associated with this video has been terminated.",
        hides_details=True,
    ),
    "copyright": Refusal(
        "ERROR", UNAVAILABLE, "This video is no longer available due to a copyright claim by Twin Corp", hides_details=True
    ),
    "geo": Refusal("UNPLAYABLE", UNAVAILABLE, COUNTRY),
    "geo_mobile": Refusal("UNPLAYABLE", COUNTRY),  # as the phone apps say it
    "age": Refusal(
        "LOGIN_REQUIRED",
        "Sign in to confirm your age",
        "This video may be inappropriate for some users.",
        extra={"desktopLegacyAgeGateReason": 1},
    ),
    "bot_check": Refusal(
        "LOGIN_REQUIRED",
        "Sign in to confirm you\u2019re not a bot",
        "This helps protect our community. Learn more",
        hides_details=True,
    ),
    "captcha": Refusal("UNPLAYABLE", UNAVAILABLE, extra={"errorScreen": {"playerCaptchaViewModel": {"title": "Check"}}}),
    "session_limited": Refusal("UNPLAYABLE", "This content isn't available, try again later."),
    "premium": Refusal("UNPLAYABLE", "This video is only available to Music Premium members"),
    "payment": Refusal("UNPLAYABLE", "This video requires payment to watch"),
    "premiere": Refusal("LIVE_STREAM_OFFLINE", "Premieres in 3 hours"),
    "live_soon": Refusal("LIVE_STREAM_OFFLINE", "This live event will begin in 3 hours."),
    "missing": Refusal("ERROR", UNAVAILABLE, hides_details=True),
}

# Watchable, but odd: a live broadcast, formats without addresses, addresses that need solving, the answer to another
# question, one format only, one small format with an address among many without, the same with a good manifest.
ODDITIES = (
    *("live_now", "was_live", "sabr_only", "n_challenge", "sig_cipher", "wrong_video", "uhd", "progressive", "hls_only"),
    *("degraded", "manifest"),
)

# The ids under which @demo shows one of each.
SPECIAL_IDS = {
    "PRIVATE____": "private",
    "MEMBERS____": "members",
    "REMOVED____": "removed",
    "TERMACCT___": "terminated",
    "COPYRIGHT__": "copyright",
    "GEOBLOCK___": "geo",
    "GEOMOBILE__": "geo_mobile",
    "AGEGATE____": "age",
    "BOTCHECK___": "bot_check",
    "CAPTCHA____": "captcha",
    "TRYLATER___": "session_limited",
    "PREMIUM____": "premium",
    "PAIDMOVIE__": "payment",
    "UPCOMING___": "premiere",
    "LIVESOON___": "live_soon",
    "UNKNOWNID__": "missing",
    "LIVENOW____": "live_now",
    "WASLIVE____": "was_live",
    "SABRONLY___": "sabr_only",
    "NCHALLENGE_": "n_challenge",
    "SIGCIPHER__": "sig_cipher",
    "WRONGVIDEO_": "wrong_video",
    "UHD2160____": "uhd",
    "PROGRESS18_": "progressive",
    "HLSONLY____": "hls_only",
    "DEGRADED___": "degraded",
    "MANIFEST___": "manifest",
}

UPCOMING = ("premiere", "live_soon")
