from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0006_roles"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="budget",
            options={"verbose_name": "allowance", "verbose_name_plural": "requests to YouTube"},
        ),
    ]
