"""tools/neon: the unit tests of the kernels pass on aarch64, and the tool says what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NEON = ROOT / "tools" / "neon"
# Those with NEON code of their own, and a short test; `make neon` runs all.
WITH_NEON = {"elementwise", "expression", "fractal", "reduce"}


def run_neon(*arguments: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(
        ["/bin/bash", NEON, *arguments], env=env, capture_output=True, text=True, timeout=1200, check=False
    )


@pytest.fixture
def compiler() -> None:
    for names in (["aarch64-linux-gnu-gcc"], ["qemu-aarch64", "qemu-aarch64-static"]):
        if not any(map(shutil.which, names)):
            pytest.skip(f"no {names[0]}: `make neon` says what to install")


@pytest.mark.usefixtures("compiler")
def test_the_kernels_pass_on_aarch64(tmp_path: Path) -> None:
    listed = set(re.findall(r"'(\w+)'", (ROOT / "src/kernels/meson.build").read_text()))
    names = sorted(WITH_NEON & listed)
    assert "fractal" in names
    done = run_neon(tmp_path, *names)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        assert f"{name} on aarch64:" in done.stdout
    assert done.stdout.count(" 0 failed") == len(names)


@pytest.mark.usefixtures("compiler")
def test_a_failing_test_fails(tmp_path: Path) -> None:
    """With the fixed sum of the Julia set made wrong in a copy of the tree."""
    for part in ("src/base", "src/kernels", "src/pool", "tests/aarch64"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tests/unit").mkdir()
    sources = ", ".join(f"'{path.name}'" for path in (ROOT / "src/kernels").glob("fractal*.c"))
    (tmp_path / "src/kernels/meson.build").write_text(f"sources += files({sources})\n")
    text = (ROOT / "tests/unit/test_fractal.c").read_text()
    assert "33219980" in text
    (tmp_path / "tests/unit/test_fractal.c").write_text(text.replace("33219980", "33219981"))
    tool = Path(shutil.copy(NEON, tmp_path / "tools/neon"))
    done = subprocess.run(
        [tool, tmp_path / "out", "fractal"], capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 1
    assert "33219980 (0x1fae58c) is not 33219981" in done.stderr
    assert "1 failed" in done.stdout


def test_missing_tools_are_named(tmp_path: Path) -> None:
    dirname = shutil.which("dirname")
    assert dirname
    (tmp_path / "dirname").symlink_to(dirname)
    done = run_neon(tmp_path / "out", path=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" in done.stderr
    assert not (tmp_path / "out").exists()
