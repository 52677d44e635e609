import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the indexes of large tables are built

    dependencies = [
        ("ingestion", "0010_lists_in_order"),
        ("people", "0004_channels_by_title"),
        ("videos", "0009_errors_in_order"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(
                models.F("channel"),
                models.OrderBy(models.F("upload_date"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                name="video_channel_newest",
            ),
        ),
        AddIndexConcurrently(
            model_name="videotally",
            index=models.Index(
                models.OrderBy(models.F("bytes"), descending=True),
                condition=models.Q(("channel_id", None), ("person_id__isnull", False)),
                name="tally_largest",
            ),
        ),
        migrations.AlterField(  # the index of its own, of which that of the newest is the better one
            model_name="video",
            name="channel",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="videos", to="people.channel"
            ),
        ),
    ]
