"""tools/check_layers: what it refuses, and that ARCHITECTURE.md shows its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = "1 base:\n2 net: base\n2 sketch: base\n3 engine: base net\n4 bind: base engine\n"


def faults(tool: Any, folder: Path, name: str, text: str) -> list[str]:
    source = folder / "src" / name
    source.parent.mkdir(parents=True)
    source.write_text(text)
    found: list[str] = tool.check_file(tool.read_table(TABLE), source, (folder / "src").resolve())
    return found


@pytest.mark.parametrize(
    ("name", "include"),
    [
        ("engine/x.c", '"base/buf.h"'),
        ("engine/x.c", '"engine/x_impl.h"'),
        ("engine/x.h", '"net/http.h"'),
        ("engine/x.c", "<stdio.h>"),
        ("bind/x.c", "<Python.h>"),
    ],
)
def test_allowed(tool: Any, tmp_path: Path, name: str, include: str) -> None:
    assert faults(tool, tmp_path, name, f"#include {include}\n") == []


@pytest.mark.parametrize(
    ("name", "include", "reason"),
    [
        ("base/x.c", '"net/http.h"', "may not include net/"),
        ("net/x.c", '"sketch/hll.h"', "may not include sketch/"),
        ("engine/x.c", '"sketch/hll.h"', "may not include sketch/"),
        ("engine/x.c", '"net/http_impl.h"', "private to net/"),
        ("engine/x.c", '"x.h"', "not relative to src/"),
        ("engine/x.c", '"../base/buf.h"', "not a room"),
        ("engine/x.c", "<Python.h>", "pyrt/ and bind/ only"),
        ("kitchen/x.c", "<stdio.h>", "not in a room"),
    ],
)
def test_refused(tool: Any, tmp_path: Path, name: str, include: str, reason: str) -> None:
    [fault] = faults(tool, tmp_path, name, f"/* x */\n  #  include {include}\n")
    assert reason in fault
    assert fault.startswith(f"src/{name}:")


@pytest.mark.parametrize(
    ("table", "reason"),
    [("1 base: net\n", "not in the table"), ("1 base:\n2 net: base sketch\n2 sketch: base\n", "not on a floor below")],
)
def test_refused_table(tool: Any, table: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tool.read_table(table)


def test_architecture_shows_the_table(tool: Any) -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    start = lines.index("| floor | room | may include |") + 2
    shown = lines[start : lines.index("", start)]
    assert shown == tool.markdown_rows(tool.read_table(tool.TABLE.read_text()))


def test_architecture_describes_every_room(tool: Any) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    described = text[text.index("| room | what lives there |") : text.index("## Beside `src/`")]
    for room in tool.read_table(tool.TABLE.read_text()):
        assert f"`{room}/`" in described


def test_the_sources_keep_to_the_table(tool: Any) -> None:
    tool.main([])
