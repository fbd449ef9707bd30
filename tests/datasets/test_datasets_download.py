"""Tests of finding data sets: places, cache, checksums and broken downloads."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sklmeta.datasets import (
    ChecksumError,
    DatasetNotFoundError,
    get_data_home,
)
from sklmeta.datasets._base import Remote, Source, _locked, locate

CONTENT = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def no_local_copy(monkeypatch):
    monkeypatch.delenv("SKLMETA_DATA", raising=False)


class Server:
    """A home of files that can break off, forget ranges, or change its files."""

    def __init__(self):
        self.files = {}
        self.etag = '"one"'
        self.break_after = []  # bytes after which the next answers are cut
        self.ranges = True
        self.shift = 0  # error in the range that is announced
        self.requests = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answer(self)

            def log_message(self, *args):
                """Keep the tests' output clean."""

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serve = partial(self.httpd.serve_forever, poll_interval=0.01)
        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()

    def url(self, name):
        return f"http://127.0.0.1:{self.httpd.server_port}/{name}"

    def answer(self, request):
        name = request.path.lstrip("/")
        self.requests.append((name, request.headers.get("Range")))
        if name not in self.files:
            request.send_error(404)
            return
        content, start = self.files[name], 0
        wanted = request.headers.get("Range")
        same = request.headers.get("If-Range") == self.etag
        if wanted and self.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                request.send_error(416)
                return
        request.send_response(206 if start else 200)
        body = content[start:]
        request.send_header("Content-Length", str(len(body)))
        if start:
            first = start + self.shift
            value = f"bytes {first}-{len(content) - 1}/{len(content)}"
            request.send_header("Content-Range", value)
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        if self.break_after:
            body = body[: self.break_after.pop(0)]
        request.wfile.write(body)

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()


@pytest.fixture
def server():
    server = Server()
    server.files["table.data"] = CONTENT
    yield server
    server.close()


def source_of(server, name="table.data", files=("table.data",), checksums=None):
    return Source("toy", (Remote(server.url(name), files),), checksums or {})


def get(source, home, n_retries=0, download_if_missing=True):
    return locate(source, home, download_if_missing, n_retries, delay=0.0)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def leftovers(folder):
    """Files in the cache that are neither data, records nor locks."""
    return [p.name for p in folder.iterdir() if ".part" in p.name or p.name[0] == "."]


def test_download_then_cache(server, tmp_path, no_local_copy):
    source = source_of(server, checksums={"table.data": sha256(CONTENT)})
    path = get(source, tmp_path)["table.data"]
    assert path == tmp_path / "toy" / "table.data"
    assert path.read_bytes() == CONTENT
    assert leftovers(path.parent) == []
    get(source, tmp_path)
    assert len(server.requests) == 1


def test_interrupted_download_is_resumed(server, tmp_path, no_local_copy):
    source = source_of(server, checksums={"table.data": sha256(CONTENT)})
    server.break_after = [100_000]
    with pytest.raises(DatasetNotFoundError, match="stopped after 100000 of 512000"):
        get(source, tmp_path)
    part = tmp_path / "toy" / "table.data.part"
    assert part.read_bytes() == CONTENT[:100_000]
    assert not (tmp_path / "toy" / "table.data").exists()
    path = get(source, tmp_path)["table.data"]
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == ("table.data", "bytes=100000-")
    assert leftovers(path.parent) == []


def test_retries_go_on_within_one_call(server, tmp_path, no_local_copy):
    server.break_after = [50_000, 70_000]
    path = get(source_of(server), tmp_path, n_retries=2)["table.data"]
    assert path.read_bytes() == CONTENT
    ranges = [wanted for _, wanted in server.requests]
    assert ranges == [None, "bytes=50000-", "bytes=120000-"]


@pytest.mark.parametrize("how", ["no ranges", "changed", "no validator", "weak"])
def test_never_joins_two_versions(how, server, tmp_path, no_local_copy):
    if how in ("no validator", "weak"):
        server.etag = None if how == "no validator" else 'W/"one"'
    server.break_after = [100_000]
    with pytest.raises(DatasetNotFoundError):
        get(source_of(server), tmp_path)
    server.files["table.data"] = expected = CONTENT[::-1]
    server.etag = '"two"' if how == "changed" else server.etag
    server.ranges = how != "no ranges"
    path = get(source_of(server), tmp_path)["table.data"]
    assert path.read_bytes() == expected


def test_server_that_sends_another_range(server, tmp_path, no_local_copy):
    server.break_after = [100_000]
    server.shift = 7
    path = get(source_of(server), tmp_path, n_retries=2)["table.data"]
    assert path.read_bytes() == CONTENT
    ranges = [wanted for _, wanted in server.requests]
    assert ranges == [None, "bytes=100000-", None]


def test_part_that_is_already_whole(server, tmp_path, no_local_copy):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "table.data.part").write_bytes(CONTENT)
    (folder / "table.data.part.validator").write_text(server.etag)
    path = get(source_of(server), tmp_path)["table.data"]
    assert path.read_bytes() == CONTENT


