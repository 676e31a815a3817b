"""The look-alike service under honest and hostile clients: what it answers, and what it outlives.

Numbers S1 to S16 are those of the rules that such a service obeys, in docs/lookup.md.
"""

from __future__ import annotations

import collections
import hashlib
import html
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h5py
import httpx
import numpy as np
import pytest
from PIL import Image
from served import Served, read_all, serving
from small_catalogs import PROJECT, draw, offline_environment, run_in

from extract.catalog.demo import draw_picture
from extract.files.file_lock import locked
from extract.storage.embeddings import canonical_json, sha256_of
from extract.storage.embeddings_file import read_provenance, read_table
from extract.storage.labels_file import labels_path
from extract.storage.row_writer import RowWriter
from extract.verification.recomputation import seen_by_model
from tests.faults.picture_bytes import bare_png
from tests.faults.warm_server import WarmServer

pytestmark = pytest.mark.service

KINDS = ("Mugs", "Vases", "Watches")
HOSTILE = 'x"><script>alert(1)</script>'


def jpeg(seed: int = 0, size: tuple[int, int] = (320, 240)) -> bytes:
    file = io.BytesIO()
    draw_picture("Mugs", random.Random(seed)).resize(size).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of ten embedded pictures, two of equal bytes."""
    root = tmp_path_factory.mktemp("workspace")
    for kind in KINDS:
        for i in range(3):
            draw(root / "shop" / kind / f"{i}.png", kind, i)
    first = root / "shop" / "Mugs" / "0.png"
    shutil.copy(first, first.with_name("same.png"))
    done = run_in(root, "extract", "--images", "shop")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files of the service."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def served(shop: Path, scratch: Path, warm_server: WarmServer) -> Iterator[Served]:
    with serving(shop, warm=warm_server, env={"TMPDIR": str(scratch)}) as found:
        found.wait_for_uploads()
        yield found


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as found:
        yield found


def send(client: httpx.Client, content: bytes, **data: Any) -> httpx.Response:
    return client.post("/api/similar", files={"image": ("a.jpg", content)}, data=data)


def ids_of(answer: httpx.Response) -> list[str]:
    return [hit["id"] for hit in answer.json()["queries"][0]["hits"]]


# what it answers


def test_rest_answers_by_id_as_the_command_does(shop: Path, client: httpx.Client) -> None:
    asked = {"id": "Mugs/0.png", "top": 4}
    answer = client.get("/api/similar", params=asked)
    said = run_in(shop, "analyze", "similar", "--query", "Mugs/0.png", "--top", "4", "--json")
    typed = json.loads(said.stdout)
    for key in ("sheet", "results"):
        typed.pop(key, None)
    here = answer.json()
    assert answer.status_code == 200
    assert here["queries"] == typed["queries"]
    assert {key: here[key] for key in here} == {key: typed[key] for key in here}
    assert here["queries"][0]["copies"] == ["Mugs/same.png"]


def test_a_picture_of_the_catalogue_finds_itself_and_says_its_copies(
    shop: Path, client: httpx.Client
) -> None:
    content = (shop / "shop/Vases/1.png").read_bytes()
    hits = send(client, content, top=3).json()["queries"][0]["hits"]
    assert (hits[0]["id"], hits[0]["copy_of_query"]) == ("Vases/1.png", True)
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-6)
    twice = send(client, (shop / "shop/Mugs/0.png").read_bytes()).json()["queries"][0]["hits"]
    assert twice[0]["equal_bytes"] == ["Mugs/same.png"]


def test_a_picture_sent_gets_the_answer_that_the_command_gives(
    shop: Path, tmp_path: Path, client: httpx.Client
) -> None:
    file = tmp_path / "new.jpg"
    file.write_bytes(jpeg(99))
    said = run_in(shop, "analyze", "similar", "--query", str(file), "--json")
    typed = json.loads(said.stdout)["queries"][0]["hits"]
    here = send(client, file.read_bytes()).json()["queries"][0]["hits"]
    assert [hit["id"] for hit in here] == [hit["id"] for hit in typed]
    near = [pytest.approx(hit["similarity"], abs=1e-6) for hit in typed]
    assert [hit["similarity"] for hit in here] == near


def test_a_search_stays_inside_a_category(client: httpx.Client) -> None:
    level = client.get("/api/health").json()["files"][0]["levels"][0]
    inside = f"{level}=Vases"
    by_id = client.get("/api/similar", params={"id": "Mugs/0.png", "where": inside})
    by_picture = send(client, jpeg(), where=inside)
    for answer in (by_id, by_picture):
        assert {i.partition("/")[0] for i in ids_of(answer)} == {"Vases"}
        assert answer.json()["n_searched"] == 3


def test_several_products_are_asked_about_at_once(client: httpx.Client) -> None:
    asked = [("id", "Mugs/0.png"), ("id", "Vases/0.png")]
    found = client.get("/api/similar", params=asked).json()["queries"]
    assert [each["query"] for each in found] == ["Mugs/0.png", "Vases/0.png"]


@pytest.mark.parametrize(
    "body",
    [
        b"junk",
        b"--x",
        b"--x--\r\n",
        b"--xyz\r\n",
        b"--x\r\n: no name\r\n\r\n",
        b"--x\r\nA B: c\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na',
    ],
)
def test_a_form_that_is_none_is_said_to_be(
    served: Served, client: httpx.Client, body: bytes
) -> None:
    said = len(served.logged())
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/similar", content=body, headers=kind)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("bad_request", "no_picture")
    # a request of another test may be logged after its answer: one line each, and nothing else
    lines = served.logged()[said:].splitlines()
    assert [line for line in lines if not re.match("[A-Z]+ /", line)] == []


# S1, S2, S3: who may ask


def test_s1_it_listens_on_loopback_and_lets_others_in_only_when_told(
    shop: Path, served: Served
) -> None:
    assert served.said["url"].startswith("http://127.0.0.1:")
    wanted = f"{served.port:04X}"
    tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{wanted}")]
    assert listening == [f"0100007F:{wanted}"]
    refused = run_in(shop, "analyze", "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "--allow-remote NAME" in refused.stderr


def test_s1_others_need_the_token(shop: Path, warm_server: WarmServer) -> None:
    words = ("--allow-remote", "shop.test")
    with serving(shop, *words, warm=warm_server, torch=False) as remote:
        token = remote.said["token"]
        assert len(token) >= 32
        assert remote.said["url"] == f"http://shop.test:{remote.port}/?token={token}"
        named = {"host": f"shop.test:{remote.port}"}
        with remote.client(headers=named) as client:
            for path in ("/", "/api/health", "/static/style.css", "/openapi.json"):
                assert client.get(path).status_code == 401, path
            for wrong in ("?token=", "?token=x", f"?token={token}x"):
                assert client.get(f"/{wrong}").status_code == 401, wrong
            bearer = {"authorization": f"Bearer {token}"}
            assert client.get("/api/health", headers=bearer).status_code == 200
            entered = client.get(f"/?q=mug&token={token}")
            assert (entered.status_code, entered.headers["location"]) == (303, "/?q=mug")
            cookie = entered.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            kept = {"cookie": cookie.partition(";")[0]}
            assert client.get("/", headers=kept).status_code == 200
            elsewhere = client.get(f"//evil.test/?token={token}")
            assert not elsewhere.headers.get("location", "/").startswith("//")
            other = {"host": "evil.test", **bearer}
            assert client.get("/api/health", headers=other).status_code == 421
        assert token not in remote.logged()


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.evil.test", "", "[::2]", "a b"],
)
def test_s2_a_request_for_another_host_is_misdirected(served: Served, host: str) -> None:
    answer = served.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"421", b"400")
    assert b"Mugs" not in answer


def test_s2_its_own_names_are_answered(served: Served) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:99", f"[::1]:{served.port}"):
        request = f"GET /api/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert served.raw(request.encode()).split()[1] == b"200", host
    twice = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    assert served.raw(twice).split()[1] in (b"400", b"421")
    assert served.raw(b"GET / HTTP/1.0\r\n\r\n").split()[1] == b"421"


def test_s3_another_sites_page_cannot_send(served: Served, client: httpx.Client) -> None:
    files = {"image": ("a.jpg", jpeg())}
    for path in ("/api/similar", "/similar"):
        for said in (
            {"origin": "http://evil.test"},
            {"origin": "null"},
            {"origin": f"http://127.0.0.1:{served.port + 1}"},
            {"sec-fetch-site": "cross-site"},
        ):
            answer = client.post(path, files=files, headers=said)
            assert answer.status_code == 403, (path, said)
        ours = client.post(path, files=files, headers={"origin": served.url})
        assert ours.status_code == 200
    allowed = client.get("/api/health", headers={"origin": "http://evil.test"})
    assert not [name for name in allowed.headers if name.startswith("access-control")]
    asking = {"origin": "http://evil.test", "access-control-request-method": "POST"}
    assert client.options("/api/similar", headers=asking).status_code == 405


# S4, S5, S6: what may be sent


def test_s4_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    began = time.monotonic()
    head = (
        b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = served.raw(head)  # not a byte of the body follows
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code": "too_large"' in answer
    assert time.monotonic() - began < 5


def test_s4_200_mb_are_refused_however_they_come(client: httpx.Client) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    whole = client.post("/api/similar", content=bytes(200_000_000), headers=kind)
    assert (whole.status_code, whole.json()["code"]) == (413, "too_large")

    def in_parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield bytes(1_000_000)

    parts = client.post("/api/similar", content=in_parts(), headers=kind)
    assert parts.status_code == 413
    assert client.get("/api/health").status_code == 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"hello", "unidentified"),
        (jpeg()[:1000], "truncated"),
        (bare_png((30_000, 30_000), 8), "too_large"),
        (bare_png((7_100, 7_100), 8), "too_large"),
        (bare_png((1, 30_000), 8), "aspect"),
        (b"GIF89a" + bytes(20), None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unidentified"),
        (b"", "no_picture"),
    ],
    ids=["text", "truncated", "bomb", "over 50 Mpx", "1 x 30000", "no gif", "svg", "empty"],
)
def test_s5_a_hostile_picture_is_refused_with_its_reason(
    client: httpx.Client, content: bytes, code: str | None
) -> None:
    answer = send(client, content)
    assert answer.status_code == 422
    assert code in (None, answer.json()["code"])
    assert send(client, jpeg()).status_code == 200


@pytest.mark.slow
def test_s5_the_service_outlives_the_process_that_opens_a_picture(
    served: Served, client: httpx.Client
) -> None:
    def openers() -> set[int]:
        service, found = served.process.pid, set()
        tree: dict[int, list[int]] = collections.defaultdict(list)
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = folder.joinpath("stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            tree[int(words[1])].append(int(folder.name))
        for child in tree[service]:
            found |= set(tree[child])  # of the server of forks
        return found

    before = openers()
    assert len(before) == 4
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 60
    (file,) = client.get("/api/health").json()["files"]
    while file["uploads"] == "ready":  # until the kill has come to it
        assert time.monotonic() < until
        (file,) = client.get("/api/health").json()["files"]
    assert (file["uploads"], "ended" in file["uploads_reason"]) == ("loading", True)
    refused = send(client, jpeg()[:-200])
    assert (refused.status_code, refused.json()["code"]) == (422, "truncated")
    (file,) = client.get("/api/health").json()["files"]
    assert file["uploads"] == "loading", "no load was waited for"
    assert send(client, jpeg()).status_code == 200, "it waits for the load"
    (file,) = client.get("/api/health").json()["files"]
    assert (file["uploads"], file["uploads_reason"]) == ("ready", None)
    assert served.process.poll() is None
    while len(openers() - before) < 3:
        assert time.monotonic() < until
        client.get("/picture/x/0")
        page = client.get("/", headers={"accept": "text/html"}).text
        client.get(page.partition('src="/picture')[2].partition('"')[0].join(["/picture", ""]))
        time.sleep(0.2)


def test_s6_no_url_is_ever_fetched(client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(1)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/a.jpg"
        drawn = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode()
        answers = [
            client.get("/api/similar", params={"id": url}),
            client.get("/product", params={"id": url}),
            client.get("/", params={"q": url}),
            client.post("/api/similar", data={"image": url}),
            client.post("/api/similar", files={"image": ("a.jpg", url.encode())}),
            client.post("/api/similar", files={"image": (url, drawn)}),
            client.get("/api/similar", params={"id": "Mugs/0.png", "model": url}),
        ]
        assert {answer.status_code for answer in answers} <= {200, 404, 422, 415}
        with pytest.raises(TimeoutError):
            trap.accept()


# S7, S8, S9, S10: what goes out


def picture_urls(client: httpx.Client) -> list[str]:
    page = client.get("/", headers={"accept": "text/html"}).text
    parts = page.split('src="')[1:]
    found = [part.partition('"')[0].replace("&amp;", "&") for part in parts]
    return [url for url in found if url.startswith("/picture")]


def test_s7_pictures_are_given_by_row_and_encoded_again(shop: Path, client: httpx.Client) -> None:
    urls = picture_urls(client)
    assert len(urls) == 10
    files = {path.read_bytes() for path in (shop / "shop").rglob("*.png")}
    for url in urls:
        answer = client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content not in files
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert max(picture.size) <= 256
            assert not picture.getexif()
    version = urls[0].split("/")[2]
    for row in ("10", "-1", "0x1", "1e1", "../../../etc/passwd", "%2e%2e%2f", "99999999999999", ""):
        assert client.get(f"/picture/{version}/{row}").status_code in (404, 422), row
    assert client.get("/picture/0000000000000000/0").status_code == 409
    for size in ("0", "100000", "x"):
        assert client.get(f"/picture/{version}/0?size={size}").status_code == 422


def test_a_picture_is_shown_as_the_model_saw_it_when_asked(
    shop: Path, client: httpx.Client
) -> None:
    (stored,) = (shop / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    wanted = seen_by_model(read_provenance(stored).identity)
    assert wanted is not None
    address = picture_urls(client)[0].partition("?")[0]
    whole, seen = client.get(address), client.get(address, params={"seen": "1"})
    with Image.open(shop / "shop/Mugs/0.png") as picture:
        expected = wanted.placed(picture.convert("RGB")).astype(int)
    with Image.open(io.BytesIO(seen.content)) as picture:
        shown = np.asarray(picture).astype(int)
    assert shown.shape == (256, 256, 3)
    assert np.abs(shown - expected).mean() < 3
    assert seen.headers["cache-control"] == whole.headers["cache-control"]
    with Image.open(io.BytesIO(whole.content)) as picture:
        assert picture.size == (256, 256)
    assert client.get(address).content == whole.content
    for params in ({"seen": "yes"}, {"seen": "0"}, {"seen": ["1", "1"]}):
        refused = client.get(address, params=params)
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_parameter")
    for answer in (
        client.get("/api/similar", params={"id": "Mugs/0.png", "seen": "1"}),
        send(client, jpeg(), seen="1"),
    ):
        assert answer.status_code == 422, "REST shows no pictures"


def test_choices_and_what_the_model_saw_are_kept_from_link_to_link(client: httpx.Client) -> None:
    kept = {"where": "class=Vases", "diverse": "0.5", "seen": "1"}
    asked = {"/": {}, "/product": {"id": "Mugs/0.png"}, "/map": {"id": "Mugs/0.png"}}
    for path, params in asked.items():
        page = client.get(path, params={**params, **kept}, headers={"accept": "text/html"})
        assert page.status_code == 200
        links = [html.unescape(each) for each in re.findall(r'(?:href|src)="([^"]+)"', page.text)]
        for link in (each for each in links if each.startswith(("/product", "/map?id"))):
            assert dict(parse_qsl(urlsplit(link).query)).items() >= kept.items()
        pictures = [link for link in links if link.startswith("/picture")]
        assert all("&seen=1" in link for link in pictures)
        whole = client.get(path, params=params, headers={"accept": "text/html"}).text
        assert "seen=1" not in whole
        assert "saw" not in whole


def test_s7_a_picture_that_leaves_the_folder_or_changed_is_not_shown(
    shop: Path, tmp_path: Path, warm_server: WarmServer
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(shop, root)
    secret = tmp_path / "secret.png"
    draw(secret, "Mugs", 77)
    gone, changed = root / "shop/Vases/0.png", root / "shop/Vases/1.png"
    gone.unlink()
    gone.symlink_to(secret)
    draw(changed, "Mugs", 78)
    (stored,) = (root / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    with h5py.File(stored, "r+") as file:  # it says no longer how its model saw the pictures
        identity = {**json.loads(file.attrs["identity"]), "geometry": {}}
        file.attrs["identity"] = canonical_json(identity)
        file.attrs["identity_sha256"] = sha256_of(identity)
    with serving(root, warm=warm_server, torch=False) as other, other.client() as client:
        urls = picture_urls(client)
        answers = [client.get(url) for url in urls]
        pages = [client.get("/", params=each).text for each in ({}, {"seen": "1"})]
        as_seen = client.get(urls[0], params={"seen": "1"})
    wrong = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) == 10
    assert [answer.status_code for answer in wrong] == [404, 404]
    assert {answer.json()["code"] for answer in wrong} == {"no_picture"}
    assert 'name="seen"' not in pages[0]
    assert "does not record how its model saw them" in pages[1]
    assert "seen" not in "".join(re.findall(r'src="(/picture[^"]+)"', pages[1]))
    assert (as_seen.status_code, as_seen.json()["code"]) == (404, "no_picture")


def test_s8_every_answer_forbids_scripts_of_others(client: httpx.Client) -> None:
    pages = ["/", "/map", "/product?id=Mugs/0.png", "/nope", "/api/health", "/static/style.css"]
    answers = [client.get(path, headers={"accept": "text/html"}) for path in pages]
    answers += [client.put("/"), client.get("/", headers={"host": "evil.test"})]
    answers += [send(client, b"x"), client.get(picture_urls(client)[0])]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_pages_are_styled_by_has_another_address_when_it_changes(
    client: httpx.Client,
) -> None:
    named = re.findall(r'"(/static/[a-z.]+)\?([0-9a-f]+)"', client.get("/").text)
    assert {name for name, _ in named} == {
        f"/static/{n}"
        for n in ("base.css", "icon.svg", "map.js", "page.js", "style.css", "upload.js")
    }
    for name, digest in named:
        answer = client.get(f"{name}?{digest}")
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest().startswith(digest)


def test_s8_what_is_typed_is_only_text(client: httpx.Client) -> None:
    for path in ("/", "/product", "/map"):
        for name in ("q", "id", "model", "where", "map", "page"):
            answer = client.get(path, params={name: HOSTILE}, headers={"accept": "text/html"})
            assert "<script>alert" not in answer.text, (path, name)


def test_s9_errors_are_json_without_paths_or_tracebacks(
    shop: Path, served: Served, client: httpx.Client
) -> None:
    answers = [
        client.get("/nope"),
        client.get("/api/similar", params={"id": "nope"}),
        client.get("/api/similar", params={"id": "Mugs/0.png", "where": "x=y"}),
        client.put("/api/similar"),
        client.post("/api/similar", content=b"x"),
        client.post("/api/similar", content=b"x", headers={"content-type": "multipart/form-data"}),
        client.get("/", headers={"host": "evil.test"}),
        send(client, b"hello"),
        client.get("/picture/x/y"),
    ]
    for answer in answers:
        said = answer.json()
        assert set(said) == {"error", "code"}, answer.text
        assert answer.status_code >= 400
        assert str(shop) not in answer.text
        assert str(PROJECT) not in answer.text
        assert "Traceback" not in answer.text
        assert "\n" not in said["error"]
    for path in ("/", "/api/health", "/openapi.json"):
        assert str(shop) not in client.get(path).text
    assert "Traceback" not in served.logged()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "id=",
        "id=Mugs/0.png&top=0",
        "id=Mugs/0.png&top=101",
        "id=Mugs/0.png&top=-1",
        "id=Mugs/0.png&top=1.5",
        "id=Mugs/0.png&top=ten",
        "id=Mugs/0.png&top=1&top=2",
        "id=Mugs/0.png&diverse=2",
        "id=Mugs/0.png&diverse=nan",
        "id=Mugs/0.png&diverse=inf",
        "id=Mugs/0.png&where=nothing",
        "id=Mugs/0.png&where=nothing=else",
        "id=Mugs/0.png&tops=3",
        "&".join("id=Mugs/0.png" for _ in range(17)),
        "&".join(f"a{i}=1" for i in range(200)),
        "id=" + "x" * 3000,
    ],
)
def test_s10_parameters_are_checked(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/api/similar?{query}")
    assert answer.status_code in (422, 404 if len(query) > 2000 else 422), answer.text
    assert set(answer.json()) == {"error", "code"}


def test_s10_what_is_not_there_and_what_cannot_be_done(client: httpx.Client) -> None:
    for query in ("id=nope", "id=%ff", "id=%00", "id=Mugs/0.png&model=nope"):
        assert client.get(f"/api/similar?{query}").status_code == 404, query
    for path in ("/api/nope", "/static/nope.css", "/static/..%2f..%2fapp.py", "/api", "/docs/x"):
        assert client.get(path).status_code == 404, path
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = client.request(method, "/api/similar")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST"), method
    assert client.post("/").status_code == 405
    assert client.post("/api/similar", json={"image": "x"}).status_code == 415


# S11, S12, S13, S14: many, slow, and what stays behind


@pytest.mark.slow
def test_s11_too_many_at_once_are_told_to_come_again(served: Served) -> None:
    large = jpeg(size=(2800, 2100))
    answers: list[httpx.Response] = []

    def one() -> None:
        with served.client() as client:
            answers.append(send(client, large))

    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = collections.Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 503}
    assert counts[200] >= 18  # two at work, sixteen waiting
    busy = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.headers["retry-after"].isdigit() for answer in busy)
    assert {answer.json()["code"] for answer in busy} == {"busy"}


def test_s11_slow_clients_hold_nobody_up_and_are_hung_up_on(served: Served) -> None:
    head = b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
    starts = [
        b"GET / HT",
        head,
        b"",
        head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n",
    ]
    slow = []
    for i in range(100):
        connection = socket.create_connection(("127.0.0.1", served.port), timeout=40)
        connection.sendall(starts[i % len(starts)])
        slow.append(connection)
    with served.client() as client:
        took = []
        for _ in range(30):
            began = time.monotonic()
            assert client.get("/").status_code == 200
            took.append(time.monotonic() - began)
    assert np.median(took) < 1
    assert [read_all(connection) for connection in slow[:3]] == [b"", b"", b""]
    for connection in slow:
        connection.close()


def test_s12_nothing_that_was_sent_stays_and_its_name_is_never_used(
    served: Served, scratch: Path, shop: Path
) -> None:
    before = sorted(scratch.rglob("*")), sorted(shop.rglob("*"))
    name = "../../../evil'\"<b>.jpg"
    large = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(large, "PNG")
    with served.client() as client:
        for path in ("/similar", "/api/similar"):
            answer = client.post(
                path, files={"image": (name, large.getvalue())}, headers={"accept": "text/html"}
            )
            assert answer.status_code == 200
            assert "evil" not in answer.text
    assert (sorted(scratch.rglob("*")), sorted(shop.rglob("*"))) == before


def test_s13_a_request_writes_one_line_of_the_log(served: Served) -> None:
    before = len(served.logged().splitlines())
    with served.client() as client:
        client.get("/one%0d%0aGET%20/forged%20200%1b%5b31m?q=%0a%1b")
    time.sleep(0.2)
    lines = served.logged().splitlines()[before:]
    assert len(lines) == 1
    assert "forged" in lines[0]
    assert not {"\r", "\x1b"} & set(served.logged())


def test_s14_the_description_is_here_and_needs_nothing_from_elsewhere(
    client: httpx.Client,
) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert client.get(path).status_code == 404
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/similar", "/api/health"}
    assert "servers" not in described
    page = client.get("/", headers={"accept": "text/html"}).text
    for link in page.replace("'", '"').split('"'):
        assert not link.startswith(("http:", "https:", "//")), link


@pytest.mark.slow
def test_the_description_holds_against_generated_requests(served: Served, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")),
        *("run", f"{served.url}/openapi.json", "--checks", "all", "--max-examples", "30"),
        # bytes that are no picture, or a category that is not there, fit any description
        *("--exclude-checks", "positive_data_acceptance", "--no-color", "--seed", "0"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 selected / 3 total" in done.stdout


# S15, S16: a file that changes, and the end


def the_file(root: Path) -> Path:
    (path,) = (root / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    return path


@dataclass
class Changing:
    """A running service whose file changes, and a workspace with the same one picture longer."""

    root: Path
    grown: Path
    served: Served
    client: httpx.Client

    def ask(self) -> dict[str, Any]:
        answer = self.client.get("/api/similar", params={"id": "Mugs/0.png", "top": 3})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @property
    def changed(self) -> str | None:
        found: str | None = self.client.get("/api/health").json()["files"][0]["changed"]
        return found

    def wait_for(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not true():
            assert time.monotonic() < until, self.served.logged()[-2000:]
            time.sleep(0.1)


def command_says(root: Path) -> Any:
    said = run_in(root, "analyze", "similar", "--query", "Mugs/0.png", "--top", "3", "--json")
    return json.loads(said.stdout)["queries"]


@pytest.fixture(scope="module")
def changing(
    shop: Path, tmp_path_factory: pytest.TempPathFactory, warm_server: WarmServer
) -> Iterator[Changing]:
    root, grown = (tmp_path_factory.mktemp(name) / "workspace" for name in ("changing", "grown"))
    shutil.copytree(shop, root)
    shutil.copytree(shop, grown)
    draw(grown / "shop" / "Aprons" / "0.png", "Mugs", 50)  # sorts before all others
    done = run_in(grown, "extract", "--images", "shop")
    assert done.returncode == 0, done.stderr
    with serving(root, warm=warm_server, torch=False) as served, served.client() as client:
        yield Changing(root, grown, served, client)


def test_s15_the_rows_in_hand_answer_until_a_run_is_done_then_all_new_ones_at_once(
    changing: Changing,
) -> None:
    path, whole = the_file(changing.root), the_file(changing.grown)
    before, old = changing.ask(), picture_urls(changing.client)
    assert (before["n_images"], len(old), changing.changed) == (10, 10, None)
    shutil.copytree(changing.grown / "shop/Aprons", changing.root / "shop/Aprons")
    with locked(path):  # as a run does, which renames a file with rows to do, and fills them
        part = path.with_name("part")
        shutil.copy(whole, part)
        writer = RowWriter(read_table(part))
        writer.reset(np.array([0, 4]))
        writer.close()
        part.replace(path)
        shutil.copy(labels_path(whole), labels_path(path))
        changing.wait_for(lambda: "a run is writing it" in str(changing.changed))
        for _ in range(5):
            assert changing.ask() == before
            assert changing.client.get(old[0]).status_code == 200
            time.sleep(0.3)  # more than one look at the file
        with path.open("r+b") as file:
            file.write(whole.read_bytes())
        assert changing.ask() == before
    answers = [changing.ask()]
    while answers[-1]["n_images"] == 10:
        assert answers[-1] == before
        answers.append(changing.ask())
        assert len(answers) < 10_000
    assert answers[-1]["n_images"] == 11
    assert answers[-1]["queries"] == command_says(changing.root) != before["queries"]
    answer = changing.client.get("/api/similar", params={"id": "Aprons/0.png"})
    assert answer.status_code == 200
    # row 0 is another product now: a page from before must not show it
    assert changing.client.get(old[0]).status_code == 409
    assert len(picture_urls(changing.client)) == 11
    assert changing.changed is None
    # labels alone are a change, too
    labels = labels_path(path).read_bytes()
    labels_path(path).unlink()
    changing.wait_for(lambda: changing.ask()["queries"][0]["hits"][0]["labels"] == {})
    labels_path(path).write_bytes(labels)
    changing.wait_for(lambda: changing.ask() == answers[-1])


def written_over(path: Path, sound: bytes) -> None:
    """Put other numbers into half of the rows, in place, and the date back."""
    before = path.stat()
    table = read_table(path)
    with path.open("r+b") as file:
        file.seek(table.offsets["embeddings"])
        file.write(np.full(len(table) // 2 * table.n_dims, 7, "<f4").tobytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def of_a_later_format(path: Path, sound: bytes) -> None:
    later = path.with_name("later")
    later.write_bytes(sound)
    with h5py.File(later, "r+") as file:
        file.attrs["format_version"] = 2
    later.replace(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path, sound: path.write_bytes(sound[: len(sound) // 2]), "not a readable"),
        (lambda path, sound: os.truncate(path, 0), "not a readable"),
        (written_over, "5 rows do not fit their check sums"),
        (lambda path, sound: path.unlink(), "is not there"),
        (of_a_later_format, "upgrade"),
    ],
)
def test_s15_a_file_that_cannot_be_served_is_said_once_and_the_rows_in_hand_answer(
    changing: Changing, change: Callable[[Path, bytes], None], said: str
) -> None:
    path = the_file(changing.root)
    sound, before = path.read_bytes(), changing.ask()
    logged = len(changing.served.logged())
    change(path, sound)
    changing.wait_for(lambda: said in str(changing.changed))
    for _ in range(4):
        assert changing.ask() == before
        time.sleep(0.4)
    tried = [line for line in changing.served.logged()[logged:].splitlines() if "GET " not in line]
    (line,) = tried
    assert "its rows from before are served" in line
    assert str(changing.root) not in str(changing.changed)
    path.write_bytes(sound)
    changing.wait_for(lambda: changing.changed is None)
    assert changing.ask() == before


def test_s16_a_signal_ends_it_once_all_is_answered(shop: Path) -> None:
    with serving(shop, warm=None) as ending:  # from nothing, as a shell does
        ending.wait_for_uploads()
        body = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            + jpeg()
            + b"\r\n--x--\r\n"
        )
        head = (
            b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n"
        ) % len(body)
        with socket.create_connection(("127.0.0.1", ending.port), timeout=30) as connection:
            connection.sendall(head + body[: len(body) // 2])
            time.sleep(0.5)
            ending.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", ending.port), timeout=1)
            assert ending.process.poll() is None
            connection.sendall(body[len(body) // 2 :])
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        assert ending.process.wait(timeout=30) == 128 + signal.SIGTERM
        assert "Traceback" not in ending.logged()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "70000"), "--port"),
        (("--model", "nope"), "no embeddings of nope"),
        (("--embeddings", "nope.h5"), "nope.h5"),
        (("--index", "nope"), "no index 'nope'"),
        (("--images", "nope"), "nope"),
        (("--level", "nope"), "no level 'nope'"),
        (("--name-column", "nope"), "no column 'nope'"),
        (("--level-title", "nope=Shade", "--port", "0"), "of the levels there are: class"),
        (("--host", "300.1.1.1", "--allow-remote", "a"), "cannot listen"),
    ],
)
def test_what_is_typed_wrong_is_one_line(shop: Path, words: tuple[str, ...], said: str) -> None:
    done = run_in(shop, "analyze", "serve", *words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_said(shop: Path, served: Served) -> None:
    done = run_in(shop, "analyze", "serve", "--port", str(served.port))
    assert done.returncode == 2
    assert "give another --port" in done.stderr


def test_without_its_extra_it_says_what_to_install(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'uvicorn' else find(n, *a)\n"
    )
    env = {**offline_environment(shop), "PYTHONPATH": f"{tmp_path}:{PROJECT}"}
    done = subprocess.run(
        [sys.executable, "-m", "analyze", "serve"],
        cwd=shop, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert 'pip install "sosie[lookup]"' in done.stderr
