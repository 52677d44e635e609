import os
import subprocess
import sys

import pytest

from massdl_site.apps import NO_PAGES_VARIABLE

WHAT_IS_THERE = """
import sys
import django; django.setup()
from django.contrib import admin
print(len(admin.site._registry), "people.admin" in sys.modules)
"""


@pytest.mark.parametrize("without_pages", [True, False])
def test_processes_without_pages_load_none_of_the_admin(without_pages):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "massdl_site.settings"}
    environment.pop(NO_PAGES_VARIABLE, None)
    said = subprocess.run(
        [sys.executable, "-c", WHAT_IS_THERE],
        env=environment | ({NO_PAGES_VARIABLE: "1"} if without_pages else {}),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert (int(said[0]) == 0, said[1]) == (without_pages, str(not without_pages))
