"""A file in clear: unpacked (gzip, bzip2, xz, zip), as UTF-8 without a mark, to be read more than once. Knows not
what it is about.

What has to be unpacked or written in another encoding goes through a temporary file, so memory stays small.
"""

from __future__ import annotations

import bz2
import codecs
import fnmatch
import gzip
import hashlib
import lzma
import re
import shutil
import string
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from schemas.errors import InputFileError

_PIECE: Final = 1 << 20
_SAMPLE_BYTES: Final = 1 << 16
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LATIN: Final = ["cp1252", "cp1250", "cp1254"]
_OTHERS: Final = ["cp1251", "cp1253", "koi8_r", "cp866", "shift_jis", "gb18030", "big5", "euc_kr", "cp1255", "cp1256"]
"""What spreadsheets and old databases write; a list of everything finds something odd for a short file."""
_ASCII_LETTERS: Final = [letter.encode() for letter in string.ascii_letters]
_SELDOM: Final = frozenset({"cp1255", "cp1256"})
_ODD_WORD: Final = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
_DAMAGED: Final = "damaged"
"""UTF-8, but for some lines. JSON is never anything else unless it is said."""
BINARY: Final = "binary"
"""The encoding of what is no text: Parquet, Excel."""
_START_BYTES: Final = 8
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TABLES: Final = (b"PAR1", b"PK\x03\x04", _OLD_WORKBOOK)
_FOREIGN: Final = {
    b"%PDF": "a PDF: export the table as CSV or Excel",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first (zstd -d)",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"SQLite f": "a SQLite database: export the table as CSV",
    b"\x89PNG": "a picture: export the table as CSV or Excel",
}
"""What is no table and looks like text in some encoding, by its first bytes."""


@dataclass(slots=True)
class ClearFile:
    """`file` is UTF-8 from `start` on, or binary; `encoding` is what was found or named."""

    name: str
    file: BinaryIO
    encoding: str
    start: int = 0
    is_damaged: bool = False
    """Some bytes are no UTF-8, although it is the encoding."""

    @property
    def is_binary(self) -> bool:
        """Whether it is no text."""
        return self.encoding == BINARY

    def rewound(self) -> BinaryIO:
        """The file at its beginning."""
        self.file.seek(self.start)
        return self.file

    def head(self, size: int) -> bytes:
        """The first bytes."""
        return self.rewound().read(size)

    def sha256(self) -> str:
        """Of the content in clear."""
        return hashlib.file_digest(cast(Any, self.rewound()), "sha256").hexdigest()


def open_clear(path: str, *, encoding: str | None = None, member: str | None = None) -> ClearFile:
    """Open a file, or stdin for `-`. `member` is a name (or pattern) inside a zip. Raises InputFileError."""
    if encoding is not None:
        _check_name(path, encoding)
    try:
        return _opened(path, encoding=encoding, member=member)
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise InputFileError(f"{path} cannot be unpacked, it is damaged or cut off: {error}") from None


