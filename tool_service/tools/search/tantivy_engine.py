"""Full text search with tantivy, in memory or in a folder that is only read.

Hits are the same kind as those of FTS5: sections with all words of the query; if there are none, those with the last
word as the beginning of one; if there are none, those with any of the words.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from tantivy import (
    Document,
    Filter,
    Index,
    Occur,
    Query,
    Schema,
    SchemaBuilder,
    SnippetGenerator,
    TextAnalyzerBuilder,
    Tokenizer,
)

from tool_service.tools.search.documents import Section
from tool_service.tools.search.engine import Hit, SearchError
from tool_service.tools.search.words import may_be_beginning, words_of

FOLDER = "tantivy"
TITLE_BOOST = 4.0
SNIPPET_CHARS = 240
_HEAP_BYTES = 64 << 20
_TOKENIZER = "words"

_ANALYZER = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(256))
    .filter(Filter.lowercase())
    .filter(Filter.ascii_fold())
    .filter(Filter.stemmer("english"))
    .build()
)


class TantivyIndex:
    """An index. Does not follow later changes of the documents."""

    def __init__(self, index: Index, links: Path | None = None) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self._links = links

    @classmethod
    def build(cls, sections: Iterable[Section], folder: Path | None = None) -> Self:
        """Indexes sections, in a folder or in memory."""
        if folder is not None:
            (folder / FOLDER).mkdir()
        index = Index(_schema(), str(folder / FOLDER) if folder is not None else None)
        index.register_tokenizer(_TOKENIZER, _ANALYZER)
        index.config_reader("manual")  # and no thread that looks for changes
        writer = index.writer(_HEAP_BYTES, 1)
        try:
            for section in sections:
                writer.add_document(Document(path=section.path, title=section.title, body=section.body))
            writer.commit()
        finally:
            writer.wait_merging_threads()  # ends its threads, whatever happened
        index.reload()
        return cls(index)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens the index in a folder, which nobody may change meanwhile. Raises `SearchError`.

        tantivy writes a lock file even where it only reads, which a read-only folder would not let it do. So it sees
        the index through links in a folder of its own.
        """
        links = Path(tempfile.mkdtemp(prefix="conveyor-search-"))
        try:
            for file in (folder / FOLDER).iterdir():
                (links / file.name).symlink_to(file.absolute())
            index = Index.open(str(links))
            index.register_tokenizer(_TOKENIZER, _ANALYZER)
            index.config_reader("manual")
            return cls(index, links)
        except (OSError, ValueError) as error:
            shutil.rmtree(links, ignore_errors=True)
            raise SearchError(f"{folder / FOLDER} cannot be read: {error}") from error

    def search(self, query: str, limit: int, within: str = "") -> list[Hit]:
        """At most `limit` sections, best first. Raises `SearchError`."""
        try:
            for words in self._queries(words_of(query)):
                if hits := self._matching(words, limit, within):
                    return hits
        except ValueError as error:
            raise SearchError(f"the search failed: {error}") from error
        return []

    def close(self) -> None:
        """Frees it."""
        if self._links is not None:
            shutil.rmtree(self._links, ignore_errors=True)

    def _matching(self, words: Query, limit: int, within: str) -> list[Hit]:
        place = self._inside(within) if within else Query.all_query()
        # With a place in each query, scores are added up in one order: the same with and without a filter.
        narrowed = Query.boolean_query([(Occur.Must, words), (Occur.Must, Query.const_score_query(place, 0.0))])
        found = self._searcher.search(narrowed, limit, count=False)
        snippets = SnippetGenerator.create(self._searcher, words, self._schema, "body")
        snippets.set_max_num_chars(SNIPPET_CHARS)
        return [self._hit(self._searcher.doc(address), snippets) for _, address in found.hits]

    def _queries(self, words: list[str]) -> Iterator[Query]:
        tokens = [(token, word) for word in words for token in _ANALYZER.analyze(word)]
        if not tokens:
            return
        anywhere = [self._either(token) for token, _ in tokens]
        yield _all(anywhere)
        last, word = tokens[-1]
        if may_be_beginning(word):
            yield _all([*anywhere[:-1], self._beginning(last)])
        if len(anywhere) > 1:
            yield Query.boolean_query([(Occur.Should, each) for each in anywhere])

    def _either(self, token: str) -> Query:
        """Sections with the token in their title or text."""
        title = Query.boost_query(Query.term_query(self._schema, "title", token), TITLE_BOOST)
        return Query.boolean_query([(Occur.Should, title), (Occur.Should, self._in_body(token))])

    def _in_body(self, token: str) -> Query:
        return Query.term_query(self._schema, "body", token)

    def _beginning(self, token: str) -> Query:
        pattern = f"{re.escape(token)}.*"
        fields = [Query.regex_query(self._schema, field, pattern) for field in ("title", "body")]
        return Query.boolean_query([(Occur.Should, field) for field in fields])

    def _inside(self, within: str) -> Query:
        itself = Query.term_query(self._schema, "path", within)
        below = Query.regex_query(self._schema, "path", f"{_literal(within)}/.*")
        return Query.boolean_query([(Occur.Should, itself), (Occur.Should, below)])

    def _hit(self, document: Document, snippets: SnippetGenerator) -> Hit:
        body = str(document.get_first("body"))
        fragment = snippets.snippet_from_doc(document).fragment() or body[:SNIPPET_CHARS]  # only its title matches
        snippet = f"{'' if body.startswith(fragment) else '…'}{fragment}{'' if body.endswith(fragment) else '…'}"
        return Hit(str(document.get_first("path")), str(document.get_first("title")), snippet)


def _schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_text_field("path", stored=True, tokenizer_name="raw")
    builder.add_text_field("title", stored=True, tokenizer_name=_TOKENIZER)
    builder.add_text_field("body", stored=True, tokenizer_name=_TOKENIZER)
    return builder.build()


def _all(queries: list[Query]) -> Query:
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def _literal(text: str) -> str:
    """A pattern of tantivy's for exactly this text."""
    return "".join(letter if letter.isalnum() else f"\\x{{{ord(letter):x}}}" for letter in text)
