"""Archives that somebody has made to do harm, or that something has damaged: one clear line, and nothing written."""

from __future__ import annotations

import gzip
import io
import random
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocigc.errors import CutOffArchive, MalformedError, OcigcError
from ocigc.layout.archive import Archive
from ocigc.layout.opening import open_either
from ocigc.layout.tar import Kind, Tar
from ocigc.progress import SILENT
from ocigc.verification.streamed import open_any
from ocigc.verification.verify import verify
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

BLOCK = 512


def sealed(header: bytearray) -> bytes:
    """With the right checksum."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def header(name: bytes, size: int = 0, kind: bytes = b"0", link: bytes = b"", **fields: bytes) -> bytes:
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = fields.get("length", b"%011o\0" % size)
    block[136:148] = fields.get("mtime", b"%011o\0" % 1700000000)
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = fields.get("magic", b"ustar\00000")
    prefix = fields.get("prefix", b"")
    block[345 : 345 + len(prefix)] = prefix
    return sealed(block)


def member(name: bytes, content: bytes = b"", kind: bytes = b"0", link: bytes = b"", **fields: bytes) -> bytes:
    return header(name, len(content), kind, link, **fields) + content + bytes(-len(content) % BLOCK)


END = bytes(2 * BLOCK)


@pytest.fixture
def packed(tmp_path: Path) -> bytes:
    """A sound archive without the mark of its end."""
    writer = LayoutWriter(tmp_path / "mirror")
    writer.tag(writer.image("one"), "app:1")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(writer.path, ".")
    return buffer.getvalue().rstrip(b"\0") + bytes(-len(buffer.getvalue().rstrip(b"\0")) % BLOCK)


def pax(*records: bytes) -> bytes:
    return member(b"pax", b"".join(records), b"x")


CASES: dict[str, tuple[bytes, str]] = {
    "above": (member(b"../../etc/passwd", b"x"), "leads out of the archive"),
    "above, further down": (member(b"blobs/../../x", b"x"), "leads out of the archive"),
    "absolute": (member(b"/etc/passwd", b"x"), "leads out of the archive"),
    "absolute by pax": (pax(b"20 path=/etc/passwd\n") + member(b"x"), "leads out of the archive"),
    "link out": (member(b"x", kind=b"1", link=b"../../etc/passwd"), "leads out of the archive"),
    "terminal": (member(b"../\x1b[2J", b""), "\\x1b[2J"),
    "no name": (member(b"", b"x"), "not the name of a file"),
    "only dots": (member(b"./.", b"x"), "not the name of a file"),
    "below a file": (member(b"index.json/x", b"x"), "lies below a regular file"),
    "below a symlink": (member(b"a", kind=b"2", link=b"/etc") + member(b"a/passwd", b"x"), "lies below a symlink"),
    "a directory and a file": (member(b"blobs", b"x"), "a directory and something else"),
    "a link to a directory": (member(b"x", kind=b"1", link=b"blobs"), "hard link to a directory"),
    "sparse": (member(b"blobs/x", b"", b"S"), "sparse"),
    "sparse by pax": (pax(b"22 GNU.sparse.major=1\n") + member(b"x"), "sparse"),
    "another volume": (member(b"x", b"x", b"M"), "another volume"),
    "octal that is none": (header(b"x", length=b"9zzzzzzzzzz\0"), "in place of a number"),
    "negative size": (header(b"x", length=b"\xff" * 12), "malformed"),
    "negative octal": (header(b"x", length=b"-0000000001\0"), "malformed"),
    "pax without length": (member(b"pax", b"path=x\n", b"x") + member(b"x"), "a malformed record"),
    "pax beyond its end": (member(b"pax", b"999 path=x\n", b"x") + member(b"x"), "a malformed record"),
    "pax of no length": (member(b"pax", b"0 path=x\n", b"x") + member(b"x"), "a malformed record"),
    "pax without an end": (member(b"pax", b"10 path=xy", b"x") + member(b"x"), "a malformed record"),
    "pax size": (pax(b"13 size=9e99\n") + member(b"x"), "as size"),
    "pax mtime": (pax(b"17 mtime=1e99999\n") + member(b"x"), "as mtime"),
    "pax zero byte": (pax(b"11 path=a\0\n") + member(b"x"), "malformed"),
    "global path": (member(b"g", b"10 path=x\n", b"g") + member(b"x"), "gives all members one path"),
    "long name without end": (header(b"././@LongLink", 1 << 30, b"L"), "at most"),
}


@pytest.mark.parametrize(("hostile", "words"), CASES.values(), ids=CASES.keys())
def test_a_hostile_archive_is_refused_by_its_path(tmp_path: Path, packed: bytes, hostile: bytes, words: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(packed + hostile + END)
    with pytest.raises(MalformedError) as caught, open_either(path):
        pass
    message = str(caught.value)
    assert str(path) in message
    assert words in message
    assert message.isprintable()


def test_at_the_command_line(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(packed + member(b"../../etc/passwd", b"x") + END)
    for command in ("verify", "ls", "check"):
        refused(ocigc(command, path), 3, str(path), "../../etc/passwd", "do not unpack it")
    answer = ocigc("verify", "--format", "json", path)
    assert (answer.json["Sound"], len(answer.json["Errors"])) == (False, 1)
    refused(ocigc("prune", path), 2, str(path))


CUT: dict[str, bytes] = {
    "content": member(b"blobs/sha256/x", b"x" * 2000)[:-700],
    "huge": header(b"huge", length=b"\x80" + 2 * b"\0" + b"\x7f" + 8 * b"\xff"),
    "octal huge": header(b"huge", length=b"77777777777\0"),
    "pax huge": pax(b"28 size=9223372036854775807\n") + header(b"huge"),
    "header": header(b"x")[:300],
    "extension": header(b"././@LongLink", 600, b"L") + b"x" * 100,
    "extension alone": member(b"././@LongLink", b"x" * 600, b"L"),
    "no header": b"\x01" * BLOCK,
    "zeros": bytes(BLOCK) + member(b"after", b"x") + END,
    "wrong checksum": member(b"x", b"x").replace(b"ustar", b"Ustar"),
}


@pytest.mark.parametrize("end", CUT.values(), ids=CUT.keys())
def test_what_is_cut_off_or_damaged(tmp_path: Path, packed: bytes, end: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(packed + end)
    with open_either(path) as archive:
        assert archive.trouble
        assert archive.is_cut_off
        assert not verify(archive).sound
    path.write_bytes(end)
    with pytest.raises(OcigcError):
        open_either(path)


def test_no_room_for_what_a_stream_has(tmp_path: Path, packed: bytes) -> None:
    """The limit of a process's files stands for a full disk."""
    many = b"".join(member(b"blobs/sha256/%064x" % number, b"{" * 70_000) for number in range(40))
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(packed + many + END))
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    run = "sys.argv[1:] = ['verify', sys.argv[1]]; runpy.run_module('ocigc', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", limited + run, path], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "File too large; manifests of a stream are kept there" in done.stderr


