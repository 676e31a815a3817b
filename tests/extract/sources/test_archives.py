"""Zips and tars: each member its own bytes, each awkward one a reason, each broken one a line."""

from __future__ import annotations

import io
import itertools
import os
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from extract.catalog.archived.images_listing import list_images
from extract.errors import CatalogError, NoPictures, UsageError
from extract.images.reading import read_picture
from extract.refusals import Reason, Refused
from extract.sources.archive_files import name_of
from extract.sources.byte_ranges import SECOND, HeaderFile, LocalFile
from extract.sources.places import stat_picture
from extract.sources.tar_members import MOST_HEADER, _members, tar_members

CUP, HAT = b"cup" * 400, os.urandom(1200)


def tar_of(*members: tuple[str, bytes | dict[str, object]]) -> bytes:
    """Pack members: bytes, or a header's fields with the bytes under ``content``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, what in members:
            fields = {"content": what} if isinstance(what, bytes) else dict(what)
            content = fields.pop("content", b"")
            assert isinstance(content, bytes)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(
    *members: tuple[str, bytes],
    mode: int = 0,
    method: int = zipfile.ZIP_DEFLATED,
    extra: bytes = b"",
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = (mode or stat.S_IFREG | 0o644) << 16, method
            info.extra = extra
            packed.writestr(info, content)
    return buffer.getvalue()


def patched(packed: bytes, at: int, new: bytes) -> bytes:
    return packed[:at] + new + packed[at + len(new) :]


def in_zip(packed: bytes, field: int, new: bytes) -> bytes:
    """Change a field of the first entry of a zip's directory."""
    return patched(packed, packed.index(b"PK\1\2") + field, new)


def with_checksum(packed: bytes) -> bytes:
    """Mend the check sum of a tar's first header."""
    return patched(packed, 148, b"%06o\0 " % (256 + sum(packed[:148]) + sum(packed[156:512])))


SYMLINK, HARDLINK = tarfile.SYMTYPE, tarfile.LNKTYPE
TWO = ("a.jpg", CUP), ("b.jpg", HAT)

READ: dict[str, tuple[bytes, str, bytes]] = {
    "tar": (tar_of(*TWO), "b.jpg", HAT),
    "tar, a folder's dot": (tar_of(("./cups//b.jpg", HAT)), "cups/b.jpg", HAT),
    "tar, a long name": (tar_of(("x" * 150 + "/b.jpg", HAT)), "x" * 150 + "/b.jpg", HAT),
    "tar, not UTF-8": (tar_of(("b\udcff.jpg", HAT)), "b\udcff.jpg", HAT),
    "tar, twice": (tar_of(("b.jpg", CUP), ("b.jpg", HAT)), "b.jpg", HAT),
    "tar, hard link": (tar_of(*TWO, ("c.jpg", {"type": HARDLINK, "linkname": "b.jpg"})),
                       "c.jpg", HAT),
    "tar, hard link to the one before": (tar_of(("b.jpg", HAT),
                  ("c.jpg", {"type": HARDLINK, "linkname": "b.jpg"}), ("b.jpg", CUP)),
                  "c.jpg", HAT),
    "tar, link": (tar_of(("in/b.jpg", HAT), ("to/c.jpg", {"type": SYMLINK,
                  "linkname": "../in/b.jpg"})), "to/c.jpg", HAT),
    "tar, cut off behind": (tar_of(*TWO)[:-6000], "b.jpg", HAT),
    "tar, no end": (tar_of(*TWO)[: 2 * (512 + 1536)], "b.jpg", HAT),
    "tar, two in one": (tar_of(*TWO) + tar_of(("c.jpg", CUP)), "b.jpg", HAT),
    "zip": (zip_of(*TWO), "b.jpg", HAT),
    "zip, stored": (zip_of(*TWO, method=zipfile.ZIP_STORED), "b.jpg", HAT),
    "zip, twice": (zip_of(("b.jpg", CUP), ("b.jpg", HAT)), "b.jpg", HAT),
    "zip, behind a program": (b"#!/bin/sh\n" + zip_of(*TWO), "b.jpg", HAT),
    "zip, UTF-8 that is not named": (
        in_zip(zip_of(("rüg.jpg", HAT)), 8, b"\0\0"), "rüg.jpg", HAT),
    "zip, of DOS": (in_zip(zip_of(("cups\\b.jpg", HAT)), 5, b"\0"), "cups/b.jpg", HAT),
}  # fmt: skip

