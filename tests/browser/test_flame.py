"""Flame graphs in a real browser, opened from disk as people open them: zoom, search, keys, hostile names."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from webdriver import Browser

BEFORE = """\
main (app.py:1);load (app.py:5);parse (lib.py:9) 500
main (app.py:1);load (app.py:5) 100
main (app.py:1);gone (app.py:7) 200
main (app.py:1);show (app.py:8) 200
"""
AFTER = """\
main (app.py:1);load (app.py:5);parse (lib.py:9) 300
main (app.py:1);load (app.py:5);parse (lib.py:9);parse (lib.py:9) 300
main (app.py:1);load (app.py:5) 100
main (app.py:1);show (app.py:8) 299
main (app.py:1);show (app.py:8);HOSTILE 1
""".replace("HOSTILE", '</script><script>window.isBroken=1</script> ("><img src=x onerror=window.isBroken=1>.py:2)')


@pytest.fixture(scope="module")
def pictures(sidewinder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with change.svg and change.html."""
    folder = tmp_path_factory.mktemp("flame")
    (folder / "before.txt").write_text(BEFORE)
    (folder / "after.txt").write_text(AFTER)
    for name in ("change.svg", "change.html"):
        words: list[str | Path] = [sidewinder, "diff", folder / "before.txt", folder / "after.txt", "-o", folder / name]
        subprocess.run(words, check=True, timeout=60)
    return folder


def open_picture(browser: Browser, path: Path) -> None:
    browser.goto(path.as_uri())
    browser.wait("document.getElementById('flame')?.dataset.isReady === 'yes'")


def state(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = browser.run("return document.getElementById('flame').sidewinder.state()")
    return found


def names(browser: Browser, css: str = "g.frame") -> list[str]:
    script = """
        const frames = [...document.querySelectorAll(arguments[0])];
        return frames.map((one) => one.querySelector('text')?.textContent ?? '');
    """
    found: list[str] = browser.run(script, f"#plot {css}")
    return found


def click_frame(browser: Browser, name: str) -> None:
    script = """
        const group = [...document.querySelectorAll('#plot g.frame')]
          .find((one) => one.querySelector('text')?.textContent === arguments[0]);
        group.querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true }));
    """
    browser.run(script, name)


def width_of(browser: Browser, name: str) -> float:
    script = """
        const group = [...document.querySelectorAll('#plot g.frame')]
          .find((one) => one.querySelector('text')?.textContent === arguments[0]);
        return group.querySelector('rect').getBoundingClientRect().width;
    """
    return float(browser.run(script, name))


@pytest.fixture(params=["change.svg", "change.html"])
def picture(request: pytest.FixtureRequest, browser: Browser, pictures: Path) -> Browser:
    open_picture(browser, pictures / request.param)
    return browser


def test_draws_every_wide_frame_over_the_whole_window(picture: Browser) -> None:
    assert names(picture)[:4] == ["all", "main", "load", "parse"]
    wide = width_of(picture, "all")
    assert wide > 1300
    assert width_of(picture, "load") == pytest.approx(0.7 * wide, abs=3)
    picture.resize(800, 700)
    picture.wait("document.querySelector('#plot g.frame rect').getBoundingClientRect().width < 800")
    assert width_of(picture, "load") == pytest.approx(0.7 * width_of(picture, "all"), abs=3)


def test_a_click_zooms_and_escape_comes_back(picture: Browser) -> None:
    whole = state(picture)["drawn"]
    click_frame(picture, "load")
    assert width_of(picture, "load") == pytest.approx(width_of(picture, "all"), abs=1)
    assert "show" not in names(picture)
    assert names(picture, "g.above") == ["main", "all"]
    picture.press("Escape")
    assert state(picture)["zoomed"] == 0
    assert state(picture)["drawn"] == whole


def test_search_marks_frames_and_counts_nested_ones_once(picture: Browser) -> None:
    picture.press("/")
    picture.press(*"^PARSE")
    assert state(picture)["matched"] == "0.00 % matched", "capitals are meant"
    picture.press("Escape")
    picture.press("/")
    picture.press(*"^parse")
    assert state(picture)["matched"] == "60.00 % matched"
    assert names(picture, "g.found") == ["parse", "parse"]
    picture.press("Escape")
    assert state(picture)["matched"] == ""
    assert names(picture, "g.found") == []
    picture.press("/")
    picture.press("(")
    assert state(picture)["matched"] == "not a regular expression"


def test_keys_walk_the_frames(picture: Browser) -> None:
    chosen = "return document.querySelector('g.chosen text')?.textContent"
    steps = {"Down": ("all", "main", "load"), "Right": ("show",), "Left": ("load",)}
    for key, name in ((f"Arrow{key}", name) for key, row in steps.items() for name in row):
        picture.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))", key)
        assert picture.run(chosen) == name
    picture.press("Enter")
    assert "show" not in names(picture)
    picture.press("i")
    assert state(picture)["isFlame"] is True
    top = "return document.querySelector('#plot g.frame rect').getBoundingClientRect().top"
    assert picture.run(top) > 100


def test_widths_of_before_show_what_is_gone(picture: Browser) -> None:
    assert "gone" not in names(picture)
    picture.press("b")
    assert "gone" in names(picture)
    assert width_of(picture, "gone") == pytest.approx(0.2 * width_of(picture, "all"), abs=3)


def test_the_tip_tells_both_shares(picture: Browser) -> None:
    script = """
        const group = [...document.querySelectorAll('#plot g.frame')]
          .find((one) => one.querySelector('text')?.textContent === 'show');
        const { left, top } = group.getBoundingClientRect();
        group.querySelector('rect').dispatchEvent(
          new MouseEvent('mousemove', { bubbles: true, clientX: left + 5, clientY: top + 5 }));
        return document.querySelector('.tip').textContent;
    """
    text = picture.run(script)
    for part in ("show", "app.py", "30.00 %", "20.00 %", "+10.00 points"):
        assert part in text


def test_hostile_names_are_text(picture: Browser) -> None:
    assert picture.run("return window.isBroken === undefined && document.querySelectorAll('img').length === 0")
    picture.press("/")
    picture.press(*"isBroken")
    assert state(picture)["matched"] == "0.10 % matched"
    assert picture.run("return window.isBroken === undefined")


def test_the_page_sorts_narrows_and_points(browser: Browser, pictures: Path) -> None:
    open_picture(browser, pictures / "change.html")
    column = """
        const rows = [...document.querySelectorAll('#functions-table tbody tr')].filter((one) => !one.hidden);
        return rows.map((one) => one.cells[6].textContent);
    """
    assert browser.run(column)[0] == "gone"
    browser.click("#functions-table thead th:nth-child(7) button")
    rows = browser.run(column)
    assert rows == sorted(rows, key=str.lower)
    browser.click("#functions input")
    browser.press(*"parse")
    assert browser.run(column) == ["parse"]
    browser.click("#functions-table tbody tr:not([hidden]) td.name")
    assert state(browser)["matched"] == "60.00 % matched"


def test_reaches_nothing_else(picture: Browser) -> None:
    assert picture.run("return performance.getEntriesByType('resource').length") == 0
