"""The page's files over HTTP: read once, compressed once, and fetched again only when they have changed."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_STATIC = Path(__file__).parent / "static"
_INDEX = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = {  # nothing but what comes from here, and pictures that tools hand over
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data: blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # kept, and asked for again: a new version is seen at once
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent: whole and compressed, each with its entity tag (RFC 9110, 8.8.3)."""

    media_type: str
    plain: bytes
    packed: bytes
    tag: str

    def answer(self, request: Request) -> Response:
        """The file, or that the client's copy is still right."""
        packs = _accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = f'"{self.tag}-gzip"' if packs else f'"{self.tag}"'
        headers = {**_HEADERS, "etag": tag}
        if _names(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if packs:
            headers["content-encoding"] = "gzip"
        return Response(self.packed if packs else self.plain, headers=headers, media_type=self.media_type)


def _read(path: Path) -> PageFile:
    plain = path.read_bytes()
    packed = gzip.compress(plain, mtime=0)  # the same bytes in every process
    return PageFile(_TYPES[path.suffix], plain, packed, hashlib.sha256(plain).hexdigest()[:16])


def _accepts_gzip(accepted: str) -> bool:
    """Whether `Accept-Encoding` names gzip, or anything, with a weight above zero (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        try:
            weights[coding.strip()] = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            weights[coding.strip()] = 0
    return weights.get("gzip", weights.get("*", 0)) > 0


def _names(condition: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weak and strong ones compare alike there (RFC 9110, 13.1.2)."""
    return any(named.strip().removeprefix("W/") in (tag, "*") for named in condition.split(","))


_FILES = {path.name: _read(path) for path in sorted(_STATIC.iterdir()) if path.suffix in _TYPES}


async def _show_index(request: Request) -> Response:
    return _FILES[_INDEX].answer(request)


async def _show_file(request: Request) -> Response:
    file = _FILES.get(request.path_params["file"])
    if file is None:
        return PlainTextResponse("The page has no such file.\n", status_code=404, headers=_HEADERS)
    return file.answer(request)


routes = [Route("/", _show_index), Route("/page/{file}", _show_file)]
