"""Loaded by pytest before anything of Django: tests depend on nothing in the environment they are started from."""

import os
from pathlib import Path

for name in list(os.environ):
    if name.startswith(("MASSDL_", "AWS_")) or name == "DATABASE_URL":
        del os.environ[name]

os.environ["MASSDL_VAR_DIR"] = str(Path(__file__).resolve().parent.parent / "var" / "test")
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
