"""A page as it was sent: what kind it is, and its characters."""

import codecs
import re
from dataclasses import dataclass
from email.message import Message

HTML = ("text/html", "application/xhtml+xml")
_TEXT = re.compile(
    r"text/.*|application/(json|xml|javascript|ecmascript|x-ndjson|jsonl|yaml|x-yaml|toml|sql|graphql)|.*\+(json|xml|yaml)"
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:-]{1,40})", re.I)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Those of the Encoding Standard that Python has under these names. Others, such as punycode, are slow or no text.
_CHARSET = re.compile(
    r"ascii|utf-8|utf-16(-[lb]e)?|iso8859-\d+|cp125\d|cp866|cp874|koi8-[ru]|mac-(roman|cyrillic)"
    r"|gbk|gb18030|gb2312|big5(hkscs)?|euc_jp|iso2022_jp|shift_jis|euc_kr"
)
SNIFFED_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. `cut`: its body goes on, but was too long to be read. `size`: of a body that was not read, as said."""

    url: str
    content_type: str
    body: bytes
    cut: bool
    size: str = ""

    @property
    def media_type(self) -> str:
        """Such as `text/html`; where the server does not say, guessed from the body."""
        return media_type(self.content_type) or _guess(self.body)

    @property
    def is_html(self) -> bool:
        """Whether it is to be read as HTML."""
        return self.media_type in HTML

    @property
    def characters(self) -> str:
        """The body decoded: by its byte order mark, Content-Type, what it says of itself, or else as UTF-8."""
        charset = self._charset() or "utf-8"
        try:
            return self.body.decode(charset)
        except UnicodeDecodeError:
            fallback = "cp1252" if charset == "utf-8" and not self.cut else charset
            return self.body.decode(fallback, "replace")

    def _charset(self) -> str:
        for mark, charset in _MARKS:
            if self.body.startswith(mark):
                return charset
        said = _header(self.content_type).get_param("charset")
        found = _META_CHARSET.search(self.body[:SNIFFED_BYTES]) if self.is_html else None
        return _known(said if isinstance(said, str) else "") or _known(
            found[1].decode("ascii", "replace") if found else ""
        )


def media_type(content_type: str) -> str:
    """The media type that a Content-Type names, in lower case; empty where it names none."""
    said = content_type.partition(";")[0].strip().lower()
    return said if re.fullmatch(r"[!-~]+/[!-~]+", said) and len(said) <= 100 else ""


def is_text(kind: str) -> bool:
    """Whether a media type is one of text; an empty one may be."""
    return not kind or _TEXT.fullmatch(kind) is not None


def _guess(body: bytes) -> str:
    start = body[:SNIFFED_BYTES].lstrip().lower()
    if b"\0" in start:
        return "application/octet-stream"
    return "text/html" if start.startswith((b"<!doctype html", b"<html")) else "text/plain"


def _header(content_type: str) -> Message:
    message = Message()
    message["Content-Type"] = re.sub(r"[^ -~]", "", content_type[:200])
    return message


def _known(label: str) -> str:
    try:
        name = codecs.lookup(label.strip()).name
    except LookupError:
        return ""
    if _CHARSET.fullmatch(name) is None:
        return ""
    return {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(name, name)  # as browsers read them
