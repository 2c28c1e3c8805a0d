"""A folder of documents, read file by file and cut into sections by their headings."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tool_service.tools.plain_text import plain

SUFFIXES = (".md", ".txt", ".rst")
MAX_FILE_BYTES = 2 << 20
MAX_FILE_COUNT = 10_000
MAX_TOTAL_BYTES = 256 << 20
MAX_SECTION_CHARS = 8_000

MARKDOWN_UNDERLINES = "=-"

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a document.

    `path` is relative to the folder, with `/`; `title` is the headings above the piece, outermost first.
    """

    path: str
    title: str
    body: str


def documents(folder: Path, *, bounded: bool = True) -> list[Path]:
    """The documents under a folder, in the order of their paths; where bounded, the first `MAX_FILE_COUNT` files and
    `MAX_TOTAL_BYTES` of them.

    Left out: files that are too large, names that begin with a dot, and what a symbolic link shows of the world outside
    the folder.
    """
    chosen: list[Path] = []
    left = MAX_TOTAL_BYTES
    for path, size in _documents(folder):
        left -= size
        if bounded and (len(chosen) >= MAX_FILE_COUNT or left < 0):
            break
        chosen.append(path)
    return chosen


def sections(folder: Path, paths: Iterable[Path]) -> Iterator[Section]:
    """Every section of documents under a folder."""
    for path in paths:
        yield from split(_name(path, folder), _content(path).decode("utf-8-sig", "replace"))


def split(path: str, text: str) -> Iterator[Section]:
    """The sections of one document, clean. Plain text has no headings; its title is its file's name."""
    lines = _without_front_matter([plain(line) for line in text.splitlines()])
    headings = _NO_HEADINGS if path.endswith(".txt") else _headings(lines, path.endswith(".md"))
    trail: list[tuple[int, str]] = []
    start = 0
    for heading in [*headings, None]:
        end = len(lines) if heading is None else heading.start
        yield from _pieces(path, _title(path, trail), lines[start:end])
        if heading is not None:
            start = heading.end
            trail = [(level, name) for level, name in trail if level < heading.level] + [(heading.level, heading.name)]


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading in lines `start` to `end`; level 1 is the outermost."""

    start: int
    end: int
    level: int
    name: str


_NO_HEADINGS: list[_Heading] = []


def _documents(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each document and its size in bytes."""
    root = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                size = _size_inside(path, root)
                if size is not None and size <= MAX_FILE_BYTES:
                    yield path, size


def _size_inside(path: Path, root: Path) -> int | None:
    """The size of a file; None where it is none, or outside the root."""
    try:
        target = path.resolve(strict=True)
        return target.stat().st_size if target.is_relative_to(root) and target.is_file() else None
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return None


def _name(path: Path, folder: Path) -> str:
    """A document's path below the folder, as text on one line."""
    return plain(os.fsencode(path.relative_to(folder)).decode("utf-8", "replace")).replace("\n", " ")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""


def _without_front_matter(lines: list[str]) -> list[str]:
    if lines and lines[0].rstrip() == "---":
        for number, line in enumerate(lines[1:], 1):
            if line.rstrip() in ("---", "..."):
                return lines[number + 1 :]
    return lines


def _headings(lines: list[str], is_markdown: bool) -> list[_Heading]:
    found = _markdown_headings(lines) if is_markdown else _restructured_headings(lines)
    return list(found)


def _markdown_headings(lines: list[str]) -> Iterator[_Heading]:
    """`# Heading`, or a line above `===` or `---`; none in a fenced block."""
    fence = ""
    for number, line in enumerate(lines):
        if mark := _FENCE.match(line):
            fence = _fence_after(fence, mark[1])
        elif not fence and (atx := _ATX.match(line)):
            yield _Heading(number, number + 1, len(atx[1]), atx[2])
        elif not fence and (mark := _underline(lines, number)) and mark[1] in MARKDOWN_UNDERLINES:
            yield _Heading(number - 1, number + 1, MARKDOWN_UNDERLINES.index(mark[1]) + 1, lines[number - 1].strip())


def _restructured_headings(lines: list[str]) -> Iterator[_Heading]:
    """A line above a row of punctuation at least as long; the marks are levels in the order of their appearance."""
    marks: list[str] = []
    for number, line in enumerate(lines):
        mark = _underline(lines, number)
        if mark and len(line.rstrip()) >= len(lines[number - 1].strip()):
            if mark[1] not in marks:
                marks.append(mark[1])
            yield _Heading(number - 1, number + 1, marks.index(mark[1]) + 1, lines[number - 1].strip())


def _fence_after(fence: str, mark: str) -> str:
    """The fence that is open after a line that begins with a mark; empty for none."""
    if not fence:
        return mark
    return "" if mark.startswith(fence) else fence


def _underline(lines: list[str], number: int) -> re.Match[str] | None:
    """Matches a line that underlines the one above it."""
    above = lines[number - 1].strip() if number else ""
    return _UNDERLINE.match(lines[number]) if above and not _UNDERLINE.match(above) else None


def _title(path: str, trail: list[tuple[int, str]]) -> str:
    return " > ".join(name for _, name in trail) or Path(path).name


def _pieces(path: str, title: str, lines: list[str]) -> Iterator[Section]:
    """The lines in pieces that are short enough, without those that say nothing."""
    body: list[str] = []
    length = 0
    for line in lines:
        for part in _parts(line):
            if length + len(part) > MAX_SECTION_CHARS:
                yield Section(path, title, "\n".join(body))
                body, length = [], 0
            body.append(part)
            length += len(part) + 1
    if any(line.strip() for line in body) or title != Path(path).name:
        yield Section(path, title, "\n".join(body).strip("\n"))


def _parts(line: str) -> list[str]:
    return [line[at : at + MAX_SECTION_CHARS] for at in range(0, len(line), MAX_SECTION_CHARS)] or [""]
