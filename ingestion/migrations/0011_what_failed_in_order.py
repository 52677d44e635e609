from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # workers go on while the indexes of large tables are built

    dependencies = [
        ("ingestion", "0010_lists_in_order"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(
                models.F("session"),
                models.F("outcome"),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("outcome__in", ["", "stored"]), _negated=True),
                name="attempt_session_outcome",
            ),
        ),
        AddIndexConcurrently(
            model_name="scan",
            index=models.Index(
                models.F("error_kind"),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("error_kind__gt", "")),
                name="scan_error_newest",
            ),
        ),
        AddIndexConcurrently(
            model_name="scan",
            index=models.Index(fields=["session", "state"], name="scan_session_state"),
        ),
    ]
