"""Files that leave through a page: CSV of a list, bytes of a stored file; streamed, under ASGI and under WSGI alike."""

import csv
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import IO, Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

CHUNK = 64 * 1024
# A spreadsheet takes a cell that begins like this for a formula, which a stranger's subject line must never become.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file that hands back what is written to it: csv's writer as a generator."""

    def write(self, text: str) -> str:
        return text


def csv_response(
    request: HttpRequest, name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Return `rows` under `header` as a CSV file in UTF-8 (with the mark that spreadsheets look for)."""

    def lines() -> Iterator[bytes]:
        writer = csv.writer(_Echo())
        yield b"\xef\xbb\xbf"
        yield str(writer.writerow([str(cell) for cell in header])).encode()
        for row in rows:
            yield str(writer.writerow([_cell(value) for value in row])).encode()

    response = _streamed(request, lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = disposition(f"{name}.csv")
    response["Cache-Control"] = "no-store"
    return response


def file_response(request: HttpRequest, file: IO[bytes], name: str, *, size: int) -> StreamingHttpResponse:
    """Return an open file as a download that no browser will ever show in place, whatever it holds."""

    def chunks() -> Iterator[bytes]:
        with file:
            while chunk := file.read(CHUNK):
                yield chunk

    response = _streamed(request, chunks, content_type="application/octet-stream")
    response["Content-Length"] = str(size)
    response["Content-Disposition"] = disposition(name)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response


def disposition(name: str) -> str:
    """Return a Content-Disposition of an attachment called `name`, whatever characters that holds (RFC 6266)."""
    flat = "".join(" " if char.isspace() else char for char in name if char.isprintable() or char.isspace())
    clean = flat.replace("/", "_").replace("\\", "_").strip(" .") or "attachment"
    plain = "".join(char if char.isascii() and char not in '"%' else "_" for char in clean)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _streamed(
    request: HttpRequest, chunks: Callable[[], Iterator[bytes]], *, content_type: str
) -> StreamingHttpResponse:
    # Under ASGI Django would collect a plain iterator in memory first, and warn of it.
    content = _from_thread(chunks()) if isinstance(request, ASGIRequest) else chunks()
    return StreamingHttpResponse(content, content_type=content_type)


async def _from_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    step = sync_to_async(lambda: next(chunks, None))
    while (chunk := await step()) is not None:
        yield chunk
