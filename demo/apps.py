from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The world to try massdl in: a local stand-in for YouTube, an S3 server, example sheets. Development only."""

    name = "demo"
