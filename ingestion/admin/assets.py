"""Assets: on the page of their video."""

from unfold.decorators import display

from ingestion.admin.kinds import ADVICE, ErrorWords
from ingestion.admin.player import download_link
from ingestion.admin.scans import ReadOnlyInline
from videos.cells import NOTHING, label, raw_line, size
from videos.models import Asset

WORDS = {
    Asset.Status.PENDING: ("Waiting", ""),
    Asset.Status.STORED: ("Stored", "success"),
    Asset.Status.FAILED: ("Failed", "danger"),
    Asset.Status.ABSENT: ("YouTube has none", ""),
    Asset.Status.LISTED: ("All there are, one by one", ""),
}


def state_of(asset: Asset) -> tuple[str, str]:
    """In words, and the colour of its label. What somebody cancelled did not fail."""
    if asset.claim_id:
        return "In work", "info"
    if asset.status == Asset.Status.FAILED and asset.error_kind == "cancelled":
        return "Cancelled", ""
    if asset.status == Asset.Status.PENDING and asset.error_kind:
        return "Waiting for another try", "warning"
    return WORDS[asset.status]


class AssetInline(ErrorWords, ReadOnlyInline):
    model = Asset
    per_page = 20
    show_change_link = False
    fields = ("what", "tongue", "outcome", "file", "download", "problem", "what_to_do", "raw_message")
    readonly_fields = fields
    verbose_name_plural = "Beside the video: information, pictures, subtitles"

    def has_view_permission(self, request, obj=None):
        """Of a video that has some: a table without rows tells nothing. Its page has read which there are."""
        return super().has_view_permission(request, obj) and (obj is None or bool(obj.assets_known))

    @display(description="what it is")
    def what(self, asset):
        return f"{asset.get_kind_display()} ({asset.ext})" if asset.ext else asset.get_kind_display()

    @display(description="language")
    def tongue(self, asset):
        return f"{asset.language}, automatic" if asset.is_automatic else asset.language or NOTHING

    @display(description="state")
    def outcome(self, asset):
        words, colour = state_of(asset)
        return label(words, colour)

    @display(description="size")
    def file(self, asset):
        return size(asset.file_size)

    @display(description="file")
    def download(self, asset):
        return download_link(asset)

    @display(description="error")
    def problem(self, asset):
        return NOTHING if asset.error_kind == "cancelled" else super().problem(asset)

    @display(description="what to do")
    def what_to_do(self, asset):
        return ADVICE.get(asset.error_kind, NOTHING)

    @display(description="what was said")
    def raw_message(self, asset):
        return NOTHING if asset.error_kind == "cancelled" else raw_line(asset.error_message)
