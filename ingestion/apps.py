from django.apps import AppConfig


class IngestionConfig(AppConfig):
    name = "ingestion"
    verbose_name = "Work"

    def ready(self):
        from ingestion import checks  # noqa: F401 - registers the system checks
