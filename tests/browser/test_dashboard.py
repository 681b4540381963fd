"""The dashboard in a real browser, on the real engine over this machine."""

from __future__ import annotations

import functools
import signal
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from engine import Engine
from webdriver import Browser, until_passes, until_true

LIVE = "window.__sidewinder && window.__sidewinder.state().connected"
SETTLED_MS = 4000  # a window this old is closed and will not change


def open_page(browser: Browser, engine: Engine, state: str = "") -> None:
    browser.goto("about:blank")
    browser.goto(f"{engine.url}/{state}")
    browser.wait(LIVE)


def state_of(browser: Browser) -> dict[str, Any]:
    state: dict[str, Any] = browser.run("return window.__sidewinder.state()")
    return state


def hash_of(browser: Browser) -> dict[str, list[str]]:
    return parse_qs(urlsplit(browser.url()).fragment)


def points_of(browser: Browser, stream: str, aggregate: str, key: str, count: int = 30) -> dict[int, float | None]:
    points = browser.run("return window.__sidewinder.points(...arguments)", stream, aggregate, key, count)
    return {round(time_ms): value for time_ms, value in points}


def newest_ms(browser: Browser) -> int:
    return max(points_of(browser, "cpu", "busy", "all"), default=0)


def wait_for_points(browser: Browser, count: int = 1, series: tuple[str, str, str] = ("cpu", "busy", "all")) -> None:
    script = "window.__sidewinder.points(arguments[0], arguments[1], arguments[2], 100).length >= arguments[3]"
    browser.wait(script, *series, count)


def scroll_to(browser: Browser, test_id: str) -> None:
    browser.wait("document.querySelector(`[data-testid='${arguments[0]}']`)", test_id)
    browser.run("document.querySelector(`[data-testid='${arguments[0]}']`).scrollIntoView({block: 'center'})", test_id)


def text_of(browser: Browser, test_id: str) -> str:
    return str(browser.run("return document.querySelector(`[data-testid='${arguments[0]}']`).textContent", test_id))


def wait_for_hash(browser: Browser, wanted: dict[str, list[str]]) -> None:
    """The address follows the view, a little later."""

    def check() -> None:
        assert hash_of(browser) == wanted

    until_passes(check)


