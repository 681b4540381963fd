"""The package itself: its version is the C library's, its types are marked as there."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import sidewinder
from sidewinder import _library

ROOT = Path(__file__).resolve().parent.parent.parent


def test_version_is_that_of_the_build() -> None:
    match = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())
    assert match is not None
    assert sidewinder.__version__ == match.group(1)


def test_cpu_level_is_known() -> None:
    assert _library.cpu_level() in {"scalar", "neon", "sse42", "avx2", "avx512"}


def test_package_is_typed() -> None:
    assert files(sidewinder).joinpath("py.typed").is_file()
