import pytest
from django.contrib.auth.models import User

from tests.ingestion.media.stores import make_folder_store


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ann", is_staff=True)


@pytest.fixture
def pieces_of_two(monkeypatch):
    """More than two rows are too many for a moment."""
    monkeypatch.setattr("ingestion.operations.PIECE", 2)
    monkeypatch.setattr("ingestion.operations.verb.PIECE", 2)


@pytest.fixture
def store(tmp_path):
    return make_folder_store(tmp_path)
