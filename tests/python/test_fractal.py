"""`sidewinder fractal`: its pictures against a plain loop, its Python engines, and what it leaves when it is stopped.

No assertion depends on how fast or busy the machine is.
"""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sidewinder_fractal = pytest.importorskip("sidewinder.fractal")

PATIENCE_S = 60.0  # only what hangs takes so long


def pools() -> list[str]:
    """The pools that this package has."""
    found = ["multiprocessing"]
    try:
        sidewinder_fractal.pool_class("sidewinder")
    except ValueError:
        return found
    return [*found, "sidewinder"]


def read_png(data: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and the rows of an RGB picture, unfiltered by the standard's rules; every check sum is checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, stream, width, height = 8, b"", 0, 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + body)
        if name == b"IHDR":
            width, height, depth, kind = struct.unpack_from(">IIBB", body)
            assert (depth, kind) == (8, 2)
        elif name == b"IDAT":
            stream += body
        at += length + 12
    raw = zlib.decompress(stream)
    size = width * 3
    assert len(raw) == (size + 1) * height
    rows, above = [], bytearray(size)
    for y in range(height):
        start = y * (size + 1)
        row = bytearray(raw[start + 1 : start + 1 + size])
        for i in range(size):
            left, corner = (row[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            row[i] = row[i] + predicted(raw[start], left, above[i], corner) & 255
        rows.append(bytes(row))
        above = row
    return width, height, rows


def predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind < 4:
        return (0, left, above, (left + above) // 2)[kind]
    near = left + above - corner
    return min((left, above, corner), key=lambda value: abs(near - value))


def run(sidewinder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sidewinder, "fractal", *arguments],
        capture_output=True,
        timeout=600,
        check=True,
        stdin=subprocess.DEVNULL,
        **options,
    )


def statistics(sidewinder: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(sidewinder, *arguments, "--json", "-q", "-o", str(folder / "a.png"))
    told: dict[str, Any] = json.loads(done.stdout)
    return told


VIEWS: dict[str, dict[str, Any]] = {
    "whole": {},
    "julia": {"kind": "julia", "julia_re": -0.62772, "julia_im": -0.42193},
    "ship": {"kind": "burning-ship", "iterations": 150},
    "zoom": {"center_re": -0.743643887037151, "center_im": 0.13182590420533, "zoom": 2000.0, "iterations": 400},
}


def view_words(view: Any) -> list[str]:
    words = [f"--size={view.width}x{view.height}", "--kind", view.kind, f"--iterations={view.iterations}"]
    words += [f"--center={view.center_re!r},{view.center_im!r}", f"--zoom={view.zoom!r}"]
    words += [f"--supersample={view.supersample}"]
    if view.kind == "julia":
        words.append(f"--julia={view.julia_re!r},{view.julia_im!r}")
    return words


@pytest.mark.parametrize("name", VIEWS)
def test_counts_are_those_of_the_plain_loop(name: str, sidewinder: Path, tmp_path: Path) -> None:
    view = sidewinder_fractal.View(width=97, height=61, **{"iterations": 300, "center_re": -0.5, **VIEWS[name]})
    oracle = sum(sidewinder_fractal.python_tile(view, tile).iterations for tile in view.tiles())
    told = statistics(sidewinder, tmp_path, "--exact", *view_words(view))
    assert told["iterations"] == oracle
    told = statistics(sidewinder, tmp_path, "--exact", "--plain", *view_words(view))
    assert told["iterations"] == told["computed_iterations"] == oracle


@pytest.mark.parametrize("name", VIEWS)
def test_numpy_tile_is_the_python_tile(name: str) -> None:
    pytest.importorskip("numpy")
    for is_smooth in (True, False):
        view = sidewinder_fractal.View(
            width=50, height=40, supersample=2, is_smooth=is_smooth, **{"iterations": 120, **VIEWS[name]}
        )
        tiles = view.tiles()
        assert sum(tile.width * tile.height for tile in tiles) == 100 * 80
        for tile in tiles:
            plain, fast = sidewinder_fractal.python_tile(view, tile), sidewinder_fractal.numpy_tile(view, tile)
            assert plain.iterations == fast.iterations
            pairs = zip(memoryview(plain.values).cast("f"), memoryview(fast.values).cast("f"), strict=True)
            assert all(abs(a - b) <= 1e-3 * max(1.0, abs(a)) for a, b in pairs)


def test_escape_times() -> None:
    escape, smooth = sidewinder_fractal.escape, sidewinder_fractal.escape_smooth
    assert escape(0, 0, 0, 0, 50) == 50
    assert escape(0, 0, 1, 0, 50) == 3  # 0, 1, 2, 5: the third is outside
    assert escape(0, 0, 2.5, 0, 50) == 1
    assert escape(2.5, 0, 0, 0, 50) == 0  # a Julia set's point that begins outside
    assert smooth(0, 0, 0, 0, 50) == (50, -1.0)
    for re in (0.3, 0.26, 1.0, -2.1):
        count, value = smooth(0, 0, re, 0, 10_000)
        assert count == escape(0, 0, re, 0, 10_000)
        assert abs(value - count) < 3  # it goes on to |z| > 16
    # The fraction makes the escape time continuous where the count steps.
    values = [smooth(0, 0, 0.5 + i / 500, 0.3, 1000)[1] for i in range(200)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.2


def test_picture_is_symmetric_and_of_the_set(sidewinder: Path) -> None:
    done = run(sidewinder, "--size", "90x61", "--inside", "ff00ff", "-q", "-o", "-")
    width, height, rows = read_png(done.stdout)
    assert (width, height) == (90, 61)
    assert rows == rows[::-1]
    view = sidewinder_fractal.View(width=90, height=61)
    re, im, re_step, im_step = view.grid()
    for y in range(0, 61, 3):
        for x in range(0, 90, 3):
            count = sidewinder_fractal.escape(0, 0, re + x * re_step, im + y * im_step, 1000)
            assert (rows[y][3 * x : 3 * x + 3] == b"\xff\x00\xff") == (count == 1000)


@pytest.mark.parametrize("engine", ["python", "numpy"])
def test_engines_draw_the_same_picture(engine: str, sidewinder: Path, tmp_path: Path) -> None:
    if engine == "numpy":
        pytest.importorskip("numpy")
    words = ["--size=120x80", "--iterations=200", "--workers=2", "--supersample=2"]
    by_c = run(sidewinder, *words, "--exact", "-q", "-o", "-")
    told = statistics(sidewinder, tmp_path, *words, "--engine", engine, "--python", sys.executable)
    assert told["iterations"] == told["computed_iterations"] > 0
    assert sum(worker["tiles"] for worker in told["per_worker"]) == told["tiles"] > 0
    _, _, wanted = read_png(by_c.stdout)
    _, _, rows = read_png((tmp_path / "a.png").read_bytes())
    differences = [abs(a - b) for one, other in zip(wanted, rows, strict=True) for a, b in zip(one, other, strict=True)]
    assert max(differences) <= 12  # float32 fractions, near the seam of a step
    assert sum(differences) / len(differences) < 0.1


def test_benchmark_compares_the_engines(sidewinder: Path) -> None:
    pytest.importorskip("numpy")
    if "sidewinder" not in pools():
        pytest.skip("this package has no Pool yet")
    words = ["--benchmark", "--size=64x48", "--iterations=100", "--workers=1,2", "--rounds=2", "--json"]
    done = run(sidewinder, *words, "--engine=c,numpy,python", "--python", sys.executable)
    told = json.loads(done.stdout)
    assert told["counts_agree"] is True
    names = [(series["engine"], series["pool"]) for series in told["series"]]
    assert names == [("c", None), ("numpy", "sidewinder"), ("python", "sidewinder"), ("python", "multiprocessing")]
    for series in told["series"]:
        assert [entry["workers"] for entry in series["runs"]] == [1, 2]
        assert all(entry["rounds"] == 2 and entry["total_ns"] > 0 for entry in series["runs"])
        assert series["runs"][0]["speedup"] == 1
        assert 0 <= series["serial_share"] <= 1
    table = run(sidewinder, *words[:-1], "--engine=c,numpy", "--python", sys.executable).stdout.decode()
    assert "the same by every engine" in table
    assert "numpy, sidewinder.Pool" in table


@pytest.mark.parametrize("pool", pools())
def test_module_by_itself(pool: str, tmp_path: Path) -> None:
    words = ["--size", "40x30", "--iterations", "60", "--workers", "2", "--pool", pool, "-o", "a.png", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sidewinder.fractal", *words], capture_output=True, cwd=tmp_path, timeout=600, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["pool"] == pool
    assert sum(worker["iterations"] for worker in told["per_worker"]) == told["iterations"]
    width, height, rows = read_png((tmp_path / "a.png").read_bytes())
    assert (width, height) == (40, 30)
    assert len(set(rows)) > 3


def test_module_says_what_is_wrong(tmp_path: Path) -> None:
    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "sidewinder.fractal", "--size", "4x4", *words],
            capture_output=True,
            text=True,
            timeout=600,
        )
        return done.returncode, done.stderr

    assert said("--size", "4")[0] == 2
    assert said("--workers", "0")[0] == 2
    for zoom in ("0", "-1", "nan", "inf"):
        code, text = said("--zoom", zoom)
        assert code == 2
        assert "argument --zoom: invalid magnification value" in text
    code, text = said("--iterations", "3", "--pool", "multiprocessing", "-o", str(tmp_path / "no" / "a.png"))
    assert code == 1
    assert "No such file" in text
    assert "Traceback" not in text


def start_endless(sidewinder: Path, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """A picture that takes hours; returns once it has begun to write."""
    target = folder / "a.png"
    target.write_text("old")
    process = subprocess.Popen(
        [sidewinder, "fractal", "--plain", "--size=4000x4000", "--iterations=4000000", "-o", target, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    deadline = time.monotonic() + PATIENCE_S
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing(number: signal.Signals, sidewinder: Path, tmp_path: Path) -> None:
    process = start_endless(sidewinder, tmp_path, "--workers=3")
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"interrupted: " in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "old"


def test_stopped_it_ends_its_processes(sidewinder: Path, tmp_path: Path) -> None:
    environment = dict(os.environ, TMPDIR=str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    marker = tmp_path / "pid"
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {marker}.new\nmv {marker}.new {marker}\nwait\n")
    program.chmod(0o755)
    process = subprocess.Popen(
        [sidewinder, "fractal", "--size=50x50", "--engine=python", "--python", program, "-o", tmp_path / "a.png"],
        stderr=subprocess.PIPE,
        env=environment,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    pid = int(marker.read_text())
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)
    assert list((tmp_path / "temp").iterdir()) == []
    assert not (tmp_path / "a.png").exists()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_server_with_impatient_clients(sidewinder: Path) -> None:
    """Most requests are dropped at once; the server answers all others and ends cleanly."""
    process = subprocess.Popen(
        [sidewinder, "fractal", "--serve", "--listen", "127.0.0.1:0", "--workers", "2"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    host = process.stderr.readline().decode().split("http://")[1].strip().rstrip("/")
    address = (host.rpartition(":")[0], int(host.rpartition(":")[2]))
    faults: list[str] = []

    def client(number: int) -> None:
        for step in range(40):
            zoom = ("1", "50", "1e20", "1e25")[(number + step) % 4]
            query = f"width=1200&height=800&x={step % 5}&y={number % 4}&zoom={zoom}&iterations=2000"
            with socket.create_connection(address, timeout=PATIENCE_S) as connection:
                connection.sendall(f"GET /tile?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                if (number + step) % 3 == 0:
                    answer = connection.recv(64)
                    if not answer.startswith(b"HTTP/1.1 200 "):
                        faults.append(repr(answer))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said.decode()
    assert faults == []


@contextmanager
def server(sidewinder: Path, *words: str) -> Iterator[tuple[str, str]]:
    """Its host with port, and the address it tells."""
    process = subprocess.Popen(
        [sidewinder, "fractal", "--serve", "--listen", "127.0.0.1:0", "--workers", "2", *words], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        told = process.stderr.readline().decode().removeprefix("sidewinder: explore at ").strip()
        yield told.removeprefix("http://").partition("/")[0], told
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said.decode()


def connect(host: str, path: str, **headers: str) -> socket.socket:
    """A connection that has asked for `path`."""
    name, _, port = host.rpartition(":")
    connection = socket.create_connection((name, int(port)), timeout=PATIENCE_S)
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def ask(host: str, path: str, **headers: str) -> tuple[int, bytes]:
    """The status of the answer, and the first of its bytes."""
    with connect(host, path, **headers) as connection:
        answer = connection.recv(4096)
    return int(answer.split()[1]), answer


def test_server_drops_what_nobody_waits_for(sidewinder: Path) -> None:
    """Clients that ask for what takes hours and just close: no orbit of this Siegel disc ever repeats."""
    place = "kind=julia&jre=-0.3905408702184&jim=-0.586787907346969&re=0&im=0&zoom=30&iterations=50000000"
    with server(sidewinder) as (host, _):
        for palette in ("dusk", "moss", "ember"):
            connect(host, f"/tile?{place}&palette={palette}").close()
        assert ask(host, "/tile?zoom=1")[0] == 200


def test_server_answers_its_own_page_only(sidewinder: Path) -> None:
    with server(sidewinder) as (host, _):
        for path in ("/tile?zoom=1", "/defaults"):
            assert ask(host, path)[0] == 200
            assert ask(host, path, Origin=f"http://{host}", Sec_Fetch_Site="same-origin")[0] == 200
            assert ask(host, path, Sec_Fetch_Site="none")[0] == 200
            assert ask(host, path, Origin="http://evil.example")[0] == 403
            assert ask(host, path, Origin="null")[0] == 403
            assert ask(host, path, Sec_Fetch_Site="cross-site")[0] == 403
            assert ask(host, path, Sec_Fetch_Site="same-site")[0] == 403
        assert ask(host, "/", Sec_Fetch_Site="cross-site")[0] == 200  # a link to the page


def test_server_bounds_the_memory_of_a_deep_tile(sidewinder: Path) -> None:
    with server(sidewinder) as (host, _):
        status, answer = ask(host, "/tile?zoom=1e20&re=-0.1&im=0.05&iterations=130000000")
        assert status == 400
        assert b"130000000 iterations are too many for a zoom this deep" in answer
        assert ask(host, "/tile?zoom=20&re=-0.1&im=0&iterations=130000000")[0] == 200


def test_server_shows_the_view_that_was_asked_for(sidewinder: Path) -> None:
    with server(sidewinder) as (host, told):
        assert told == f"http://{host}/"
    words = ["--center=-1.5,1.5e+0", "--zoom=1e+20", "--palette=moss", "--iterations=500"]
    with server(sidewinder, *words) as (host, told):
        shown = "#kind=mandelbrot&re=-1.5&im=1.5e0&zoom=1e20&palette=moss&iterations=500"
        assert told == f"http://{host}/{shown}"
    with server(sidewinder, "--julia=0.25,-0.5") as (host, told):
        assert told == f"http://{host}/#kind=julia&re=0&im=0&zoom=1&palette=dusk&jre=0.25&jim=-0.5"


def test_progress_on_a_terminal(sidewinder: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sidewinder, "fractal", "--plain", "--size=4000x4000", "--iterations=1000000", "--workers=2", "-o", "a.png"],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    os.close(theirs)
    said = bytearray()
    is_shown = threading.Event()

    def listen() -> None:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                return
            if not part:
                return
            said.extend(part)
            if b"iterations/s" in said and b"worker 2" in said:
                is_shown.set()

    reader = threading.Thread(target=listen)
    reader.start()
    was_shown = is_shown.wait(PATIENCE_S)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=PATIENCE_S)
    reader.join()
    os.close(ours)
    assert was_shown, bytes(said)
    assert b"%" in said


def filtered_rows(data: bytes) -> list[bytes]:
    """The rows as they are in the file: each begins with its filter, which follows from it and the row above."""
    inflater, raw, at = zlib.decompressobj(), bytearray(), 8
    width, height = struct.unpack_from(">II", data, 16)
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            raw += inflater.decompress(data[at + 8 : at + 8 + length])
        at += length + 12
    assert inflater.eof
    size = width * 3 + 1
    assert len(raw) == height * size
    return [bytes(raw[y * size : (y + 1) * size]) for y in range(height)]


def test_large_pictures_are_made_in_bands(sidewinder: Path, tmp_path: Path) -> None:
    """More than one band: 65535 columns leave 320 rows in 64 MiB. The rows around the seam are those of a picture of one."""
    step = 2.0**-14  # between points, so that both pictures have the same ones to the last bit
    rows: dict[int, list[bytes]] = {}
    for height, up in ((420, 110), (40, 0)):  # the small one is rows 300 to 339 of the large one
        view = [f"--size=65535x{height}", f"--zoom={3 / (height * step)!r}", f"--center=-0.75,{0.5 + up * step!r}"]
        more = ["--iterations=20", "--no-smooth", "--workers=2", "-q", "--json"]
        done = run(sidewinder, *view, *more, "-o", str(tmp_path / "a.png"))
        assert json.loads(done.stdout)["pixels"] == 65535 * height
        rows[height] = filtered_rows((tmp_path / "a.png").read_bytes())
    assert rows[420][301:340] == rows[40][1:]
    assert len(set(rows[40])) == 40
