"""tools/gen_pow10: the table in the sources is what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TABLE = Path(__file__).resolve().parent.parent.parent / "src" / "base" / "num_pow10.c"


def test_table_is_up_to_date(tool: Any) -> None:
    tool.main(["--check", str(TABLE)])


def test_difference_is_found(tool: Any, tmp_path: Path) -> None:
    changed = tmp_path / "num_pow10.c"
    changed.write_text(TABLE.read_text().replace("0xeef453d6923bd65a", "0xeef453d6923bd65b"))
    with pytest.raises(SystemExit, match="is not what"):
        tool.main(["--check", str(changed)])


@pytest.mark.parametrize(("exponent", "wanted"), [(0, 1 << 127), (1, 10 << 124), (-1, (1 << 131) // 10)])
def test_mantissa(tool: Any, exponent: int, wanted: int) -> None:
    assert tool.mantissa(exponent) == wanted
