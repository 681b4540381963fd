"""tools/layouts: the tables in the sources are what it prints from the headers that are here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = ROOT / "src" / "probe" / "layouts"
INCLUDES = sorted(Path("/usr/include").glob("python3.*/internal/pycore_runtime.h"))
FIXED_UP_TO = 12
"""Until then a minor version's structures never changed; later releases carry their own offsets."""


def printed(include: Path) -> str:
    words = [sys.executable, str(ROOT / "tools" / "layouts"), str(include)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def values(table: str) -> dict[str, str]:
    """Every number with the names that lead to it, without the version."""
    flat = re.sub(r"\s+", " ", table[table.index("= {") :])
    found = {}
    path: list[str] = []
    for name, opening, value, closing in re.findall(r"\.(\w+) = (\{)?([\w]+)?|(\})", flat):
        if closing:
            path = path[:-1]
        elif opening:
            path.append(name)
        else:
            found[".".join([*path, name])] = value
    found.pop("version")
    return found


@pytest.mark.skipif(not INCLUDES, reason="no headers of CPython are installed in /usr/include")
@pytest.mark.parametrize("header", INCLUDES, ids=lambda path: str(path.parent.parent.name))
def test_table_is_what_the_headers_say(header: Path) -> None:
    minor = int(header.parent.parent.name.removeprefix("python3."))
    if minor > FIXED_UP_TO:
        pytest.skip("the table is of one release, these headers may be of another")
    if not (shutil.which("gcc") and shutil.which("clang-format")):
        pytest.skip("needs gcc and clang-format")
    made = values(printed(header.parent.parent))
    known = values((TABLES / f"cpython_3_{minor}.c").read_text())
    assert len(made) > 100
    assert made == known


def test_values_reads_tables() -> None:
    text = "const struct sw_layout x = {.version = 0x1, .a = {.b = 1, .c = {.d = SW_ABSENT}}, .e = true};"
    assert values(text) == {"a.b": "1", "a.c.d": "SW_ABSENT", "e": "true"}


def test_every_table_has_a_release() -> None:
    names = {path.stem.removeprefix("cpython_3_") for path in TABLES.glob("*.c")}
    listed = re.findall(r"^    X\((\d+), (t?),? ?\w+\)", (TABLES.parent / "layout_impl.h").read_text(), re.MULTILINE)
    assert names == {minor + letter for minor, letter in listed}