def _check_name(path: str, encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise InputFileError(f"{path}: {encoding!r} is no encoding; write e.g. utf-8, cp1251 or cp1252") from None


def _opened(path: str, *, encoding: str | None, member: str | None) -> ClearFile:
    file = _unpacked(path, member)
    start = file.read(_START_BYTES)
    file.seek(0)
    if encoding is None and start.startswith(_TABLES):
        return ClearFile(path, file, BINARY)
    if foreign := next((text for first, text in _FOREIGN.items() if start.startswith(first)), None):
        raise InputFileError(f"{path} is {foreign}")
    mark = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    used = encoding or mark or _encoding_of(path, file)
    if used == _DAMAGED:
        return ClearFile(path, file, "utf-8", is_damaged=True)
    if codecs.lookup(used).name in ("utf-8", "utf-8-sig", "ascii"):
        if encoding is not None and not _decodes(file, "utf-8"):
            raise InputFileError(f"{path} is no {encoding}; leave the encoding out to have it found")
        return ClearFile(path, file, "utf-8", 3 if start.startswith(codecs.BOM_UTF8) else 0)
    return ClearFile(path, _transcoded(path, file, encoding=used), used)


def _unpacked(path: str, member: str | None) -> BinaryIO:
    source: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - closed with the process
    if path == "-" or not source.seekable():  # a pipe: /dev/stdin, <(command)
        source = _spooled(source)
    start = source.read(_START_BYTES)
    source.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return _spooled(cast(BinaryIO, gzip.GzipFile(fileobj=source)))
    if start.startswith(b"BZh"):
        return _spooled(cast(BinaryIO, bz2.BZ2File(source)))
    if start.startswith(b"\xfd7zXZ\x00"):
        return _spooled(cast(BinaryIO, lzma.LZMAFile(source)))
    if start.startswith(b"PK\x03\x04") and not _is_workbook(source):
        return _spooled(_member_of(path, source, member=member))
    return source


def _spooled(source: BinaryIO) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    shutil.copyfileobj(source, spool, _PIECE)
    spool.seek(0)
    return spool


def _is_workbook(source: BinaryIO) -> bool:
    """Of Excel, or of LibreOffice."""
    with zipfile.ZipFile(source) as archive:
        is_workbook = any(name.startswith("xl/") or name == "content.xml" for name in archive.namelist())
    source.seek(0)
    return is_workbook


def _member_of(path: str, source: BinaryIO, *, member: str | None) -> BinaryIO:
    archive = zipfile.ZipFile(source)
    names = [info.filename for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
    wanted = [name for name in names if member is None or fnmatch.fnmatch(name, member)]
    if len(wanted) != 1:
        raise InputFileError(f"{path} holds {', '.join(names) or 'nothing'}: say which one with `member: NAME`")
    try:
        return cast(BinaryIO, archive.open(wanted[0]))
    except (RuntimeError, NotImplementedError) as error:  # a password; a compression Python has not
        raise InputFileError(f"{path}: {wanted[0]} cannot be unpacked: {error}") from None


def _encoding_of(path: str, file: BinaryIO) -> str:
    """UTF-8 where the whole file is; else the likeliest of the older encodings. Raises InputFileError."""
    start = file.read(4096)
    file.seek(0)
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        half = start[first::2]
        if half.count(0) * 2 > len(half) > 0 and not start[1 - first :: 2].count(0):  # ASCII letters in two bytes
            return name
    if _decodes(file, "utf-8"):
        return "utf-8"
    if start.lstrip()[:1] in (b"{", b"[") or _is_mostly_utf8(file):
        return _DAMAGED
    for guess in (*_guesses(_odd_words(file)), "cp1252", "latin-1"):
        if _decodes(file, guess):
            return guess
    raise InputFileError(f"{path}: its encoding is not known; say it, e.g. cp1251 or cp1252")


def _is_mostly_utf8(file: BinaryIO) -> bool:
    """Whether of the lines that tell, most are UTF-8: then the others are damaged."""
    balance = 0
    for line in file:
        if not line.isascii():
            try:
                line.decode()
                balance += 1
            except UnicodeDecodeError:
                balance -= 1
    file.seek(0)
    return balance > 0


def _guesses(words: bytes) -> list[str]:
    """The likeliest first. Latin words have few letters with accents; words of other scripts have nothing else."""
    from charset_normalizer import from_bytes

    plain = sum(map(words.count, _ASCII_LETTERS))
    odd = sum(byte > 127 for byte in words)
    if plain > odd:
        guesses = [name for guess in from_bytes(words, cp_isolation=_LATIN) for name in guess.could_be_from_charset]
        return sorted(guesses, key=lambda name: name != "cp1252")
    guesses = [guess.encoding for guess in from_bytes(words, cp_isolation=_OTHERS)]
    return sorted(guesses, key=lambda name: name in _SELDOM)


def _odd_words(file: BinaryIO) -> bytes:
    """Words with other letters than ASCII: only they tell encodings apart."""
    sample = b""
    for line in file:
        if not line.isascii():
            sample += b" ".join(_ODD_WORD.findall(line)) + b" "
            if len(sample) > _SAMPLE_BYTES:
                break
    file.seek(0)
    return sample


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while piece := file.read(_PIECE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def _transcoded(path: str, file: BinaryIO, *, encoding: str) -> BinaryIO:
    """The same text as UTF-8; ends of lines stay."""
    decoder = codecs.getincrementaldecoder(encoding)()
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    done = 0
    try:
        while piece := file.read(_PIECE):
            spool.write(decoder.decode(piece).encode())
            done += len(piece)
        spool.write(decoder.decode(b"", final=True).encode())
    except UnicodeDecodeError as error:
        raise InputFileError(f"{path} is no {encoding}: byte {done + error.start} does not fit; say another") from None
    except UnicodeEncodeError:
        raise InputFileError(f"{path} is no {encoding}: it holds half a character; say another") from None
    spool.seek(0)
    return spool


def suffixes_of(path: str) -> list[str]:
    """`[".csv"]` of `orders.csv.gz`."""
    packed = (".gz", ".zip", ".bz2", ".xz")
    return [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() not in packed]
