from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the indexes of large tables are built

    dependencies = [
        ("people", "0003_sheetupload"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="channel",
            index=models.Index(fields=["title", "id"], name="channel_title"),
        ),
    ]
