"""Draws the files that demo mail carries: small, valid, and the same on every machine.

The corpus keeps no binary in the repository; pictures, PDFs, tables and archives are
written here from a few words, with a generator seeded by the file's name.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

MEDIA_TYPES = {
    "pdf": ("application", "pdf"),
    "png": ("image", "png"),
    "csv": ("text", "csv"),
    "zip": ("application", "zip"),
    "txt": ("application", "octet-stream"),
    "log": ("application", "octet-stream"),
}


def draw(kind: str, name: str, text: str) -> bytes:
    """The bytes of a file of `kind` (a key of `MEDIA_TYPES`); ValueError for any other.

    `text` is what the page, archive or text says; for csv `columns separated by spaces
    * rows`, for log the size in KiB.
    """
    match kind:
        case "csv":
            columns, _, rows = text.rpartition("*")
            return csv(columns.split(), int(rows), name)
        case "log":
            return log(int(text), name)
        case "png":
            return png(name)
        case "pdf":
            return pdf(text)
        case "zip":
            return archive(text)
        case "txt":
            return text.encode()
    raise ValueError(f"no file of kind {kind!r} can be drawn")


def _dice(name: str) -> random.Random:
    return random.Random(name)  # noqa: S311  # repeatable pictures and readings, no secrets


def png(name: str, width: int = 72, height: int = 36) -> bytes:
    """A small RGB picture: a gradient in colours that follow from `name`."""
    dice = _dice(name)
    left, right = ([dice.randrange(256) for _ in range(3)] for _ in range(2))
    row = bytearray([0])  # filter type: none
    for x in range(width):
        row += bytes(a + (b - a) * x // width for a, b in zip(left, right, strict=True))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(row) * height)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pdf(text: str) -> bytes:
    """A one-page PDF 1.4 that says `text`, with a correct cross-reference table."""
    words = text.encode("cp1252", "replace")
    for special in (b"\\", b"(", b")"):
        words = words.replace(special, b"\\" + special)
    drawing = b"BT /F1 14 Tf 60 760 Td (" + words + b") Tj ET"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        font,
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n"
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def csv(columns: list[str], rows: int, name: str) -> bytes:
    """`rows` lines of readings below a header line, comma-separated, CRLF (RFC 4180)."""
    dice = _dice(name)
    lines = [",".join(["minute", *columns])]
    for row in range(rows):
        values = (f"{3 + dice.random() * 4:.3f}" for _ in columns)
        lines.append(",".join([str(row * 5), *values]))
    return ("\r\n".join(lines) + "\r\n").encode()


def archive(text: str) -> bytes:
    """A ZIP archive with one text file; its date is fixed so that the bytes are too."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("readme.txt", (2020, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def log(kib: int, name: str) -> bytes:
    """`kib` KiB of a gateway's log, hardly compressible, as such files are when zipped."""
    dice = _dice(name)
    lines: list[str] = []
    size = 0
    while size < kib * 1024:
        line = f"{len(lines):08d} probe={dice.randrange(24)} raw={dice.randbytes(24).hex()}\n"
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()[: kib * 1024]
