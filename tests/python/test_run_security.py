"""Who gets in: loopback, tokens, Host and Origin, by raw requests as a hostile page or client would send them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.python.engine_process import TIMEOUT_S, Engine, receive_all, status_of

TOKEN = "correct-horse-battery"
SOURCE = ["--source", "ingest://rows", "--columns", "v"]


@pytest.fixture(scope="module")
def open_engine(sidewinder: Path) -> Iterator[Engine]:
    """On loopback, without a token."""
    with Engine(sidewinder, *SOURCE, "--listen", "127.0.0.1:0", "--host", "lab.example.org") as engine:
        yield engine


@pytest.fixture(scope="module")
def locked_engine(sidewinder: Path) -> Iterator[Engine]:
    with Engine(sidewinder, *SOURCE, "--listen", "127.0.0.1:0", SIDEWINDER_TOKEN=TOKEN) as engine:
        yield engine


def ask(engine: Engine, line: str, *headers: str, body: str = "") -> bytes:
    head = [f"{line} HTTP/1.1", *headers, "Connection: close"]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return engine.exchange(("\r\n".join(head) + "\r\n\r\n" + body).encode())


def upgrade(host: str) -> list[str]:
    return [
        f"Host: {host}",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version: 13",
    ]


def websocket_status(engine: Engine, path: str, *headers: str) -> int:
    with engine.connect() as connection:
        connection.sendall(
            ("\r\n".join([f"GET {path} HTTP/1.1", *headers, "Connection: Upgrade"]) + "\r\n\r\n").encode()
        )
        return status_of(connection.recv(4096))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:{port}",
        "127.0.0.1",
        "localhost:{port}",
        "LOCALHOST",
        "lab.example.org",
        "lab.example.org:9",
        "[::1]:{port}",
    ],
)
def test_own_hosts(host: str, open_engine: Engine) -> None:
    assert status_of(ask(open_engine, "GET /api/streams", f"Host: {host.format(port=open_engine.port)}")) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "lab.example.org.",
        "0.0.0.0:{port}",
        "10.0.0.1",
    ],
)
@pytest.mark.parametrize("line", ["GET /", "GET /api/query", "GET /metrics", "GET /live", "POST /ingest/rows"])
def test_foreign_hosts(line: str, host: str, open_engine: Engine) -> None:
    """DNS rebinding: a name of the attacker that now leads here."""
    rows = open_engine.rows_total()
    assert (
        status_of(
            ask(open_engine, line, f"Host: {host.format(port=open_engine.port)}", body="1\n" if "POST" in line else "")
        )
        == 421
    )
    assert open_engine.rows_total() == rows


@pytest.mark.parametrize("headers", [[], ["Host: localhost", "Host: evil.example"], ["Host: "]])
def test_no_host_or_two(headers: list[str], open_engine: Engine) -> None:
    assert status_of(ask(open_engine, "GET /api/streams", *headers)) in (400, 421)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}.evil.example", "http://localhost.evil.example"]
)
def test_foreign_pages_neither_feed_nor_read(origin: str, open_engine: Engine) -> None:
    host = f"127.0.0.1:{open_engine.port}"
    line = f"Origin: {origin.format(port=open_engine.port)}"
    rows = open_engine.rows_total()
    assert (
        status_of(ask(open_engine, "POST /ingest/rows", f"Host: {host}", line, "Content-Type: text/plain", body="1\n"))
        == 403
    )
    assert open_engine.rows_total() == rows
    assert websocket_status(open_engine, "/live", *upgrade(host), line) == 403
    answer = ask(open_engine, "GET /api/streams", f"Host: {host}", line)
    assert b"access-control-allow" not in answer.lower(), "a browser keeps the answer from the page"


def test_own_page_feeds_and_reads(open_engine: Engine) -> None:
    host = f"127.0.0.1:{open_engine.port}"
    assert (
        status_of(ask(open_engine, "POST /ingest/rows", f"Host: {host}", f"Origin: http://{host}", body="1\n")) == 202
    )
    assert websocket_status(open_engine, "/live", *upgrade(host), f"Origin: http://{host}") == 101
    assert websocket_status(open_engine, "/live", *upgrade(host)) == 101, "programs send no Origin"


def test_the_page_holds_no_data_and_asks_for_the_token(locked_engine: Engine) -> None:
    answer = locked_engine.request("/")
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    assert locked_engine.request("/", Host="evil.example").status == 421


@pytest.mark.parametrize("path", ["/health", "/metrics", "/api/streams", "/api/query", "/live", "/nothing"])
def test_token_is_wanted_everywhere(path: str, locked_engine: Engine) -> None:
    assert locked_engine.request(path).status == 401
    assert locked_engine.request(path, Authorization="Bearer wrong-horse-battery").status == 401
    assert locked_engine.request(path, Authorization=f"Bearer {TOKEN}x").status == 401
    assert locked_engine.request(path, Authorization=f"Basic {TOKEN}").status == 401
    assert locked_engine.request(f"{path}?token=wrong").status == 401
    assert locked_engine.request(path, Cookie="sidewinder=1; token=" + TOKEN).status == 401


def test_page_alone_comes_without_the_token(locked_engine: Engine) -> None:
    """It holds no data and asks for the token; a foreign name does not even get that, and nobody gets a cookie for nothing."""
    for path in ("/", "/?token=wrong"):
        answer = locked_engine.request(path)
        assert answer.status == 200
        assert b"<html" in answer.body
        assert "Set-Cookie" not in answer.headers
    assert locked_engine.request("/", "POST", b"x").status in (401, 405)
    assert status_of(ask(locked_engine, "GET /", "Host: evil.example")) == 421


def test_token_is_wanted_for_rows_and_live(locked_engine: Engine) -> None:
    assert locked_engine.request("/ingest/rows", "POST", b"1\n").status == 401
    assert locked_engine.request("/ingest/rows", "POST", b"1\n", Authorization=f"Bearer {TOKEN}").status == 202
    host = f"127.0.0.1:{locked_engine.port}"
    assert websocket_status(locked_engine, "/live", *upgrade(host)) == 401
    assert websocket_status(locked_engine, f"/live?token={TOKEN}", *upgrade(host)) == 101


def test_token_opens(locked_engine: Engine) -> None:
    assert locked_engine.request("/api/streams", Authorization=f"Bearer {TOKEN}").status == 200
    assert locked_engine.request("/api/query?last=3&token=" + TOKEN).status == 200


def test_token_in_the_address_leaves_a_cookie(locked_engine: Engine) -> None:
    answer = locked_engine.request(f"/?token={TOKEN}")
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie, "who reads the cookie does not learn the token"
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert locked_engine.request("/api/streams", Cookie=cookie.split(";")[0]).status == 200
    name, value = cookie.split(";")[0].split("=")
    assert locked_engine.request("/api/streams", Cookie=f"{name}={value[:-1]}").status == 401
    assert "Set-Cookie" not in locked_engine.request("/?token=wrong").headers


def test_foreign_page_with_the_cookie_of_its_visitor(locked_engine: Engine) -> None:
    cookie = locked_engine.request(f"/?token={TOKEN}").headers["Set-Cookie"].split(";")[0]
    answer = locked_engine.request("/ingest/rows", "POST", b"1\n", Cookie=cookie, Origin="http://evil.example")
    assert answer.status == 403


def test_token_from_a_file(sidewinder: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\r\nsecond line\n")
    words = [*SOURCE, "--token-file", str(tmp_path / "token"), "--listen", "127.0.0.1:0"]
    with Engine(sidewinder, *words, SIDEWINDER_TOKEN="another-token-altogether") as engine:
        assert engine.request("/health", Authorization=f"Bearer {TOKEN}").status == 200
        assert engine.request("/health", Authorization="Bearer another-token-altogether").status == 401
        assert TOKEN not in engine.stderr
        assert engine.request("/health", Authorization=f"Bearer {TOKEN}").headers.get("Set-Cookie") is None


def test_wildcard_listener_with_a_token(sidewinder: Path) -> None:
    with Engine(sidewinder, *SOURCE, "--listen", "0.0.0.0:0", SIDEWINDER_TOKEN=TOKEN) as engine:
        assert engine.request("/health").status == 401
        assert engine.request("/health", Authorization=f"Bearer {TOKEN}").status == 200
        assert status_of(ask(engine, "GET /health", "Host: evil.example", f"Authorization: Bearer {TOKEN}")) == 421


def test_no_auth_is_an_explicit_choice(sidewinder: Path) -> None:
    with Engine(sidewinder, *SOURCE, "--listen", "0.0.0.0:0", "--no-auth", SIDEWINDER_TOKEN=TOKEN) as engine:
        assert engine.request("/health").status == 200
        assert status_of(ask(engine, "GET /health", "Host: evil.example")) == 421


def test_loopback_listener_is_not_reachable_from_outside(open_engine: Engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, open_engine.port), timeout=TIMEOUT_S)


def test_page_may_load_nothing_foreign(open_engine: Engine) -> None:
    headers = {name.lower(): value for name, value in open_engine.request("/").headers.items()}
    assert "default-src" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(method: str, open_engine: Engine) -> None:
    assert open_engine.request("/api/streams", method).status in (405, 501)


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/%2e%2e/etc/passwd", "/api/%00", "//health", "/ingest/../health", "/ingest/rows/x"]
)
def test_odd_paths(path: str, open_engine: Engine) -> None:
    answer = ask(open_engine, f"GET {path}", f"Host: 127.0.0.1:{open_engine.port}")
    assert status_of(answer) in (400, 404)
    assert b"root:" not in answer


def test_connection_that_says_nothing_is_left_alone_and_closed(open_engine: Engine) -> None:
    with open_engine.connect() as connection:
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b""
