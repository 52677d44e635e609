from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the index of a large table is built

    dependencies = [
        ("videos", "0006_tallies"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="video",
            index=models.Index(condition=models.Q(("status", "stored")), fields=["file_size"], name="video_file_size"),
        ),
    ]
