"""Run as a script: a page's URL, a line break and HTML on standard input, its readable text on standard output.

HTML is parsed in a process of its own because pages exist that take a parser minutes, and a parser in C cannot be
interrupted. The process holds itself to a few seconds and to a bound of memory before it looks at the first byte.
"""

import re
import resource
import sys
from collections.abc import Iterator
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

CPU_SECONDS = 4
MEMORY_BYTES = 1 << 30
MAX_LINK_COUNT = 50
MAX_LINK_CHARS = 80
MAX_HREF_CHARS = 1_000

DROPPED = frozenset(
    ("script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object", "canvas", "audio", "video")
)
_BLOCKS = """
    address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option p pre section summary table tbody tfoot thead tr ul
"""
BLOCKS = frozenset(_BLOCKS.split())
MARKS = {"li": "- ", "td": " | ", **{f"h{level}": f"{'#' * level} " for level in range(1, 7)}}
KEPT_SPACE = "\x00"  # HTML has no NUL; the parser turns one into U+FFFD


def main() -> None:
    """Reads, writes, ends."""
    _limit()
    url, _, html = sys.stdin.buffer.read().partition(b"\n")
    sys.stdout.buffer.write(text_of(html, url.decode()).encode("utf-8", "replace"))


def text_of(html: bytes, url: str) -> str:
    """Title, text and links of a page in UTF-8."""
    tree = LexborHTMLParser(html)
    title = tree.css_first("head > title")
    parts = [_one_line(title.text()) if title else "", _tidy("".join(_pieces(tree.root))), _links(tree, url)]
    return "\n\n".join(part for part in parts if part)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _pieces(root: LexborNode | None) -> Iterator[str]:
    """Text in the order of the page; a line break at each edge of a block. Walks without recursion: pages nest deep."""
    node, within_pre = root, 0
    while node is not None:
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            yield _kept(text) if within_pre else re.sub(r"\s+", " ", text)
        yield from _edge(tag, MARKS.get(tag, ""))
        within_pre += tag == "pre"
        if tag not in DROPPED and node.child is not None:
            node = node.child
            continue
        while node is not None and node.next is None:  # leaves it, and whatever ends with it
            yield from _edge(node.tag or "", "")
            within_pre -= node.tag == "pre"
            node = node.parent
        if node is not None:
            yield from _edge(node.tag or "", "")
            within_pre -= node.tag == "pre"
            node = node.next


def _edge(tag: str, mark: str) -> Iterator[str]:
    if tag in BLOCKS:
        yield "\n"
    if mark:
        yield mark


def _kept(text: str) -> str:
    return text.replace("\t", "    ").replace(" ", KEPT_SPACE)


def _tidy(text: str) -> str:
    """Lines without needless space, and no two empty ones in a row."""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip(" |").replace(KEPT_SPACE, " ").rstrip() for line in text.split("\n"))
    full = [line for line in lines if line.strip(" -#")]
    return "\n".join(full)


def _links(tree: LexborHTMLParser, url: str) -> str:
    found: dict[str, str] = {}
    for node in tree.css("a[href]"):
        href = node.attributes.get("href") or ""
        target = _absolute(url, href) if len(href) <= MAX_HREF_CHARS else ""
        if target and target not in found and (text := _one_line(node.text())):
            found[target] = text[:MAX_LINK_CHARS]
        if len(found) == MAX_LINK_COUNT:
            break
    return "\n".join(["Links:", *(f"- {text}: {target}" for target, text in found.items())]) if found else ""


def _absolute(url: str, href: str) -> str:
    try:
        target = urljoin(url, href.strip()).partition("#")[0]
    except ValueError:
        return ""
    return target if target.startswith(("http://", "https://")) and target != url else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