REFUSED: dict[str, tuple[bytes, str, Reason]] = {
    "tar, empty": (tar_of(("a.jpg", b"")), "a.jpg", Reason.EMPTY),
    "tar, not there": (tar_of(*TWO), "c.jpg", Reason.MISSING),
    "tar, leaves": (tar_of(("../a.jpg", CUP)), "../a.jpg", Reason.OUTSIDE_FOLDER),
    "tar, leaves late": (tar_of(("in/../../a.jpg", CUP)), "in/../../a.jpg", Reason.OUTSIDE_FOLDER),
    "tar, absolute": (tar_of(("/etc/a.jpg", CUP)), "/etc/a.jpg", Reason.OUTSIDE_FOLDER),
    "tar, link out": (tar_of(("a.jpg", {"type": SYMLINK, "linkname": "/etc/passwd"})),
                      "a.jpg", Reason.OUTSIDE_FOLDER),
    "tar, link nowhere": (tar_of(("a.jpg", {"type": SYMLINK, "linkname": "b.jpg"})),
                          "a.jpg", Reason.MISSING),
    "tar, hard link out": (tar_of(("a.jpg", {"type": HARDLINK, "linkname": "../b"})),
                           "a.jpg", Reason.OUTSIDE_FOLDER),
    "tar, hard link to one behind": (tar_of(("a.jpg", {"type": HARDLINK, "linkname": "b.jpg"}),
                                     ("b.jpg", CUP)), "a.jpg", Reason.MISSING),
    "tar, links in a ring": (tar_of(("a.jpg", {"type": SYMLINK, "linkname": "b.jpg"}),
                             ("b.jpg", {"type": SYMLINK, "linkname": "a.jpg"})),
                             "a.jpg", Reason.MISSING),
    "tar, a device": (tar_of(("a.jpg", {"type": tarfile.CHRTYPE})), "a.jpg", Reason.NOT_REGULAR),
    "tar, a pipe": (tar_of(("a.jpg", {"type": tarfile.FIFOTYPE})), "a.jpg", Reason.NOT_REGULAR),
    "tar, cut off within": (tar_of(*TWO)[: 512 + 1536 + 512 + 100], "b.jpg", Reason.TRUNCATED),
    "tar, claims a terabyte": (with_checksum(patched(
        tar_of(("a.jpg", CUP)), 124, b"\x80\0\0\0\0\0\1\0\0\0\0\0")), "a.jpg", Reason.TOO_LARGE),
    "tar, claims 2 to the 70": (with_checksum(patched(
        tar_of(("a.jpg", CUP)), 124, b"\x80\0\0\x40" + bytes(8))), "a.jpg", Reason.CORRUPT),
    "zip, empty": (zip_of(("a.jpg", b"")), "a.jpg", Reason.EMPTY),
    "zip, not there": (zip_of(*TWO), "c.jpg", Reason.MISSING),
    "zip, leaves": (zip_of(("../a.jpg", CUP)), "../a.jpg", Reason.OUTSIDE_FOLDER),
    "zip, absolute": (zip_of(("/a.jpg", CUP)), "/a.jpg", Reason.OUTSIDE_FOLDER),
    "zip, link out": (zip_of(("a.jpg", b"../../etc/passwd"), mode=stat.S_IFLNK | 0o777),
                      "a.jpg", Reason.OUTSIDE_FOLDER),
    "zip, link to itself": (zip_of(("a.jpg", b"a.jpg"), mode=stat.S_IFLNK | 0o777),
                            "a.jpg", Reason.MISSING),
    "zip, a long link": (zip_of(("a.jpg", b"x" * 5000), mode=stat.S_IFLNK | 0o777),
                         "a.jpg", Reason.CORRUPT),
    "zip, a device": (zip_of(("a.jpg", CUP), mode=stat.S_IFCHR), "a.jpg", Reason.NOT_REGULAR),
    "zip, encrypted": (in_zip(zip_of(*TWO), 8, b"\1\0"), "a.jpg", Reason.UNSUPPORTED),
    "zip, by bzip2": (zip_of(*TWO, method=zipfile.ZIP_BZIP2), "a.jpg", Reason.UNSUPPORTED),
    "zip, wrong check sum": (in_zip(zip_of(*TWO), 16, b"\1\2\3\4"), "a.jpg", Reason.CORRUPT),
    "zip, larger than it claims": (in_zip(zip_of(*TWO), 24, b"\1\0\0\0"), "a.jpg", Reason.CORRUPT),
    "zip, claims 2 GB": (in_zip(zip_of(*TWO), 24, b"\0\0\0\x7f"), "a.jpg", Reason.TOO_LARGE),
    "zip, claims 2 to the 64": (in_zip(zip_of(*TWO, extra=struct.pack("<HHQ", 1, 8, 2**64 - 1)),
                                       24, b"\xff" * 4), "a.jpg", Reason.CORRUPT),
    "zip, no header there": (patched(zip_of(*TWO), 0, b"none"), "a.jpg", Reason.CORRUPT),
    "zip, no deflate": (patched(zip_of(*TWO), 30 + 5, b"\xff\xff\xff"), "a.jpg", Reason.CORRUPT),
}  # fmt: skip

