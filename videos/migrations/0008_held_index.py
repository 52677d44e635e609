from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the index of a large table is built

    dependencies = [
        ("videos", "0007_size_index"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(
                condition=models.Q(("status", "pending"), models.Q(("wanted", "run"), _negated=True)),
                fields=["session", "channel"],
                name="video_held",
            ),
        ),
    ]
