"""Pictures at addresses: each failure a reason, no secret kept, the file as that of the folder."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from awkward_server import awkward_server
from typed_commands import Typist

from extract.__main__ import main as extract_command
from extract.addresses import free_of_credentials, without_credentials
from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.catalog.manifest import ManifestColumns, TableOptions, list_manifest
from extract.images.reading import read_picture
from extract.pipeline import prefetch
from extract.pipeline.extraction import extract_embeddings
from extract.pipeline.monitor import Monitor
from extract.pipeline.options import Options
from extract.refusals import Reason, Refused
from extract.sources import downloads, places
from extract.sources.fetching_ahead import Ahead
from extract.sources.places import stat_picture
from extract.storage.embeddings_file import read_embeddings

SECRET = "s3cr3t0f1e"
OPTIONS = Options(batch_size=4, runtime="eager", decoder="reference", dtype="fp32", workers=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(pictures: Path) -> Iterator[Any]:
    with awkward_server(pictures) as served:
        yield served


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (
        ("PAUSE_SECONDS", 0.01),
        ("SILENCE_SECONDS", 0.15),
        ("TOTAL_SECONDS", 5.0),
        ("MOST_PAUSE_SECONDS", 0.05),
    ):
        monkeypatch.setattr(downloads, name, value)
    forget_connections = downloads._client.cache_clear
    forget_connections()
    yield
    forget_connections()


ANSWERS = {
    "none": (Reason.MISSING, "status 404"),
    "status/410": (Reason.MISSING, "status 410"),
    "status/401": (Reason.PERMISSION, "status 401"),
    "status/403": (Reason.PERMISSION, "status 403"),
    "status/500": (Reason.UNREACHABLE, "status 500.*in 3 tries"),
    "status/418": (Reason.UNREACHABLE, "status 418"),
    "status/204": (Reason.UNREACHABLE, "status 204"),
    "patience": (Reason.UNREACHABLE, "status 429.*in 3 tries"),
    "empty": (Reason.EMPTY, "empty"),
    "loop": (Reason.UNREACHABLE, "on and on"),
    "to?ftp://shop.example/a.jpg": (Reason.UNREACHABLE, "from http to ftp"),
    "to?file:///etc/passwd": (Reason.UNREACHABLE, "from http to file"),
    "to?http://[": (Reason.UNREACHABLE, "failed"),
    "silence": (Reason.UNREACHABLE, "silent"),
    "stall": (Reason.UNREACHABLE, "silent"),
    "drip": (Reason.UNREACHABLE, "not there in"),
    "drip-headers": (Reason.UNREACHABLE, "not there in"),
    "hints": (Reason.UNREACHABLE, "not there in"),
    "half": (Reason.UNREACHABLE, "failed"),
    "nothing": (Reason.UNREACHABLE, "failed"),
    "garbage": (Reason.UNREACHABLE, "failed"),
    "header-bomb": (Reason.UNREACHABLE, "failed"),
    "a-terabyte": (Reason.TOO_LARGE, "1,099,511,627,776 bytes"),
    "endless": (Reason.TOO_LARGE, "more than"),
}


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_picture_is_a_reason(
    name: str, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TRIES", 2 if name in ("silence", "stall") else 3)
    monkeypatch.setattr(places, "MOST_BYTES", 3 << 20)
    if name in ("drip", "drip-headers", "hints"):
        monkeypatch.setattr(downloads, "TOTAL_SECONDS", 0.4)
    reason, message = ANSWERS[name]
    with pytest.raises(Refused, match=message) as refused:
        read_picture(tmp_path, f"{server.url}/{name}", downloads=True)
    assert refused.value.reason is reason
    assert "\n" not in refused.value.message


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("address", ["http://", "http://[", "http://no.example:port/a.jpg"])
def test_what_is_no_address_is_a_reason(address: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        read_picture(tmp_path, address, downloads=True)
    assert refused.value.reason in (Reason.MISSING, Reason.UNREACHABLE)


def test_https_never_leads_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"of the other"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "shop.example":
            return httpx.Response(302, headers={"location": "http://other.example/a.jpg"})
        return httpx.Response(200, content=body())

    async def nowhere(_: str) -> bool:
        return False

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(downloads, "_client", lambda: client)
    monkeypatch.setattr(downloads, "_is_local", nowhere)
    with pytest.raises(Refused, match="from https to http, which is not followed"):
        read_picture(tmp_path, "https://shop.example/a.jpg", downloads=True)
    found = read_picture(tmp_path, "http://shop.example/a.jpg", downloads=True)
    assert found.content == b"of the other"


LEADS = {
    "http://public.example/a": ("http://192.168.0.1/b", False),
    "http://public.example/b": ("http://127.0.0.1/b", False),
    "http://public.example/c": ("http://169.254.169.254/b", False),
    "http://public.example/d": ("http://[::1]/b", False),
    "http://public.example/e": ("http://[::ffff:10.0.0.1]/b", False),
    "http://public.example/f": ("http://local.example/b", False),
    "http://public.example/g": ("http://8.8.8.8/b", True),
    "http://public.example/h": ("http://unknown.example/b", True),
    "http://local.example/a": ("http://192.168.0.1/b", True),
    "http://local.example/b": ("/b/c", True),
}
HOSTS = {"public.example": "8.8.4.4", "local.example": "10.0.0.7"}


@pytest.mark.parametrize("address", LEADS)
def test_a_public_address_never_leads_into_the_local_network(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []
    look_up = socket.getaddrinfo

    def found(host: str, *others: Any, **more: Any) -> Any:
        if host == "unknown.example":
            raise socket.gaierror
        return look_up(HOSTS.get(host, host), *others, **more)

    async def body() -> AsyncIterator[bytes]:
        yield b"of the other"

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(str(request.url))
        if len(requested) == 1:
            return httpx.Response(302, headers={"location": LEADS[address][0]})
        return httpx.Response(200, content=body())

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(downloads, "_client", lambda: client)
    monkeypatch.setattr(socket, "getaddrinfo", found)
    if LEADS[address][1]:
        assert read_picture(tmp_path, address, downloads=True).content == b"of the other"
    else:
        with pytest.raises(Refused, match="in the local network, which is not followed"):
            read_picture(tmp_path, address, downloads=True)
        assert len(requested) == 1


def test_good_answers_are_read(server: Any, pictures: Path, tmp_path: Path) -> None:
    def read(name: str) -> bytes:
        return read_picture(tmp_path, f"{server.url}/{name}", downloads=True).content

    cup = (pictures / "cups" / "0.png").read_bytes()
    assert read("files/cups/0.png") == cup
    assert read("to?/files/cups/0.png") == cup
    assert read("second") == b"second"
    assert read("more") == b"more"
    assert len(read("bomb")) < 1 << 20  # as it came: nothing is unpacked
    assert stat_picture(tmp_path, f"{server.url}/any", downloads=True) == (0, 0)


def test_nothing_is_downloaded_unless_it_is_allowed(server: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--allow-download"):
        read_picture(tmp_path, f"{server.url}/files/cups/0.png")
    assert stat_picture(tmp_path, f"{server.url}/files/cups/0.png") == (-1, -1)
    assert not server.asked


def test_a_download_is_begun_once_and_a_large_one_is_taken_all_the_same(
    server: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, address = Ahead(), f"{server.url}/files/cups/0.png"
    fetch = partial(downloads.download, address)
    for _ in range(3):
        ahead.expect(address, fetch)
    cup = (pictures / "cups" / "0.png").read_bytes()
    assert ahead.take(address, fetch, 1 << 20) == cup
    assert server.asked["/files/cups/0.png"] == 1
    monkeypatch.setattr("extract.sources.fetching_ahead.MOST_BYTES", 10)
    ahead.expect(address, fetch)
    assert ahead.take(address, fetch, 1 << 20) == cup
    none = partial(downloads.download, f"{server.url}/none")
    ahead.expect("none", none)
    with pytest.raises(Refused, match="status 404"):
        ahead.take("none", none, 99)
    ahead.expect(address, fetch)
    ahead.forget()
    assert not ahead.begun


@pytest.mark.parametrize("workers", [2, 5])
def test_a_column_of_addresses_gives_the_folders_file(
    workers: int, server: Any, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (pictures / "cups" / "broken.png").write_bytes(b"none")
    folder = list_folder(pictures)
    rows = [f"{name},{server.url}/files/{name},{name[0]}" for name in folder.ids]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["id,image,kind", *rows, f"zz,{server.url}/status/500,r"]))
    options = TableOptions(allow_download=True)
    listed = list_manifest(table, ManifestColumns(id="id", label="kind"), options=options)
    own = Options(**{**vars(OPTIONS), "workers": workers})
    extract_embeddings(folder, backbone, tmp_path / "folder.h5", options=OPTIONS)
    report = extract_embeddings(listed, backbone, tmp_path / "web.h5", options=own)
    one, other = (read_embeddings(tmp_path / f"{name}.h5") for name in ("folder", "web"))
    assert one.ids == other.ids
    assert np.array_equal(one.vectors, other.vectors)
    assert report.refused == {"unidentified": 1, "unreachable": 1}
    before = server.asked.total()
    again = extract_embeddings(listed, backbone, tmp_path / "web.h5", options=own)
    assert (again.embedded, again.reused, again.tried) == (0, 21, 1)  # a server may be up again
    assert server.asked.total() == before + 3


def test_no_secret_is_kept_or_printed(server: Any, typist: Typist, tmp_path: Path) -> None:
    signed = [
        f"{server.url.replace('//', f'//me:{SECRET}@')}/files/cups/0.png",
        f"{server.url}/files/cups/1.png?w=9&X-Amz-Signature={SECRET}&X-Amz-Expires=60",
        f"{server.url}/files/hats/2.png?sv=1&sig={SECRET}&se=2030",
        f"{server.url}/status/403?token={SECRET}",
    ]
    rows = [f"{address},{address}" for address in signed]
    (tmp_path / "t.csv").write_text("\n".join(["image,thumb", *rows]))
    words = ("--manifest", "t.csv", "--allow-download", "--model", "efficientnet_lite0")
    words = (*words, "-v", "-v")  # libraries log addresses
    done = typist(extract_command, *words, "--weights", "random", "--decoder", "reference")
    assert done.code == 0, done.all
    assert any(SECRET in path for path in server.asked)  # it was used
    assert "permission" in done.all, done.all
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "t.csv"]
    assert len(kept) >= 3
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    assert SECRET not in done.all


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("plain words", "plain words"),
        ("a@b.example", "a@b.example"),
        ("https://h/a?w=1&h=2", "https://h/a?w=1&h=2"),
        ("s3://key:pw@bucket/a", "s3://bucket/a"),
        ("https://h/a?SIG=1&w=2", "https://h/a?w=2"),
        ("https://h/a?access_token=1", "https://h/a"),
        ("https://h/a?keyword=7&barcode=1", "https://h/a?keyword=7&barcode=1"),
        (
            "https://h/a?x-oss-process=image/resize,w_9",
            "https://h/a?x-oss-process=image/resize,w_9",
        ),
        ("https://h:80/a%20b;v=1?w=1;h=2#x", "https://h:80/a%20b;v=1?w=1;h=2#x"),
        ("https://me:pa,SECRET@h/x", "https://h/x"),
        ("https://me:pa|b;SECRET@h/x", "https://h/x"),
        ("https://me:pa/SECRET@h/x", "https://..."),
        ("https://h/w_3,h_2/x.jpg?token=SECRET", "https://h/w_3,h_2/x.jpg"),
        ("https://h/a|b.jpg?X-Amz-Signature=SECRET", "https://h/a|b.jpg"),
        ("https://h/a?w=1;sig=SECRET&h=2", "https://h/a?w=1&h=2"),
        ("https://h/a?sig=SECRET;more&h=2", "https://h/a?h=2"),
        ("https://h/a;jsessionid=SECRET?h=2", "https://h/a?h=2"),
        ("https://h/a?w=1#access_token=SECRET&b=1", "https://h/a?w=1&b=1"),
        ("https://h/a?api%5Fkey=SECRET", "https://h/a"),
        ("https://h/?u=https%3A%2F%2Fme%3Ap%40i%2Fb&w=1", "https://h/?w=1"),
        ("https://h/fetch/https://me:SECRET@i/b?token=SECRET", "https://h/fetch/https://i/b"),
        ("https://h/a,https://me:SECRET@i/b|s3://k:SECRET@c", "https://h/a,https://i/b|s3://c"),
        ("https://h/a?se=7", "https://h/a?se=7"),
        ("https://[bad", "https://..."),
    ],
)
def test_credentials_are_taken_out_and_nothing_else(text: str, bare: str) -> None:
    if "|s3://" not in text:  # several
        assert without_credentials(text) == bare
    assert free_of_credentials(f"--x='{text}' y").removeprefix("--x='").removesuffix("' y") == bare


def test_addresses_that_differ_in_a_token_alone_are_different_pictures(tmp_path: Path) -> None:
    at = "https://shop.example/a.jpg"
    (tmp_path / "t.csv").write_text(
        f"id,image\na,{at}?token={SECRET}1\nb,{at}?token={SECRET}2\nc,{at}\nd,{at}?token={SECRET}1\n"
    )
    options = TableOptions(allow_download=True)
    paths = list_manifest(tmp_path / "t.csv", ManifestColumns(id="id"), options=options).paths
    assert paths[2] == at
    assert paths[0] == paths[3]
    assert len(set(paths)) == 3
    assert SECRET not in "".join(paths)
    wanted = [downloads._full.get(path, path) for path in paths]
    assert wanted == [f"{at}?token={SECRET}1", f"{at}?token={SECRET}2", at, f"{at}?token={SECRET}1"]
    assert not httpx.URL(paths[0]).raw_path.count(b"#")
    alone = tmp_path / "alone.csv"
    alone.write_text(f"id,image\na,{at}?token={SECRET}1\n")
    assert list_manifest(alone, ManifestColumns(id="id"), options=options).paths == (at,)


def test_threads_that_download_first_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made = asyncio.new_event_loop

    def slowly() -> asyncio.AbstractEventLoop:
        time.sleep(0.05)
        return made()

    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    downloads._started_loop.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = [each.result() for each in [pool.submit(downloads._loop) for _ in range(4)]]
    downloads._client.cache_clear()  # of the loop before
    assert len(set(map(id, found))) == 1


class _StopsAtSilence(Monitor):
    """Requests a stop while the first batch waits for a server that says nothing."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def should_stop(self) -> bool:
        return bool(self._server.asked["/silence"])


