"""A cluster that cannot be had is one clear sentence, and never a wait without an end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.submission.clusters import Cluster, Done, free_ports
from tests.submission.proxies import Proxy

pytestmark = pytest.mark.ray

OTHER, NONE = "another-token-0123456789-0123456789", ""


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A web server that says the same to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def nobody(tmp_path: Path) -> Cluster:
    """The commands of a cluster that was never started."""
    made = Cluster(tmp_path, tmp_path)
    made.address = f"http://127.0.0.1:{free_ports(1)[0]}"
    return made


def refused(done: Done, told: str, code: int = 1) -> None:
    assert done.code == code, done.said
    assert done.said.startswith("Error: "), done.said
    assert told in done.said
    assert len(done.said.strip().splitlines()) == 1, done.said


def test_an_address_where_nobody_listens(nobody: Cluster) -> None:
    refused(nobody.raysuite("jobs", "list"), f"cannot reach the cluster at {nobody.address}: nothing listens there")


def test_an_address_of_another_kind(nobody: Cluster) -> None:
    refused(nobody.raysuite("jobs", "list", "--address", "ray://head:10001"), "take that of the dashboard")
    refused(nobody.raysuite("jobs", "list", "--address", "http://me:word@head:8265"), "has a password in it")


def test_a_server_that_is_not_ray(nobody: Cluster) -> None:
    for status, body in ((200, "<html>hello"), (404, "nothing"), (200, '{"version": "1"}')):
        with answering(status, body) as address:
            refused(nobody.raysuite("jobs", "list", "--address", address), "is not Ray's dashboard")


def test_a_cluster_with_another_ray(nobody: Cluster) -> None:
    with answering(200, json.dumps({"version": "4", "ray_version": "2.40.0"})) as address:
        refused(nobody.raysuite("jobs", "list", "--address", address), "runs Ray 2.40.0, but raysuite needs Ray 2.60")


def test_the_address_given_counts_and_not_the_one_of_rays_environment(cluster: Cluster, nobody: Cluster) -> None:
    done = nobody.raysuite("jobs", "list", "--address", cluster.address, RAY_ADDRESS="127.0.0.1:1")
    assert done.code == 0, done.said


def test_a_wrong_token_and_a_missing_one(cluster: Cluster) -> None:
    refused(cluster.raysuite("jobs", "list", RAY_AUTH_TOKEN=OTHER), "take this token")
    done = cluster.raysuite("submit", "--", "report", "s3://b/r", RAY_AUTH_TOKEN=OTHER)
    refused(done, "RAY_AUTH_TOKEN_PATH")
    refused(cluster.raysuite("jobs", "list", RAY_AUTH_TOKEN=NONE), "there is no token here for the cluster")
    refused(cluster.raysuite("jobs", "list", RAY_AUTH_MODE="disabled"), "wants a token; set RAY_AUTH_MODE=token")


def test_a_job_that_is_not_there(cluster: Cluster) -> None:
    for words in (("status",), ("logs", "--follow"), ("stop",), ("wait",), ("fetch", "--to", "x")):
        refused(cluster.raysuite("jobs", words[0], "nothing-such", *words[1:]), "the cluster has no job nothing-such")


def test_a_log_is_shown_once_and_whole_over_connections_that_break(cluster: Cluster, tmp_path: Path) -> None:
    count = 30
    script = f"for i in $(seq {count}); do echo line $i; sleep 0.1; done; exit 7"
    with Proxy(cluster.port) as proxy:
        log = tmp_path / "log"
        words = ("submit", "--allow-command", "--address", f"http://127.0.0.1:{proxy.port}", "--", "sh", "-c", script)
        process = cluster.begin(log, *words)
        try:
            for line in (5, 15, 22):
                while f"line {line}\n" not in log.read_text():
                    assert process.poll() is None, log.read_text()
                    threading.Event().wait(0.05)
                proxy.cut()
            code = process.wait(60)
        finally:
            process.kill()
    said = log.read_text()
    assert [line for line in said.splitlines() if line.startswith("line ")] == [f"line {i + 1}" for i in range(count)]
    assert code == 7, said
    assert "it ended with code 7" in said
