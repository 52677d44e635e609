from django.apps import AppConfig


class IngestionConfig(AppConfig):
    name = "ingestion"

    def ready(self):
        from ingestion import checks  # noqa: F401 - registers the system checks
