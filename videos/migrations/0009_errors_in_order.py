from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the index of a large table is built

    dependencies = [
        ("videos", "0008_held_index"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(
                models.F("error_kind"),
                models.OrderBy(models.F("upload_date"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("error_kind__gt", "")),
                name="video_error_newest",
            ),
        ),
        RemoveIndexConcurrently(model_name="video", name="video_error_kind"),
    ]