BROKEN: dict[str, tuple[bytes, str]] = {
    "none.zip": (b"", "cannot be read as a zip"),
    "page.zip": (b"<html>not found</html>" * 99, "cannot be read as a zip"),
    "cut.zip": (zip_of(*TWO)[:-30], "cannot be read as a zip"),
    "page.tar": (b"<html>not found</html>" * 99, "cannot be read as a tar"),
    "packed.tar": (b"\x1f\x8b" + b"0" * 999, "gzip -d"),
    "bare.tar": (tar_of(("readme.md", b"no picture")), "no picture in"),
    "hidden.tar": (tar_of((".hidden/a.jpg", CUP), ("__MACOSX/._a.jpg", CUP)), "no picture in"),
    "bare.zip": (zip_of(("readme.md", b"no picture")), "no picture in"),
    "none.tar": (b"\0" * 10240, "no picture in"),
}


@pytest.mark.parametrize("case", READ)
def test_a_member_is_read_as_the_file_it_was(case: str, tmp_path: Path) -> None:
    packed, name, content = READ[case]
    archive = tmp_path / f"shop.{case[:3]}"
    archive.write_bytes(packed)
    listed = list_images(archive)
    assert name in listed.ids
    path = listed.paths[listed.ids.index(name)]
    found = read_picture(listed.images_root, path)
    assert found.content == content
    seen = stat_picture(listed.images_root, path)
    assert seen == (found.size, found.mtime_ns)
    assert (seen[0], seen[1] // SECOND) == (len(content), archive.stat().st_mtime_ns // SECOND)


@pytest.mark.parametrize("case", REFUSED)
def test_a_member_that_is_no_picture_is_a_reason(case: str, tmp_path: Path) -> None:
    packed, name, reason = REFUSED[case]
    (tmp_path / f"shop.{case[:3]}").write_bytes(packed)
    listed = list_images(tmp_path / f"shop.{case[:3]}")
    with pytest.raises(Refused) as refused:
        read_picture(listed.images_root, f"shop.{case[:3]}/{name}")
    assert refused.value.reason is reason, refused.value.message
    assert reason is Reason.MISSING or "not there" in case or name in listed.ids


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_one_line(name: str, tmp_path: Path) -> None:
    packed, message = BROKEN[name]
    (tmp_path / name).write_bytes(packed)
    with pytest.raises((CatalogError, NoPictures, UsageError), match=message) as error:
        list_images(tmp_path / name)
    assert "\n" not in str(error.value)
    if message.startswith("cannot"):
        with pytest.raises(Refused) as refused:
            read_picture(tmp_path, f"{name}/a.jpg")
        assert refused.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (READ["tar, cut off behind"][0], ()),
        (READ["tar, no end"][0], ("has no end mark",)),
        (READ["tar, two in one"][0], ("goes on after its end at byte 4,096",)),
        (REFUSED["tar, cut off within"][0], ("is cut off or damaged",)),
        (READ["tar, twice"][0], ("1 names stand in it again",)),
        (patched(tar_of(*TWO, ("c.jpg", CUP)), 2048, b"damaged"), ("is damaged at byte 2,048",)),
    ],
)
def test_what_is_odd_about_a_tar_is_noted(
    packed: bytes, said: Sequence[str], tmp_path: Path
) -> None:
    (tmp_path / "shop.tar").write_bytes(packed)
    notes = tar_members(LocalFile(os.fsencode(tmp_path / "shop.tar"))).notes
    assert len(notes) == len(said)
    assert all(start in note for start, note in zip(said, notes, strict=True))
    assert "a.jpg" in list_images(tmp_path / "shop.tar").ids or "b.jpg" in packed.decode("latin-1")


def test_a_header_that_claims_all_memory_is_not_believed(tmp_path: Path) -> None:
    long_name = patched(tar_of(("x" * 200 + ".jpg", CUP)), 124, b"\x80" + b"\0" * 7 + b"\x7f\0\0\0")
    (tmp_path / "shop.tar").write_bytes(with_checksum(long_name))
    with pytest.raises(CatalogError, match="claims"):
        list_images(tmp_path / "shop.tar")