def test_download_with_wrong_checksum(server, tmp_path, no_local_copy):
    source = source_of(server, checksums={"table.data": "0" * 64})
    with pytest.raises(ChecksumError, match="Nothing was kept"):
        get(source, tmp_path)
    assert not (tmp_path / "toy" / "table.data").exists()
    assert leftovers(tmp_path / "toy") == []


@pytest.mark.parametrize("known", [True, False])
def test_damaged_cache(known, server, tmp_path, no_local_copy):
    checksums = {"table.data": sha256(CONTENT)} if known else {}
    source = source_of(server, checksums=checksums)
    path = get(source, tmp_path)["table.data"]
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ChecksumError, match="Delete it to download it again"):
        get(source, tmp_path)
    path.unlink()
    assert get(source, tmp_path)["table.data"].read_bytes() == CONTENT


def test_trust_on_first_use_is_recorded(server, tmp_path, no_local_copy):
    path = get(source_of(server), tmp_path)["table.data"]
    record = path.with_name("table.data.sha256")
    assert record.read_text().split() == [sha256(CONTENT), "table.data"]
    record.unlink()  # as if the user had put the file there
    get(source_of(server), tmp_path)
    assert record.read_text().split() == [sha256(CONTENT), "table.data"]


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zip_of), ("a.tar.gz", tar_of)])
def test_archives(name, pack, server, tmp_path, no_local_copy):
    server.files[name] = pack({"deep/../one": b"1", "two": b"22", "three": b"333"})
    source = source_of(server, name, ("one", "two"), {"one": sha256(b"1")})
    paths = get(source, tmp_path)
    assert {k: p.read_bytes() for k, p in paths.items()} == {"one": b"1", "two": b"22"}
    kept = sorted(p.name for p in (tmp_path / "toy").iterdir())
    assert kept == [f"{name}.lock", "one", "two", "two.sha256"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_broken_archives(name, server, tmp_path, no_local_copy):
    server.files[name] = b"no archive"
    with pytest.raises(DatasetNotFoundError, match="not a readable archive"):
        get(source_of(server, name, ("one",)), tmp_path)
    pack = zip_of if name == "a.zip" else tar_of
    server.files[name] = pack({"other": b"1"})
    with pytest.raises(DatasetNotFoundError, match="holds no file 'one'"):
        get(source_of(server, name, ("one",)), tmp_path)
    assert leftovers(tmp_path / "toy") == []


def test_threads_do_not_disturb_each_other(server, tmp_path, no_local_copy):
    source = source_of(server)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: get(source, tmp_path), range(8)))
    assert all(path["table.data"].read_bytes() == CONTENT for path in paths)
    assert len(server.requests) == 1
    assert leftovers(tmp_path / "toy") == []


SCRIPT = """
import sys
from sklmeta.datasets._base import Remote, Source, locate
source = Source("toy", (Remote(sys.argv[1], ("table.data",)),), {})
print("ready", flush=True)
print(locate(source, sys.argv[2], True, 0, 0.0)["table.data"])
"""


def test_a_process_waits_for_the_download_of_another(server, tmp_path, no_local_copy):
    folder = tmp_path / "toy"
    folder.mkdir()
    command = [sys.executable, "-c", SCRIPT, server.url("table.data"), str(tmp_path)]
    with _locked(folder / "table.data.lock"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        (folder / "table.data").write_bytes(CONTENT)
    output, _ = process.communicate(timeout=60)
    assert output.strip() == str(folder / "table.data")
    assert server.requests == []


def test_missing_at_its_home_is_not_retried(server, tmp_path, no_local_copy):
    source = source_of(server, "gone.data", ("gone.data",))
    with pytest.raises(DatasetNotFoundError, match=r"failed: HTTPError.*404"):
        get(source, tmp_path, n_retries=3)
    assert len(server.requests) == 1


def test_server_down(server, tmp_path, no_local_copy):
    source = source_of(server)
    server.httpd.server_close()
    with pytest.raises(DatasetNotFoundError, match="set the environment variable"):
        get(source, tmp_path)


def test_local_copy_comes_first_and_is_not_checked(server, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    (mine / "toy").mkdir(parents=True)
    (mine / "toy" / "table.data").write_bytes(b"my own")
    monkeypatch.setenv("SKLMETA_DATA", str(mine))
    source = source_of(server, checksums={"table.data": sha256(CONTENT)})
    assert get(source, tmp_path / "home")["table.data"].read_bytes() == b"my own"
    assert server.requests == []
    (mine / "toy" / "table.data").unlink()
    assert get(source, tmp_path / "home")["table.data"].read_bytes() == CONTENT


def test_get_data_home(tmp_path):
    assert get_data_home() == Path.home() / "sklmeta_data"
    assert get_data_home(tmp_path) == tmp_path
    assert get_data_home("~/here") == Path.home() / "here"
