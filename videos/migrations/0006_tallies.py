from django.db import migrations, models

# One function for all events: each branch is planned when it is first run. What an UPDATE leaves as it was cancels out, so
# that a heartbeat appends nothing, and a million rows that change alike append two.
COUNT_CHANGES = """
CREATE FUNCTION videos_count_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO videos_videotally (person_id, channel_id, session_id, status, error_kind, videos, bytes)
        SELECT person_id, channel_id, session_id, status, error_kind, sum(number), sum(size) FROM (
            SELECT person_id, channel_id, session_id, status, error_kind, 1 AS number,
                   CASE WHEN storage_key > '' THEN coalesce(file_size, 0) ELSE 0 END AS size FROM rows_after
            UNION ALL
            SELECT person_id, channel_id, session_id, status, error_kind, -1,
                   CASE WHEN storage_key > '' THEN -coalesce(file_size, 0) ELSE 0 END FROM rows_before
        ) change
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(number) <> 0 OR sum(size) <> 0;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO videos_videotally (person_id, channel_id, session_id, status, error_kind, videos, bytes)
        SELECT person_id, channel_id, session_id, status, error_kind, count(*),
               sum(CASE WHEN storage_key > '' THEN coalesce(file_size, 0) ELSE 0 END)
        FROM rows_after GROUP BY 1, 2, 3, 4, 5;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO videos_videotally (person_id, channel_id, session_id, status, error_kind, videos, bytes)
        SELECT person_id, channel_id, session_id, status, error_kind, -count(*),
               -sum(CASE WHEN storage_key > '' THEN coalesce(file_size, 0) ELSE 0 END)
        FROM rows_before GROUP BY 1, 2, 3, 4, 5;
    ELSE
        DELETE FROM videos_videotally;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER videos_count_inserted AFTER INSERT ON videos_video
    REFERENCING NEW TABLE AS rows_after FOR EACH STATEMENT EXECUTE FUNCTION videos_count_changes();
CREATE TRIGGER videos_count_updated AFTER UPDATE ON videos_video
    REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after FOR EACH STATEMENT EXECUTE FUNCTION videos_count_changes();
CREATE TRIGGER videos_count_deleted AFTER DELETE ON videos_video
    REFERENCING OLD TABLE AS rows_before FOR EACH STATEMENT EXECUTE FUNCTION videos_count_changes();
CREATE TRIGGER videos_count_truncated AFTER TRUNCATE ON videos_video
    FOR EACH STATEMENT EXECUTE FUNCTION videos_count_changes();
"""
FORGET_CHANGES = """
DROP TRIGGER videos_count_inserted ON videos_video;
DROP TRIGGER videos_count_updated ON videos_video;
DROP TRIGGER videos_count_deleted ON videos_video;
DROP TRIGGER videos_count_truncated ON videos_video;
DROP FUNCTION videos_count_changes();
"""
# After the triggers, whose making waits for writers and keeps others out until this transaction ends: nothing is missed
COUNT_ALL = """
INSERT INTO videos_videotally (person_id, channel_id, session_id, status, error_kind, videos, bytes)
SELECT person_id, channel_id, session_id, status, error_kind, count(*),
       sum(CASE WHEN storage_key > '' THEN coalesce(file_size, 0) ELSE 0 END)
FROM videos_video GROUP BY 1, 2, 3, 4, 5
"""


class Migration(migrations.Migration):
    dependencies = [
        ("videos", "0005_checksums"),
    ]

    operations = [
        migrations.CreateModel(
            name="VideoTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("person_id", models.BigIntegerField(null=True)),
                ("channel_id", models.BigIntegerField(null=True)),
                ("session_id", models.BigIntegerField(null=True)),
                (
                    "status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("pending", "Pending"),
                            ("downloading", "Downloading"),
                            ("stored", "Stored"),
                            ("failed", "Failed"),
                            ("unavailable", "Unavailable"),
                            ("skipped", "Skipped"),
                        ],
                        max_length=12,
                    ),
                ),
                ("error_kind", models.CharField(blank=True, max_length=30)),
                ("videos", models.BigIntegerField()),
                ("bytes", models.BigIntegerField(help_text="Of their files in the storage.")),
                ("is_folded", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["person_id"], name="tally_person"),
                    models.Index(fields=["channel_id"], name="tally_channel"),
                    models.Index(condition=models.Q(("session_id__isnull", False)), fields=["session_id"], name="tally_session"),
                    models.Index(condition=models.Q(("is_folded", False)), fields=["id"], name="tally_fresh"),
                    models.Index(condition=models.Q(("channel_id__isnull", True)), fields=["person_id"], name="tally_total"),
                ],
            },
        ),
        migrations.RunSQL(COUNT_CHANGES, FORGET_CHANGES),
        migrations.RunSQL(COUNT_ALL, migrations.RunSQL.noop),
    ]
