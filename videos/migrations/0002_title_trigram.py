from django.db import migrations

# pg_trgm comes with every packaged PostgreSQL, but not with the embedded one: there a title search reads the table.
CREATE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX video_title_trigram ON videos_video USING gin (upper(title) gin_trgm_ops);
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("videos", "0001_initial")]

    operations = [
        migrations.RunSQL(CREATE, "DROP INDEX IF EXISTS video_title_trigram"),
        # heartbeats update in place (HOT) while a page has room
        migrations.RunSQL("ALTER TABLE videos_video SET (fillfactor = 85)", "ALTER TABLE videos_video RESET (fillfactor)"),
    ]
