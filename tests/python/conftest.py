"""Loads the scripts of tools/, which have no .py ending, as modules."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"


@pytest.fixture
def tool(request: pytest.FixtureRequest) -> Any:
    """The module of the tool that the test file is named after: test_embed.py gets tools/embed."""
    name = Path(request.node.path).stem.removeprefix("test_")
    loader = SourceFileLoader(f"tools_{name}", str(TOOLS / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look their module up
    was, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = was
    return module
