"""``ops/nginx.conf`` in front of the service, in Debian's nginx: HTTP/2, events as they come, slow clients cut off."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.databases import ROOT, SQLite, manage, skip
from tests.servers import Server, free_port

SHELL = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
"""What Debian's own nginx.conf has around a site, as far as it matters here."""

CERTIFICATE = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
SHORT = "2s"
"""In place of the configuration's time-outs, so that the tests need not wait for them."""


@dataclass(frozen=True)
class Front:
    """nginx, and the server behind it. ``log`` is nginx' access log."""

    url: str
    port: int
    server: Server
    log: Path

    def curl(self, *arguments: str) -> subprocess.Popen[bytes]:
        """``curl`` over HTTP/2; without a buffer of its own."""
        return subprocess.Popen(["curl", "-sSkN", "--http2", *arguments], stdout=subprocess.PIPE)


@pytest.fixture(scope="module")
def front(sqlite: SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx with the configuration that is shipped, but for addresses, certificate and shorter time-outs."""
    for command in ("nginx", "openssl", "curl"):
        if shutil.which(command) is None:
            skip(f"{command} is not installed (Debian: apt-get install {command})")
    folder = tmp_path_factory.mktemp("nginx")
    url = sqlite.new()
    port, plain = (free_port(tmp_path_factory) for _ in range(2))
    manage(url, "createsuperuser", "--noinput", "--username=admin", "--email=", DJANGO_SUPERUSER_PASSWORD="secret")
    server = Server(
        url,
        folder,
        STREAM_HEARTBEAT_SECONDS="0.5",
        CSRF_TRUSTED_ORIGINS=f"https://localhost:{port}",
        COOKIES_SECURE="1",
    )
    (folder / "site.conf").write_text(_site(folder, port, plain, server.port))
    (folder / "nginx.conf").write_text(SHELL.format(folder=folder))
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", *CERTIFICATE.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    nginx = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), *_as_root()])
    try:
        server.start()
        front = Front(f"https://localhost:{port}", port, server, folder / "access.log")
        _wait_for(lambda: _answers(front.url))
        yield front
    finally:
        nginx.terminate()
        nginx.wait(10)
        server.kill()


def test_events_come_one_by_one_over_http_2(front: Front) -> None:
    front.server.begin("live", "/count 10000 20")
    with front.curl("-i", f"{front.url}/api/v1/stream?user_id=u1&stream_id=live") as curl:
        assert curl.stdout
        status = curl.stdout.readline()
        head = b"".join(iter(curl.stdout.readline, b"\r\n")).lower()
        assert status.startswith(b"HTTP/2 200") and b"text/event-stream" in head and b"content-encoding" not in head
        for line in curl.stdout:
            if line == b"id: 5\n":
                break
        assert front.server.snapshot("live")["status"] == "streaming", "nothing was held back until its end"
        curl.kill()
    assert front.server.post("/api/v1/stream/live/cancel?user_id=u1").status_code == 200


def test_a_stream_that_says_nothing_outlives_the_proxys_patience(front: Front) -> None:
    silence = 3 + float(SHORT[:-1])
    asked = f"user_id=u1&stream_id=silent&message=/sleep+{silence}"
    with front.curl(f"{front.url}/api/v1/stream?{asked}") as curl:
        assert curl.stdout
        body = curl.stdout.read()
    assert b"event: heartbeat" in body and b"event: done" in body


def test_a_slow_header_client_is_cut_off_while_others_are_served(front: Front) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    slow = [context.wrap_socket(socket.create_connection(("127.0.0.1", front.port), 10)) for _ in range(20)]
    began = time.monotonic()
    try:
        for each in slow:
            each.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        while any(not _is_closed(each) for each in slow):
            assert time.monotonic() - began < 60
            for each in slow:
                _trickle(each)
            assert _answers(front.url), "those who ask in full are answered meanwhile"
            time.sleep(0.2)
    finally:
        for each in slow:
            each.close()
    assert time.monotonic() - began > 1, "they had their chance"


def test_metrics_stay_inside_and_queries_out_of_the_log(front: Front) -> None:
    with httpx.Client(base_url=front.url, verify=False, trust_env=False, timeout=30) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/ready?message=a-prompt").status_code == 200
    _wait_for(lambda: "/ready" in front.log.read_text())
    assert "a-prompt" not in front.log.read_text()
    forwarded = {"X-Forwarded-For": "1.2.3.4"}
    direct = httpx.get(f"{front.server.url}/metrics", headers=forwarded, timeout=30, trust_env=False)
    assert direct.status_code == 403


def test_the_admin_takes_a_login_over_https(front: Front) -> None:
    with httpx.Client(base_url=front.url, verify=False, trust_env=False, timeout=30) as client:
        page = client.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token and "Secure" in page.headers["Set-Cookie"]
        login = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        answer = client.post("/admin/login/", data=login, headers={"Origin": front.url, "Referer": front.url})
    assert answer.status_code == 302


def test_a_start_and_a_resume_through_the_proxy(front: Front) -> None:
    with httpx.Client(base_url=front.url, verify=False, trust_env=False, timeout=30) as client:
        asked = {"user_id": "u1", "stream_id": "twice", "message": "/count 20 0"}
        headers = {"Accept": "application/json", "Origin": front.url}
        assert (
            client.post(
                "/api/v1/stream", content=json.dumps(asked), headers={**headers, "Content-Type": "application/json"}
            ).status_code
            == 201
        )
        whole = client.get("/api/v1/stream", params={"user_id": "u1", "stream_id": "twice"}).content
        rest = client.get("/api/v1/stream", params={"user_id": "u1", "stream_id": "twice", "last_event_id": 9}).content
    assert rest.split(b"id: 10\n")[1] == whole.split(b"id: 10\n")[1]


def _site(folder: Path, port: int, plain: int, upstream: int) -> str:
    """The shipped configuration with what a test has to change; each change must find its place."""
    text = (ROOT / "ops" / "nginx.conf").read_text()
    changes = (
        (r"server 127\.0\.0\.1:8000;", f"server 127.0.0.1:{upstream};"),
        (r"listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"/etc/letsencrypt\S+fullchain\.pem", f"{folder}/certificate.pem"),
        (r"/etc/letsencrypt\S+privkey\.pem", f"{folder}/key.pem"),
        (r"/var/log/nginx/magic\.log", f"{folder}/access.log"),
        (r"client_header_timeout 10s;", f"client_header_timeout {SHORT};"),
        (r"proxy_read_timeout 60s;", f"proxy_read_timeout {SHORT};"),
    )
    for pattern, place in changes:
        text, found = re.subn(pattern, place, text)
        assert found, pattern
    return text


def _as_root() -> list[str]:
    """Root's workers must be able to write into the test's folder."""
    return ["-g", "user root;"] if subprocess.run(["id", "-u"], capture_output=True, text=True).stdout == "0\n" else []


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", verify=False, trust_env=False, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def _trickle(connection: ssl.SSLSocket) -> None:
    try:
        connection.sendall(b"X: y\r\n")
    except OSError:
        connection.close()


def _is_closed(connection: ssl.SSLSocket) -> bool:
    return connection.fileno() < 0


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