@pytest.mark.parametrize("size", [-1, -512, -1024, -2048])
def test_a_header_that_leads_back_ends_the_tar(size: int) -> None:
    negative = (256**12 + size).to_bytes(12, "big")
    packed = with_checksum(patched(tar_of(*TWO[::-1]), 124, negative))
    packed = tar_of(TWO[0])[:2048] + packed
    notes: list[str] = []
    file = HeaderFile(io.BytesIO(packed), MOST_HEADER)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = list(itertools.islice(_members(tar, file, notes), 9))
    assert [member.name for member in found] == ["a.jpg"]
    assert f"a header claims {size} bytes" in notes[0]


def test_an_archive_that_was_written_again_is_listed_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.tar"
    path.write_bytes(tar_of(("a.jpg", CUP)))
    assert read_picture(tmp_path, "shop.tar/a.jpg").content == CUP
    path.write_bytes(tar_of(("b.jpg", HAT), ("a.jpg", HAT)))
    os.utime(path, (7, 7))
    found = read_picture(tmp_path, "shop.tar/a.jpg")
    assert (found.content, found.mtime_ns // SECOND) == (HAT, 7)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar, other dates"])
def test_an_archive_of_the_same_size_and_date_is_another(kind: str, tmp_path: Path) -> None:
    seen = []
    for number, content in enumerate((CUP, CUP, HAT)):
        last = CUP * 60 if "dates" in kind else content
        tar = tar_of(("a.jpg", {"content": content, "mtime": number // 2}), ("b.jpg", last))
        packed = tar if "tar" in kind else zip_of(("a.jpg", content), method=zipfile.ZIP_STORED)
        path = tmp_path / f"shop.{kind[:3]}"
        path.unlink(missing_ok=True)
        path.write_bytes(packed)
        os.utime(path, (7, 7))
        seen.append(stat_picture(tmp_path, f"{path.name}/a.jpg"))
        assert read_picture(tmp_path, f"{path.name}/a.jpg").content == content
    assert seen[0] == seen[1] != seen[2]


def test_an_archive_may_not_lie_behind_a_link_that_leaves(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.tar").write_bytes(tar_of(*TWO))
    (tmp_path / "in" / "shop.tar").symlink_to(tmp_path / "out.tar")
    with pytest.raises(Refused):
        read_picture(tmp_path / "in", "shop.tar/a.jpg")
    assert list_images(tmp_path / "in" / "shop.tar").images_root == tmp_path  # given by name


@pytest.mark.parametrize("target", ["blobs/deadbeef", "blobs/other.tar", "snapshots/abc/0"])
def test_a_link_given_by_name_is_the_file_it_leads_to(target: str, tmp_path: Path) -> None:
    link = tmp_path / "snapshots" / "abc" / "train.tar"
    link.parent.mkdir(parents=True)
    (tmp_path / target).parent.mkdir(exist_ok=True)
    (tmp_path / target).write_bytes(tar_of(*TWO))
    link.symlink_to(os.path.relpath(tmp_path / target, link.parent))
    listed = list_images(link)
    assert (listed.name, listed.ids) == ("train", ("a.jpg", "b.jpg"))
    assert read_picture(listed.images_root, listed.paths[1]).content == HAT
    with pytest.raises(Refused):
        read_picture(link.parent, "../../" + target + "/a.jpg")


@pytest.mark.parametrize("given", ["in/*.tar", "in/{0..0}.tar", "in/0.tar", "in/link.tar", "in"])
def test_a_catalogue_has_one_name(given: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.tar").write_bytes(tar_of(*TWO))
    expected = {"in/0.tar": "0", "in/link.tar": "link"}.get(given, "in")
    if expected == "link":
        (tmp_path / "in" / "link.tar").symlink_to("0.tar")
    assert name_of(tmp_path / given) == list_images(tmp_path / given).name == expected


def test_a_folder_may_be_called_as_an_archive_is(tmp_path: Path) -> None:
    (tmp_path / "shop.zip").mkdir()
    (tmp_path / "shop.zip" / "a.jpg").write_bytes(CUP)
    assert read_picture(tmp_path, "shop.zip/a.jpg").content == CUP
    assert list_images(tmp_path).ids == ("shop.zip/a.jpg",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("shop-{2..1}.tar", "counts no files"),
        ("shop-{0..999999999}.tar", "counts no files"),
        ("shop-*.tar", "matches no file"),
        ("shop-{0..1}.tar", "there is no"),
        ("shop.tar.gz", "compressed as a whole"),
        ("shop.txt", "is no folder"),
        ("nowhere.zip", "does not exist"),
    ],
)
def test_what_names_no_archive_is_one_line(given: str, message: str, tmp_path: Path) -> None:
    for name in ("shop.tar.gz", "shop.txt"):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(UsageError, match=message):
        list_images(tmp_path / given)
