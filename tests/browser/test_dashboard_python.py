"""The Python tab: the processes of this machine, and the page of one, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from engine import Engine
from webdriver import Browser

LIVE = "window.__sidewinder && window.__sidewinder.state().connected"
LISTED = "window.__sidewinder?.python().pids.includes(arguments[0])"
ANSWERED = "window.__sidewinder?.python().page.pid === arguments[0] && window.__sidewinder.python().page.answers > 1"
SAMPLED = "window.__sidewinder.python().page.flame.names.includes('leaf')"

ARROW_DOWN = "\ue015"  # as WebDriver has it

PROGRAM = """
import threading, time
def leaf(until):
    while time.perf_counter() < until:
        pass
def burn():
    while True:
        leaf(time.perf_counter() + 0.01)
threading.Thread(target=burn, daemon=True, name="burner").start()
print("up", flush=True)
burn()
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Python program with two threads that want the GIL."""
    path = tmp_path_factory.mktemp("target") / "shopfloor.py"
    path.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            Path(f"/proc/{process.pid}/mem").open("rb").close()
        except OSError:
            pytest.skip("other processes may not be read here (yama, container or capabilities)")
        yield process.pid
        process.kill()


def open_page(browser: Browser, engine: Engine, state: str) -> None:
    browser.goto("about:blank")
    browser.goto(f"{engine.url}/{state}")
    browser.wait(LIVE)


def open_process(browser: Browser, engine: Engine, pid: int, more: str = "") -> None:
    open_page(browser, engine, f"#process={pid}{more}")
    browser.wait(ANSWERED, pid)
    browser.wait(SAMPLED)


def page_of(browser: Browser) -> dict[str, Any]:
    page: dict[str, Any] = browser.run("return window.__sidewinder.python().page")
    return page


def fragment(browser: Browser) -> dict[str, list[str]]:
    return parse_qs(urlsplit(browser.url()).fragment)


def text_of(browser: Browser, test_id: str) -> str:
    return str(browser.run("return document.querySelector(`[data-testid='${arguments[0]}']`).textContent", test_id))


def test_lists_every_process_and_opens_one(browser: Browser, host: Engine, target: int) -> None:
    open_page(browser, host, "")
    browser.wait("!document.querySelector('[data-testid=tab-python]').hidden")
    browser.click("[data-testid=tab-python]")
    browser.wait(LISTED, target)
    browser.wait("document.querySelector(`a[data-pid='${arguments[0]}']`)", target)
    row = browser.run(
        "return [...document.querySelector(`a[data-pid='${arguments[0]}']`).closest('tr').cells].map(c => c.textContent)",
        target,
    )
    assert row[0] == "shopfloor.py"
    assert row[1] == str(target)
    assert row[2].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    browser.click(f"a[data-pid='{target}']")
    browser.wait(ANSWERED, target)
    assert fragment(browser) == {"process": [str(target)]}
    assert text_of(browser, "process-title") == f"shopfloor.py [{target}]"
    browser.click("[data-testid=process-back]")
    browser.wait("!document.querySelector('[data-testid=python-list]').hidden")
    assert fragment(browser) == {"tab": ["python"]}


def test_columns_sort_and_the_filter_reduces(browser: Browser, host: Engine, target: int) -> None:
    open_page(browser, host, "#tab=python")
    browser.wait(LISTED, target)
    browser.run("document.querySelectorAll('[data-testid=python-list] thead button')[1].click()")
    browser.wait("document.querySelectorAll('[data-testid=python-list] th')[1].ariaSort === 'descending'")
    pids = "[...document.querySelectorAll('[data-testid=python-list] tbody a')].map(a => Number(a.dataset.pid))"
    shown = browser.run(f"return {pids}")
    assert shown == sorted(shown, reverse=True)
    browser.press("/")
    browser.press(*"shopfloor")
    browser.wait(f"JSON.stringify({pids}) === JSON.stringify([arguments[0]])", target)


def test_shows_threads_lanes_and_a_flame_graph(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    browser.wait("window.__sidewinder.python().page.lanes >= 2")
    browser.wait("document.querySelectorAll('[data-testid=threads] .lane-row').length === 2")
    page = page_of(browser)
    assert page["flame"]["names"][0] == "all"
    assert page["flame"]["percent"]["all"] == pytest.approx(100)
    browser.wait("/^(leaf|burn)/.test(document.querySelector('[data-testid=functions]').textContent)")
    painted = """
        const canvas = document.querySelector(arguments[0]);
        if (!canvas || canvas.width === 0 || canvas.height === 0) return false;
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size > 2;
    """
    for canvas in ("[data-testid=flame]", "[data-testid=threads] canvas"):
        browser.wait(f"(function(selector) {{ {painted.replace('arguments[0]', 'selector')} }})(arguments[0])", canvas)
    label = browser.run("return document.querySelector('[data-testid=flame]').ariaLabel")
    assert label.startswith("Flame graph, ")
    assert "burn" in label


def test_is_updated_while_it_is_open(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    before = page_of(browser)["answers"]
    browser.wait("window.__sidewinder.python().page.answers > arguments[0] + 2", before)


def test_a_click_zooms_and_escape_goes_back_step_by_step(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    browser.run("""
        const canvas = document.querySelector("[data-testid=flame]");
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new MouseEvent("click", {
          bubbles: true, clientX: box.left + 4, clientY: box.top + 19 * 1.5,
        }));
    """)
    browser.wait("window.__sidewinder.python().page.flame.zoom.length === 1")
    browser.press("Escape")
    browser.wait("window.__sidewinder.python().page.flame.zoom.length === 0")
    assert page_of(browser)["pid"] == target
    browser.press("Escape")
    browser.wait("window.__sidewinder.python().page.pid === null")
    assert fragment(browser) == {"tab": ["python"]}


def test_the_keyboard_walks_and_zooms(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    browser.run("document.querySelector('[data-testid=flame]').focus()")
    browser.press(ARROW_DOWN, ARROW_DOWN)
    browser.wait("/: [0-9.]+/.test(document.querySelector('[data-testid=flame-status]').textContent)")
    browser.press("Enter")
    browser.wait("window.__sidewinder.python().page.flame.zoom.length === 2")


def test_the_search_says_how_much_it_found(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target, "&filter=leaf")
    browser.wait("/matched: [1-9]/.test(document.querySelector('[data-testid=flame-status]').textContent)")


def test_a_thread_alone(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    browser.wait("document.querySelectorAll('.lane-name').length === 2")
    browser.run("document.querySelectorAll('.lane-name')[0].click()")
    browser.wait("window.__sidewinder.python().page.tid === arguments[0]", target)
    browser.wait("!window.__sidewinder.python().page.flame.names.includes('Thread.run')")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [390, 1440])
def test_fits_its_width_in_both_themes(browser: Browser, host: Engine, target: int, width: int, theme: str) -> None:
    browser.resize(width, 900)
    for state in (f"#process={target}&theme={theme}", f"#tab=python&theme={theme}"):
        open_page(browser, host, state)
        browser.wait(LISTED, target)
        if "process" in state:
            browser.wait(ANSWERED, target)
        assert browser.run("return document.documentElement.scrollWidth") <= width


def test_a_process_that_ended_is_said_so(browser: Browser, host: Engine) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        open_page(browser, host, "#tab=python")
        browser.wait(LISTED, process.pid)
        process.kill()
    browser.wait(f"!({LISTED})", process.pid)
    open_page(browser, host, f"#process={process.pid}")
    browser.wait("/has ended/.test(document.querySelector('[data-testid=process-notice]').textContent)")


def test_every_part_has_a_name(browser: Browser, host: Engine, target: int) -> None:
    open_process(browser, host, target)
    nameless = browser.run("""
        return [...document.querySelectorAll(".process button, .process canvas, .process section")]
          .filter((e) => !(e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80));
    """)
    assert nameless == []
