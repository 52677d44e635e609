"""Assets: on the page of their video."""

from unfold.decorators import display

from ingestion.admin.kinds import ErrorWords
from ingestion.admin.scans import ReadOnlyInline
from videos.admin import NOTHING, label, moment, one_line, size
from videos.models import Asset

COLOURS = {"stored": "success", "failed": "danger"}


class AssetInline(ErrorWords, ReadOnlyInline):
    model = Asset
    per_page = 20
    show_change_link = False
    fields = ("what", "tongue", "outcome", "file", "stored", "problem", "what_to_do", "raw_message")
    readonly_fields = fields

    @display(description="asset")
    def what(self, asset):
        return one_line(f"{asset.get_kind_display()} ({asset.ext})" if asset.ext else asset.get_kind_display())

    @display(description="language")
    def tongue(self, asset):
        return one_line(f"{asset.language}, automatic" if asset.is_automatic else asset.language or NOTHING)

    @display(description="status")
    def outcome(self, asset):
        return label("In work" if asset.claim_id else asset.get_status_display(), COLOURS.get(asset.status, ""))

    @display(description="size")
    def file(self, asset):
        return size(asset.file_size)

    @display(description="stored")
    def stored(self, asset):
        return moment(asset.stored_at)
