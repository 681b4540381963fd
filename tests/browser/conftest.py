"""A browser for the session and a host job for the module; all skip where there is no Chromium or no dashboard."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import PATIENCE_S, Engine
from webdriver import Browser, find_programs


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    programs = find_programs()
    if programs is None:
        pytest.skip("Chromium and chromedriver are not on PATH (tools/bootstrap installs them)")
    zone = {"TZ": "America/New_York"}  # not that of the data
    browser = Browser(*programs, tmp_path_factory.mktemp("chromium"), zone)
    yield browser
    browser.close()


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """A window of desktop size. Whatever a test does, the console must stay silent."""
    window.resize(1440, 900)
    window.messages()
    yield window
    expected = ("ERR_CONNECTION_REFUSED", "WebSocket")  # of an engine that was stopped
    complaints = [text for text in window.messages() if not any(word in text for word in expected)]
    window.run("localStorage.clear(); sessionStorage.clear()")
    window.goto("about:blank")
    assert complaints == []


@pytest.fixture(scope="module")
def host(sidewinder: Path) -> Iterator[Engine]:
    """A job over this machine."""
    engine = Engine(sidewinder)
    with urllib.request.urlopen(engine.url, timeout=PATIENCE_S) as answer:
        has_dashboard = b"__sidewinder" in answer.read()
    if not has_dashboard:
        engine.stop()
        pytest.skip("this build has no dashboard (Node was not found)")
    yield engine
    assert engine.stop() == 0
