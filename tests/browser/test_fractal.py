"""The page of `sidewinder fractal --serve`: zooming with the mouse, the address, deep zooms, and what is dropped."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webdriver import Browser, until_true

PATIENCE_S = 60.0  # only what hangs takes so long
SHOWN = (
    "const s = window.__fractal?.state(); return !!s && !s.busy && s.drawn.done === s.drawn.tiles && s.drawn.tiles > 0"
)


@pytest.fixture(scope="module")
def page(sidewinder: Path) -> Iterator[str]:
    """The address of a server of its own."""
    process = subprocess.Popen(
        [sidewinder, "fractal", "--serve", "--listen", "127.0.0.1:0", "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found = re.search(r"http://[\d.]+:\d+/", process.stderr.readline())
    assert found
    with urllib.request.urlopen(found.group(), timeout=PATIENCE_S) as answer:
        has_page = b"__fractal" in answer.read()
    if has_page:
        yield found.group()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    if not has_page:
        pytest.skip("this build has no page (Node was not found)")


def shown(browser: Browser) -> dict[str, Any]:
    """The state once every tile is there."""
    until_true("the picture is whole", lambda: browser.run(SHOWN))
    found: dict[str, Any] = browser.run("return window.__fractal.state()")
    assert found["drawn"]["error"] == ""
    return found


def open_page(browser: Browser, url: str, view: str = "") -> dict[str, Any]:
    browser.goto("about:blank")
    browser.goto(url + view)
    return shown(browser)


def mouse(browser: Browser, kind: str, x: float, y: float, **more: Any) -> None:
    """A pointer or wheel event at a share of the canvas."""
    script = """
        const canvas = document.querySelector('canvas'), box = canvas.getBoundingClientRect();
        const [kind, x, y, more] = arguments;
        const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true,
                     cancelable: true, pointerId: 1, ...more };
        canvas.setPointerCapture = () => undefined;
        canvas.dispatchEvent(kind === 'wheel' ? new WheelEvent(kind, at) : new PointerEvent(kind, at));
    """
    browser.run(script, kind, x, y, more)


def pixel(browser: Browser, x: float, y: float) -> list[int]:
    script = """
        const canvas = document.querySelector('canvas'), copy = document.createElement('canvas');
        const context = copy.getContext('2d', { willReadFrequently: true });
        context.drawImage(canvas, -arguments[0] * canvas.width, -arguments[1] * canvas.height);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    """
    found: list[int] = browser.run(script, x, y)
    return found


def test_the_whole_set_is_drawn(browser: Browser, page: str) -> None:
    state = open_page(browser, page)
    assert state["view"]["kind"] == "mandelbrot"
    assert state["drawn"]["maxIterations"] == 1000
    assert state["drawn"]["iterations"] > 0
    assert pixel(browser, 0.5, 0.5) == [0, 0, 0]
    assert pixel(browser, 0.02, 0.02) != [0, 0, 0]
    assert "iterations" in browser.run("return document.querySelector('.work').textContent")


def test_a_box_zooms_and_the_address_keeps_it(browser: Browser, page: str) -> None:
    open_page(browser, page)
    mouse(browser, "pointerdown", 0.6, 0.2)
    mouse(browser, "pointermove", 0.7, 0.3)
    assert browser.run("return !document.querySelector('.box').hidden")
    mouse(browser, "pointerup", 0.7, 0.3)
    state = shown(browser)
    assert browser.run("return document.querySelector('.box').hidden")
    assert abs(state["view"]["zoom"] - 10) < 0.5
    colors = [pixel(browser, x / 10, 0.5) for x in range(1, 10)]
    address = browser.url()
    browser.goto("about:blank")
    browser.goto(address)
    again = shown(browser)
    assert again["view"] == state["view"]
    assert [pixel(browser, x / 10, 0.5) for x in range(1, 10)] == colors
    browser.run("history.pushState(null, '', '#'); window.dispatchEvent(new PopStateEvent('popstate'))")
    assert shown(browser)["view"]["zoom"] == 1


def test_wheel_pan_and_keys(browser: Browser, page: str) -> None:
    open_page(browser, page)
    mouse(browser, "wheel", 0.25, 0.5, deltaY=-400)
    until_true("it is zoomed", lambda: browser.run("return window.__fractal.state().view.zoom > 1.5"))
    state = shown(browser)
    assert float(state["view"]["re"]) < -0.7
    mouse(browser, "pointerdown", 0.5, 0.5, shiftKey=True)
    mouse(browser, "pointermove", 0.6, 0.5)
    mouse(browser, "pointerup", 0.6, 0.5)
    panned = shown(browser)
    assert panned["view"]["zoom"] == state["view"]["zoom"]
    assert float(panned["view"]["re"]) < float(state["view"]["re"])
    zoom = panned["view"]["zoom"]
    browser.press("+")
    assert abs(shown(browser)["view"]["zoom"] - 2 * zoom) < 1e-9
    browser.press("0")
    assert shown(browser)["view"]["zoom"] == 1


def test_kinds_palettes_and_iterations(browser: Browser, page: str) -> None:
    open_page(browser, page)
    choose = """
        const field = document.querySelector(`[aria-label="${arguments[0]}"]`);
        field.value = arguments[1];
        field.dispatchEvent(new Event('change'));
    """
    before = pixel(browser, 0.02, 0.02)
    browser.run(choose, "palette", "twilight")
    assert shown(browser)["view"]["palette"] == "twilight"
    assert pixel(browser, 0.02, 0.02) != before
    browser.run(choose, "iterations", "123")
    assert shown(browser)["drawn"]["maxIterations"] == 123
    browser.run(choose, "kind", "julia")
    assert shown(browser)["view"]["kind"] == "julia"
    browser.run(choose, "constant of the Julia set", "0, 0")
    shown(browser)
    assert pixel(browser, 0.5, 0.5) == [0, 0, 0]  # z^2: the disc
    browser.run(choose, "kind", "burning-ship")
    assert shown(browser)["view"]["im"] == "-0.5"


def test_deep_zoom_and_its_end(browser: Browser, page: str) -> None:
    place = "re=-1.768778833001470887115281&im=-0.001738996418513422"
    state = open_page(browser, page, f"#kind=mandelbrot&{place}&zoom=1e40&iterations=2000")
    assert state["drawn"]["isDeep"] is True
    browser.goto("about:blank")
    browser.goto(f"{page}#kind=julia&zoom=1e30")
    told = "const s = window.__fractal?.state(); return s?.drawn?.error ?? ''"
    until_true("the limit is told", lambda: "double precision ends" in browser.run(told))
    assert browser.run("return document.querySelector('.fault').textContent").startswith(
        "--zoom 1e+30: with --kind julia"
    )
    browser.messages()  # the browser itself notes an answer of 400


def test_what_is_not_wanted_any_more_is_dropped(browser: Browser, page: str) -> None:
    """A view that takes for ever holds nothing up: its tiles are cancelled when another is asked for."""
    browser.goto("about:blank")
    siegel = "jre=-0.3905408702184&jim=-0.586787907346969"  # no orbit in this disc ever repeats: tiles take hours
    browser.goto(f"{page}#kind=julia&{siegel}&re=0&im=0&zoom=30&iterations=50000000")
    until_true("it has begun", lambda: browser.run("return window.__fractal?.state().drawn !== null"))
    before = browser.run("return window.__fractal.state()")
    assert before["busy"]
    assert before["drawn"]["done"] == 0
    browser.press("0")
    state = shown(browser)
    assert state["view"]["zoom"] == 1
    browser.run("document.querySelector('[aria-label=iterations]').value = ''")


def test_strangers_are_refused(page: str) -> None:
    for headers in ({"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(page, headers=headers), timeout=PATIENCE_S)
        assert refused.value.code == 421