def test_what_is_no_blob(tmp_path: Path, packed: bytes) -> None:
    """What may not lie below blobs/ in a layout may not in an archive."""
    path = tmp_path / "x.tar"
    for kind, what in ((b"2", "a symlink"), (b"6", "a device or a fifo"), (b"5", "a directory")):
        path.write_bytes(packed + member(b"blobs/sha256/" + 64 * b"a", kind=kind, link=b"/etc/passwd") + END)
        refused(ocigc("verify", path), 3, str(path), what)
    path.write_bytes(packed + member(b"labels", kind=b"2", link=b"/etc") + END)
    refused(ocigc("ls", path), 3, str(path), "labels is a symlink")
    path.write_bytes(packed + member(b"leases/x.json", kind=b"2", link=b"/etc/passwd") + END)
    refused(ocigc("ls", path), 3, str(path), "leases/x.json")


def test_old_forms_of_headers(tmp_path: Path, packed: bytes) -> None:
    """Without a magic, with a GNU magic whose prefix is none, with signed sums, unknown kinds, volumes' names."""
    blob = b"blobs/sha256/" + 64 * b"b"
    more = [
        member(blob, b"x", b"\0", magic=bytes(8)),
        member(b"name", b"x", magic=b"ustar  \0", prefix=b"\x01\x02"),
        member(b"other", b"xyz", b"?"),
        header(b"volume", kind=b"V"),
        member(b"g", b"19 comment=abcdefg\n", b"g"),
        member("größe".encode("latin-1"), b"x"),
    ]
    signed = bytearray(header(b"sum\xff", 0))
    signed[148:156] = b" " * 8
    signed[148:156] = b"%06o\0 " % (sum(signed) - 256)
    path = tmp_path / "x.tar"
    path.write_bytes(packed + b"".join(more) + bytes(signed) + END)
    with Archive(path) as archive:
        assert archive.trouble == ""
        names = archive.dir.names()
        assert {"name", "other", "sum\udcff", "gr\udcf6\udcdfe"} <= set(names)
        assert "volume" not in names
        with archive.dir.reader("other") as file:
            assert file.read() == b"xyz"
        assert not verify(archive).sound  # that blob is not what its name says


