"""tools/embed: the C it writes compiles to the bytes it was given."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
READER = """
#include <stdio.h>
#include "cli/dashboard_page.h"
int main(int argc, char **argv) {
    (void)argv;
    struct sw_str text = argc > 1 ? sw_dashboard_page_gzip : sw_dashboard_page;
    return fwrite(text.ptr, 1, text.len, stdout) == text.len ? 0 : 1;
}
"""
PAGE = ["--gzip", "cli/dashboard_page.h", "sw_dashboard_page"]


def test_round_trip(tool: Any, tmp_path: Path) -> None:
    page = bytes(range(256)) * 5 + 'ü\\"??/\n'.encode()
    (tmp_path / "page.html").write_bytes(page)
    tool.main([*PAGE, str(tmp_path / "page.html"), str(tmp_path / "page.c")])
    (tmp_path / "reader.c").write_text(READER)
    reader = tmp_path / "reader"
    subprocess.run(["gcc", "-I", ROOT / "src", "-o", reader, tmp_path / "reader.c", tmp_path / "page.c"], check=True)
    assert subprocess.run([reader], capture_output=True, check=True).stdout == page
    assert gzip.decompress(subprocess.run([reader, "gzip"], capture_output=True, check=True).stdout) == page


def test_same_input_same_output(tool: Any) -> None:
    assert tool.embed(b"<html>", "page", True) == tool.embed(b"<html>", "page", True)


def test_without_gzip_there_is_one_text(tool: Any) -> None:
    assert "gzip" not in tool.embed(b"<html>", "page", False)


def test_empty_file_is_refused(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"")
    with pytest.raises(SystemExit, match="it is empty"):
        tool.main([*PAGE, str(tmp_path / "page.html"), str(tmp_path / "page.c")])
