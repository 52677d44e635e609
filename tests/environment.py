"""Loaded by pytest before anything of Django: tests depend on nothing in the environment they are started from."""

import os
from pathlib import Path

for name in list(os.environ):
    if name.startswith(("MASSDL_", "AWS_")) or name == "DATABASE_URL":
        del os.environ[name]

# two runs at once on one machine want a folder each: TEST_VAR_DIR=/tmp/mine make test
os.environ["MASSDL_VAR_DIR"] = os.environ.get("TEST_VAR_DIR") or str(Path(__file__).resolve().parent.parent / "var" / "test")
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
