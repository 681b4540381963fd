"""The dashboard on other jobs: recorded rows with known answers, a token, a stream that has not begun."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine import Engine
from webdriver import Browser, until_passes

LIVE = "window.__sidewinder && window.__sidewinder.state().connected"
OPENING_MS = 34_200_000  # half past nine
AGGREGATES = "trades=count(),high=max(price),low=min(price),volume=sum(size),mean=mean(price),p99=quantile(price,0.99)"


@pytest.fixture(autouse=True)
def _needs_dashboard(host: Engine) -> None:
    """Skips as `host` does."""


def rows_of_ticks() -> Iterator[tuple[int, int, int, str]]:
    for second in range(100):
        for i in range(1 + second % 5):
            yield OPENING_MS + second * 1000 + i * 100, 480_000 + second * 10 + i, 100 + i, "NYSE" if i % 2 else "ARCA"


@pytest.fixture
def ticks(tmp_path: Path, sidewinder: Path) -> Iterator[Engine]:
    path = tmp_path / "ticks.csv"
    path.write_text("".join(f"{ms},{price},{size},{exchange}\n" for ms, price, size, exchange in rows_of_ticks()))
    options = ["--source", str(path), "--columns", "ms,price,size,exchange", "--time", "ms:ms", "--key", "exchange"]
    engine = Engine(sidewinder, [*options, "--window", "1s", "--aggregate", AGGREGATES])
    yield engine
    engine.stop()


def check_points(browser: Browser, points: str, wanted: list[tuple[int, int]]) -> None:
    shown = {round(ms): value for ms, value in browser.run(f"return {points}") if value is not None}
    assert [(ms, shown.get(ms)) for ms, _ in wanted] == wanted, points


def test_recorded_rows_are_shown_as_they_are(browser: Browser, ticks: Engine) -> None:
    browser.goto(f"{ticks.url}/#range=all")
    browser.wait(LIVE)
    stream = ticks.get("/api/streams")["streams"][0]["name"]
    expected: dict[str, dict[int, list[tuple[int, int]]]] = {}
    for ms, price, size, exchange in rows_of_ticks():
        expected.setdefault(exchange, {}).setdefault(ms // 1000 * 1000, []).append((price, size))
    answers: dict[str, Callable[[list[tuple[int, int]]], int]] = {
        "trades": len,
        "high": lambda rows: max(price for price, _ in rows),
        "low": lambda rows: min(price for price, _ in rows),
        "volume": lambda rows: sum(size for _, size in rows),
    }
    for name, answer in answers.items():
        chart = f"document.querySelector(`[data-testid='chart-{stream}-{name}']`)"
        browser.wait(chart)
        browser.run(f"{chart}.scrollIntoView()")
        for exchange, windows in expected.items():
            wanted = sorted((ms, answer(rows)) for ms, rows in windows.items())[:-1]
            got = f"window.__sidewinder.points('{stream}', '{name}', '{exchange}', 1000)"
            until_passes(functools.partial(check_points, browser, got, wanted))


def test_times_since_midnight_are_plain_clock_times(browser: Browser, ticks: Engine) -> None:
    browser.goto(f"{ticks.url}/#range=all")
    browser.wait(LIVE)
    browser.wait("document.querySelector('.ribbon-span')?.textContent === '09:30:00 \u2013 09:31:39'")


def test_a_token_is_taken_from_the_address_and_leaves_it(browser: Browser, sidewinder: Path) -> None:
    engine = Engine(sidewinder, [], {"SIDEWINDER_TOKEN": "a-long-enough-token"})
    try:
        browser.goto(f"{engine.url}/?token=a-long-enough-token#range=1m")
        browser.wait(LIVE)
        browser.wait("location.href === arguments[0]", f"{engine.url}/#range=1m")
        browser.wait("window.__sidewinder.points('cpu', 'busy', 'all', 10).length > 1")
    finally:
        engine.stop()


def test_says_so_while_there_is_no_data(browser: Browser, sidewinder: Path) -> None:
    options = ["--source", "tcp://127.0.0.1:0", "--columns", "name,value", "--key", "name"]
    engine = Engine(sidewinder, [*options, "--aggregate", "n=count(),mean=mean(value)"])
    try:
        browser.goto(engine.url)
        browser.wait(LIVE)
        notes = "[...document.querySelectorAll('.chart .plot-note:not([hidden])')].map((note) => note.textContent)"
        browser.wait(f"{notes}.includes('Waiting for the first window')")
        browser.wait("document.querySelector('.event-empty')?.textContent === 'Nothing unusual so far.'")
    finally:
        engine.stop()