def test_is_one_small_file_that_reaches_nothing_else(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    wait_for_points(browser)
    used = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert used
    assert [name for name in used if not name.startswith((host.url, "data:"))] == []
    assert browser.run("return performance.getEntriesByType('navigation')[0].decodedBodySize") <= 200_000


def agree(shown: float | None, truth: float | None) -> bool:
    """What is absent must be absent; approx() refuses None."""
    if shown is None or truth is None:
        return shown is truth
    return bool(shown == pytest.approx(truth, rel=1e-12))


def test_numbers_agree_with_the_query_api(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    wait_for_points(browser, 8)

    def check() -> None:
        shown = points_of(browser, "cpu", "busy", "all")
        newest = max(shown)
        rows = host.get("/api/query", stream="cpu", key="all", aggregate="busy", last=120)["rows"]
        truth = {row["window_start_ns"] // 1_000_000: row["busy"] for row in rows}
        settled = {ms: value for ms, value in shown.items() if ms <= newest - SETTLED_MS}
        assert len(settled) >= 3
        assert [ms for ms, value in settled.items() if not agree(value, truth.get(ms))] == []

    until_passes(check)


def test_every_visible_chart_agrees_with_the_query_api(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    layout = host.get("/api/streams")
    for stream in layout["streams"]:
        for chart in stream["charts"][:2]:
            scroll_to(browser, f"chart-{stream['name']}-{chart['line']}")
            until_passes(functools.partial(check_chart, browser, host, stream, chart["line"]))


def check_chart(browser: Browser, host: Engine, stream: dict[str, Any], line: str) -> None:
    name = stream["name"]
    latest = state_of(browser)["charts"].get(name, {}).get(line)
    assert latest, f"{name} {line} shows nothing"
    # Among the leading keys may be one that is gone (a process that has ended): take the one with the longest history.
    keys_of = {label: label.split(" · ") if stream["keys"] else [] for label in latest}
    label = max(latest, key=lambda one: len(host_rows(host, name, keys_of[one], line)))
    shown = points_of(browser, name, line, label)
    truth = host_rows(host, name, keys_of[label], line)
    assert len(shown) >= 7, (name, line, label)
    old = [ms for ms in shown if ms <= max(shown) - SETTLED_MS]
    assert old, (name, line, label)
    # A key that was not there yet (a process that has just begun) has no row, and no point.
    assert [ms for ms in old if not agree(shown[ms], truth.get(ms))] == [], (name, line, label)


def host_rows(host: Engine, stream: str, key: list[str], aggregate: str) -> dict[int, float | None]:
    one = {"key": key[0]} if key else {}
    rows = host.get("/api/query", stream=stream, aggregate=aggregate, last=120, **one)["rows"]
    return {row["window_start_ns"] // 1_000_000: row[aggregate] for row in rows}


def test_top_bar_shows_the_health_of_the_engine(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    browser.wait("window.__sidewinder.state().stats_received >= 3")
    browser.wait("document.querySelector('[data-testid=connection]').textContent === 'Live'")
    assert "/s" in text_of(browser, "events-per-s")
    assert text_of(browser, "malformed") == "0"
    assert text_of(browser, "late") == "0"
    assert any(unit in text_of(browser, "watermark-lag") for unit in ("ms", "s"))


def test_pause_freezes_what_is_seen_and_space_resumes(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    wait_for_points(browser, 3)
    browser.click("[data-testid=pause]")

    def seen() -> tuple[int, int]:
        return newest_ms(browser), state_of(browser)["stats_received"]

    def stands_still() -> bool:
        before = seen()
        time.sleep(2.5)
        return seen() == before

    until_true("nothing moves", stands_still)  # the page fetches what is out of sight before it stops
    before = seen()
    assert state_of(browser)["paused"] is True
    wait_for_hash(browser, {"paused": ["1"]})
    assert text_of(browser, "connection") == "Paused"
    scroll_to(browser, "chart-process-cpu")
    browser.wait("Object.keys(window.__sidewinder.state().charts.process.cpu).length > 0")
    browser.run("document.activeElement.blur()")
    browser.press("Space")
    scroll_to(browser, "chart-cpu-busy")
    browser.wait("window.__sidewinder.points('cpu', 'busy', 'all', 1)[0]?.[0] > arguments[0] + 3000", before[0])
    assert state_of(browser)["paused"] is False
    wait_for_hash(browser, {})


def test_comes_back_by_itself_after_a_restart(browser: Browser, sidewinder: Path) -> None:
    engine = Engine(sidewinder)
    try:
        open_page(browser, engine)
        wait_for_points(browser, 2)
        browser.run("window.isSamePage = true")
        last = newest_ms(browser)
        assert engine.stop() == 0
        browser.wait("!window.__sidewinder.state().connected")
        browser.wait("document.querySelector('[data-testid=notice]:not([hidden])')")
        assert text_of(browser, "connection") in ("Reconnecting", "Connecting")
        engine.start()
        browser.wait(LIVE)
        browser.wait("window.__sidewinder.points('cpu', 'busy', 'all', 1)[0]?.[0] > arguments[0]", last)
        assert browser.run("return window.isSamePage") is True
        browser.wait("document.querySelector('[data-testid=notice]').hidden")
        shown = points_of(browser, "cpu", "busy", "all")
        # The new engine may have begun within the second of the last point; older ones could only be left over.
        assert min(shown) >= last, "points of the engine that is gone"
    finally:
        engine.stop()


@pytest.mark.parametrize("tab", ["", "#tab=engine"])
@pytest.mark.parametrize("width", [390, 768, 1100, 1440, 1920])
def test_fits_its_width(browser: Browser, host: Engine, width: int, tab: str) -> None:
    browser.resize(width, 844)
    open_page(browser, host, tab)
    time.sleep(1)  # for more of it to be there; whatever is must fit
    browser.wait("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cut = """
        const out = [];
        const parts = document.querySelectorAll("header *, .toolbar *, .tile, .chart, .card, .ribbon, .events");
        for (const element of parts) {
          const { left, right, width } = element.getBoundingClientRect();
          const isCut = left < -0.5 || right > document.documentElement.clientWidth + 0.5;
          if (width > 0 && isCut) out.push(element.outerHTML.slice(0, 120));
        }
        return out;
    """

    def check() -> None:
        assert browser.run(cut) == []

    if width < 720 or tab:
        until_passes(check)


def test_the_address_holds_the_view(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    browser.press("1")
    browser.press("t")
    scroll_to(browser, "table-cpu")
    browser.click("[data-testid=table-cpu] thead th:nth-child(3) button")
    column = browser.run("return document.querySelector('[data-testid=table-cpu] thead th:nth-child(3)').textContent")
    browser.click("#stream-disk .section-toggle")
    wanted = {"range": ["1m"], "theme": ["light"], "sort": [f"cpu:-{column}"], "collapsed": ["disk"]}
    wait_for_hash(browser, wanted)
    address = browser.url()
    browser.run("localStorage.clear()")
    browser.goto("about:blank")
    browser.goto(address)
    browser.wait(LIVE)
    wait_for_hash(browser, wanted)
    assert browser.run("return document.documentElement.dataset.theme") == "light"
    browser.wait("document.querySelector('.segmented [aria-pressed=true]')?.textContent === '1m'")
    browser.wait("document.querySelector('#body-disk')?.hidden")
    sorted_by = "[data-testid=table-cpu] [aria-sort=descending]"
    browser.wait("document.querySelector(arguments[0])?.textContent === arguments[1]", sorted_by, column)


def test_a_click_on_a_row_narrows_the_stream_and_escape_widens_it(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    scroll_to(browser, "table-process")
    row = "[data-testid=table-process] tbody tr:nth-child(2)"
    browser.wait("document.querySelector(arguments[0])", row)
    browser.click(f"{row} button")
    browser.wait("location.hash.includes('key=')")
    hash_now = hash_of(browser)
    assert hash_now["stream"] == ["process"]
    key = hash_now["key"][0]
    browser.wait("document.querySelector('[data-testid=focus-chip]').textContent === arguments[0]", key)
    scroll_to(browser, "chart-process-cpu")
    browser.wait("Object.keys(window.__sidewinder.state().charts.process.cpu).join() === arguments[0]", key)
    scope = "[data-testid=chart-process-cpu] .chart-scope"
    browser.wait("document.querySelector(arguments[0]).textContent === arguments[1]", scope, key)
    browser.press("Escape")
    browser.wait("Object.keys(window.__sidewinder.state().charts.process.cpu).length > 1")
    wait_for_hash(browser, {})
    browser.run("history.back()")
    browser.wait("document.querySelector('[data-testid=focus-chip]:not([hidden])')")
    wait_for_hash(browser, hash_now)


def test_the_text_filter_reduces_tables(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    scroll_to(browser, "table-process")
    keys = "[...document.querySelectorAll('[data-testid=table-process] tbody th')].map((th) => th.textContent)"
    browser.wait(f"{keys}.length > 1")
    browser.press("/")
    browser.press(*"no such process")
    browser.wait(f"{keys}.length === 0")
    browser.wait("document.querySelector('[data-testid=table-process]').textContent.includes('no such process')")
    browser.wait("location.hash === '#filter=no+such+process'")
    browser.press("Escape")
    browser.wait(f"{keys}.length > 1")
    scroll_to(browser, "table-net")
    interfaces = "[...document.querySelectorAll('[data-testid=table-net] tbody th')].map((th) => th.textContent)"
    browser.wait(f"{interfaces}.includes('lo')")
    browser.press(*"LO")
    browser.wait(f"{interfaces}.includes('lo') && {interfaces}.every((name) => name.includes('lo'))")


def test_dragging_zooms_all_charts_and_escape_goes_back(browser: Browser, host: Engine) -> None:
    open_page(browser, host, "#range=1m")
    wait_for_points(browser, 10)

    def drag() -> bool:  # a chart that gets a series anew in the middle of a drag forgets it
        browser.drag("[data-testid=chart-cpu-busy] .u-over", 0.3, 0.8)
        time.sleep(0.5)  # the chip comes with the next frame; too short a wait only drags again
        return bool(browser.run("return !!document.querySelector('[data-testid=zoom-chip]:not([hidden])')"))

    until_true("a zoom", drag)
    browser.wait("location.hash.includes('zoom=')")
    start, end = map(int, hash_of(browser)["zoom"][0].split(".."))
    assert 1_000 <= end - start <= 60_000
    browser.press("Escape")
    wait_for_hash(browser, {"range": ["1m"]})


def test_engine_tab_and_help(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    browser.press("e")
    browser.wait("document.querySelectorAll('[data-testid=engine-threads] li').length > 0")
    assert browser.run("return document.querySelector('#view-streams').hidden") is True
    counters = "[data-testid=engine-counters] dt"
    browser.wait("document.querySelector(arguments[0])", counters)
    names = browser.run("return [...document.querySelectorAll(arguments[0])].map((dt) => dt.textContent)", counters)
    assert {"Events", "Windows closed", "Memory", "Views dropped"} <= set(names)
    wait_for_hash(browser, {"tab": ["engine"]})
    browser.click("[data-testid=tab-streams]")
    browser.wait("!document.querySelector('#view-streams').hidden")
    browser.press("?")
    browser.wait("document.querySelector('[data-testid=help-dialog]').open")
    browser.press("Escape")
    browser.wait("!document.querySelector('[data-testid=help-dialog]').open")


def test_asks_only_for_what_is_on_screen(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    wait_for_points(browser)
    total = "document.querySelectorAll('#view-streams .chart').length"
    at_top = "window.__sidewinder.state().subscribed"
    browser.wait(f"{at_top} > 0 && {at_top} < {total}")
    browser.press("e")
    browser.wait("window.__sidewinder.state().subscribed === 0")


def test_a_stopped_browser_costs_the_engine_nothing(browser: Browser, sidewinder: Path) -> None:
    engine = Engine(sidewinder)
    try:
        open_page(browser, engine)
        wait_for_points(browser, 6)

        def newest_s() -> float:
            rows = engine.get("/api/query", stream="cpu", key="all", aggregate="busy", last=1)["rows"]
            return float(rows[-1]["window_end_ns"]) / 1e9

        browser.signal(signal.SIGSTOP)
        try:
            begin = (engine.rss_bytes(), engine.cpu_seconds(), newest_s(), time.monotonic())
            until_true("the engine goes on without the browser", lambda: newest_s() > begin[2] + 8)
            assert engine.cpu_seconds() - begin[1] < 0.5 * (time.monotonic() - begin[3])
            assert engine.rss_bytes() - begin[0] < 8 << 20
        finally:
            browser.signal(signal.SIGCONT)
        browser.wait("window.__sidewinder.points('cpu', 'busy', 'all', 1)[0]?.[0] > arguments[0]", newest_s() * 1000)
    finally:
        engine.stop()


CONTRAST = """
    const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
    const light = (c) => { const l = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      return 0.2126 * l(c[0]) + 0.7152 * l(c[1]) + 0.0722 * l(c[2]); };
    const ground = (e) => { if (!e) return [255, 255, 255, 1]; const c = parse(getComputedStyle(e).backgroundColor);
      return c[3] === 1 ? c : over(c, ground(e.parentElement)); };
    const low = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const e = node.parentElement;
      if (!node.data.trim() || !e.checkVisibility() || e.closest("noscript, script, style, .sr-only")) continue;
      const bg = ground(e);
      const [a, b] = [light(over(parse(getComputedStyle(e).color), bg)), light(bg)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${e.className} ${node.data.slice(0, 30)}`);
    }
    return low;
"""


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("tab", ["streams", "engine"])
def test_all_text_is_legible(browser: Browser, host: Engine, theme: str, tab: str) -> None:
    open_page(browser, host, f"#theme={theme}&tab={tab}")
    time.sleep(1.5)  # for more of it to be there; whatever is must be legible once it has faded in

    def check() -> None:
        assert browser.run(CONTRAST) == []

    until_passes(check)


def test_basics_of_a_screen_reader(browser: Browser, host: Engine) -> None:
    open_page(browser, host)
    wait_for_points(browser)
    scroll_to(browser, "table-process")
    browser.wait("document.querySelector('[data-testid=table-process] tbody tr')")
    for landmark in ("header", "main", "nav[aria-label]", "aside[aria-label]", "section[aria-label]", "h1"):
        assert browser.run("return document.querySelectorAll(arguments[0]).length", landmark) > 0, landmark
    nameless = """
        return [...document.querySelectorAll("button, input, [role=tab], [tabindex='0'], figure, [role=img]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.title) && !e.closest("[hidden]"))
          .map((e) => e.outerHTML.slice(0, 120));
    """
    assert browser.run(nameless) == []
    assert browser.run("return document.querySelector('[data-testid=connection]').ariaLive") == "polite"
    sorts = "t.querySelectorAll('th[aria-sort=descending]').length"
    browser.wait(f"[...document.querySelectorAll('table')].every((t) => {sorts} === 1)")
    outline = """
        const button = document.querySelector("[data-testid=theme]");
        button.focus({focusVisible: true});
        return getComputedStyle(button).outlineStyle;
    """
    assert browser.run(outline) == "solid"


def test_dark_until_chosen_otherwise_and_remembered(browser: Browser, host: Engine) -> None:
    theme = "return document.documentElement.dataset.theme"
    open_page(browser, host)
    assert browser.run(theme) == "dark"
    browser.click("[data-testid=theme]")
    browser.wait("document.documentElement.dataset.theme === 'light'")
    open_page(browser, host)
    assert browser.run(theme) == "light"
