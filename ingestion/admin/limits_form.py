"""The limits in staff's words."""

from typing import ClassVar

from django import forms


class LimitsForm(forms.ModelForm):
    class Meta:
        labels: ClassVar = {
            "max_concurrent_channels": "Channels at the same time",
            "max_concurrent_videos_per_channel": "Videos of one channel at the same time",
            "scan_batch_size": "Videos that a scan writes down at once",
            "max_attempts": "Attempts at a video",
            "backoff_base_seconds": "Wait before the second attempt, in seconds",
            "backoff_cap_seconds": "Longest wait between attempts, in seconds",
            "breaker_seconds": "Pause after a refusal, in seconds",
            "megabytes_per_second": "Megabytes per second",
            "max_videos_per_day": "Videos in a day",
            "max_gigabytes_per_day": "Gigabytes in a day",
            "rescan_every_hours": "Hours between two looks at a channel",
        }
        help_texts: ClassVar = {
            "max_concurrent_channels": "All computers together. More is not always faster: YouTube refuses who asks too much.",
            "max_concurrent_videos_per_channel": "Unless the channel says otherwise on its own page.",
            "scan_batch_size": "Their downloads may begin as soon as they are written down; 500 suits nearly everybody.",
            "max_attempts": "Before it counts as failed. A session may have its own number.",
            "backoff_base_seconds": "It doubles before each further attempt.",
            "backoff_cap_seconds": "No wait between two attempts at a video is longer.",
            "requests_per_second": "To YouTube, of all computers together. Blank: the grey number, as this installation is set up.",
            "requests_per_hour": "To YouTube, of all computers together, in any sixty minutes. Blank: what the grey number says.",
            "breaker_seconds": "How long nobody asks YouTube after it refused; twice as long each time in a row. Blank: the grey number.",
            "megabytes_per_second": "Most that one computer downloads, all its videos together. Blank: as much as the line gives.",
            "max_videos_per_day": "Nothing new is begun once so many are stored or under way. Blank: as many as there are.",
            "max_gigabytes_per_day": "Nothing new is begun once so much is stored or under way. Blank: no end.",
            "rescan_every_hours": "How often channels are looked at for new videos; each may have its own. Blank: only when asked.",
            "time_zone": "Of the download windows and of the day, such as Europe/Berlin. Blank: the grey one.",
        }
