from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the indexes of large tables are built

    dependencies = [
        ("videos", "0010_newest_of_channels"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(
                models.F("session"),
                models.F("error_kind"),
                models.OrderBy(models.F("upload_date"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("error_kind__gt", "")),
                name="video_session_error",
            ),
        ),
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(
                models.F("channel"),
                models.OrderBy(models.F("file_size"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("status", "stored")),
                name="video_channel_largest",
            ),
        ),
        AddIndexConcurrently(
            model_name="videotally",
            index=models.Index(
                condition=models.Q(("session_id__isnull", False)),
                fields=["session_id"],
                include=("channel_id", "status", "error_kind", "videos", "bytes"),
                name="tally_of_session",
            ),
        ),
        RemoveIndexConcurrently(model_name="videotally", name="tally_session"),
    ]