@pytest.mark.parametrize("workers", [2, 5])
def test_a_run_that_is_stopped_leaves_a_download_that_hangs(
    workers: int,
    server: Any,
    backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefetch, "PATIENCE_SECONDS", 0.1)
    rows = "\n".join(f"{i},{server.url}/files/cups/{i}.png" for i in range(7))
    table = tmp_path / "t.csv"
    table.write_text(f"id,image\n{rows}\n0a,{server.url}/silence")
    options = TableOptions(allow_download=True)
    listed = list_manifest(table, ManifestColumns(id="id"), options=options)
    own = Options(**{**vars(OPTIONS), "workers": workers})
    began = time.monotonic()
    report = extract_embeddings(
        listed, backbone, tmp_path / "web.h5", options=own, monitor=_StopsAtSilence(server)
    )
    assert time.monotonic() - began < 4.5  # the server hangs up after 5, and two tries follow
    assert report.stopped
    assert report.to_do == 8
    assert not report.refused


SIGNS = """key x-api-key subscription-key client_secret secret_key access_key accesskey sas code pwd
OSSAccessKeyId pass session sessionid sid auth_key authkey hdnts __cld_token__ accesstoken sig
Ocp-Apim-Subscription-Key x-goog-credential""".split()


@pytest.mark.parametrize("name", SIGNS)
def test_names_that_sign_an_address_are_known(name: str) -> None:
    for before, after in (("?", ""), ("?w=1&", "?w=1"), ("?w=1;", "?w=1"), ("#", ""), (";", "")):
        assert without_credentials(f"https://h/a{before}{name}={SECRET}") == f"https://h/a{after}"
