from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0002_initial")]

    operations = [
        migrations.RunSQL("INSERT INTO ingestion_limits (id) VALUES (1)", "DELETE FROM ingestion_limits"),
        migrations.RunSQL("ALTER TABLE ingestion_liveprogress SET UNLOGGED", "ALTER TABLE ingestion_liveprogress SET LOGGED"),
    ]
