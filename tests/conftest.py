"""What all Python-driven tests share: where the command is, and where the shared data sets are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def sidewinder() -> Path:
    """The command under test: $SIDEWINDER (such as a sanitizer build's), else build/sidewinder."""
    path = ROOT / os.environ.get("SIDEWINDER", "build/sidewinder")
    assert path.is_file(), f"{path} is missing: run make"
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets: $SIDEWINDER_DATA, else ../shared/data; tests that need it skip without it."""
    path = Path(os.environ.get("SIDEWINDER_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not path.is_dir():
        pytest.skip("the shared data sets are not here; set SIDEWINDER_DATA")
    return path
