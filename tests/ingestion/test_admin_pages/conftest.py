import pytest

from ingestion.models import Limits


@pytest.fixture(autouse=True)
def limits():
    return Limits.row()
