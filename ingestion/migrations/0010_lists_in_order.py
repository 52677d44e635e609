from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the indexes of large tables are built

    dependencies = [
        ("ingestion", "0009_roles_see_operations"),
        ("people", "0004_channels_by_title"),
        ("videos", "0009_errors_in_order"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(
                models.F("outcome"),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("outcome__in", ["", "stored"]), _negated=True),
                name="attempt_outcome_newest",
            ),
        ),
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(
                models.F("way"),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("way__in", ["convert", "tracks", "spool"])),
                name="attempt_way_newest",
            ),
        ),
        AddIndexConcurrently(
            model_name="scan",
            index=models.Index(models.F("state"), models.OrderBy(models.F("id"), descending=True), name="scan_state_newest"),
        ),
    ]