def _mutated(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(damaged))
        kind = chance.randrange(4)
        if kind == 0:
            damaged[at] = chance.randrange(256)
        elif kind == 1:
            del damaged[at : at + chance.randrange(1, 700)]
        elif kind == 2:
            damaged[at:at] = chance.randbytes(chance.randrange(1, 700))
        else:  # a header that is right in itself
            start = at // BLOCK * BLOCK
            block = damaged[start : start + BLOCK]
            if len(block) == BLOCK:
                block[chance.randrange(BLOCK)] = chance.randrange(256)
                damaged[start : start + BLOCK] = sealed(block)
        if not damaged:
            damaged = bytearray(b"x")
    return bytes(damaged)


def test_damage_anywhere(tmp_path: Path, packed: bytes) -> None:
    """Whatever is changed, there is an answer or one clear line; and both ways of reading agree on it."""
    path = tmp_path / "x.tar"
    answers: set[object] = set()
    printed: set[bool] = set()
    for seed in range(400):
        path.write_bytes(_mutated(packed + END, seed))
        try:
            with open_either(path) as archive:
                answers.add(verify(archive).sound)
        except OcigcError as error:
            answers.add(type(error).__name__)
            printed.add(str(error).isprintable())
    assert printed == {True}
    assert {True, False, "MalformedError", "CutOffArchive"} <= answers


def _told(open_: Callable[[], Archive]) -> object:
    try:
        with open_() as archive:
            found = verify(archive)
            return found.sound, found.corrupt, found.missing, found.checked, archive.is_cut_off
    except OcigcError as error:
        return type(error)


def test_a_stream_is_told_the_same_of(tmp_path: Path, packed: bytes) -> None:
    path, zipped = tmp_path / "x.tar", tmp_path / "x.tar.gz"
    for seed in range(200):
        content = _mutated(packed + END, seed)
        path.write_bytes(content)
        zipped.write_bytes(gzip.compress(content, 1))
        in_place = _told(lambda: open_either(path))
        streamed = _told(lambda: open_any(str(zipped), SILENT))
        assert streamed == in_place, seed


def test_as_tarfile_reads_it(tmp_path: Path) -> None:
    """Members of all forms stand where Python's own tarfile finds them."""
    chance = random.Random(7)
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / "x.tar"
        with tarfile.open(path, "w", format=form) as archive:
            for number in range(200):
                limit = 90 if form == tarfile.USTAR_FORMAT else 400
                name = f"{number}/" + "é" * (form == tarfile.PAX_FORMAT) + "n" * chance.randrange(1, limit)
                info = tarfile.TarInfo(name)
                info.size = chance.choice((0, 1, 511, 512, 513, 5000))
                info.mtime = chance.choice((0, 1.5, 2**33, 1700000000)) if form != tarfile.USTAR_FORMAT else 5
                info.type = chance.choice((tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE))
                if info.type != tarfile.REGTYPE:
                    info.size = 0
                if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                    info.linkname = "l" * chance.randrange(1, limit)
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        with tarfile.open(path) as archive, path.open("rb") as file:
            kinds = {
                tarfile.REGTYPE: Kind.FILE,
                tarfile.DIRTYPE: Kind.DIRECTORY,
                tarfile.SYMTYPE: Kind.SYMLINK,
                tarfile.LNKTYPE: Kind.LINK,
            }
            expected = [
                (each.name, kinds[each.type], each.offset_data, each.size, int(each.mtime * 10**9), each.linkname)
                for each in archive
            ]
            tar = Tar(file, path.stat().st_size)
            found = [
                (each.name.rstrip("/"), each.kind, each.start, each.size, each.modified, each.target) for each in tar
            ]
            assert found == expected
            assert tar.trouble == ""


def test_an_empty_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(END)
    refused(ocigc("ls", path), 2, str(path), "no file 'oci-layout'")
    path.write_bytes(b"")
    with pytest.raises(CutOffArchive):
        open_either(path)


def test_large_numbers_of_gnu(tmp_path: Path, packed: bytes) -> None:
    """A size of 8 GiB is written in binary; here it is that of a file that is mostly not there on the disk."""
    path = tmp_path / "x.tar"
    size = 9 << 30
    path.write_bytes(packed + header(b"large", length=b"\x80" + struct.pack(">3xQ", size)))
    with path.open("r+b") as file:
        file.seek(size, 2)
        file.write(member(b"after", b"x") + END)
    with Archive(path) as archive:
        assert archive.trouble == ""
        assert archive.dir.stat("large").st_size == size
        assert "after" in archive.dir.names()
