"""The format of gpt-oss, harmony.

    turn = message*        message = [ "<|start|>assistant" ] "<|channel|>" header "<|message|>" content closer
    closer = "<|end|>" | "<|call|>" | "<|return|>"

    header                          its content is
    analysis                        reasoning, whatever it looks like
    commentary to=functions.name    the arguments of a call of name
    anything else                   text

The recipient may stand before the channel. Text before the first header is text, and so is a header without a message.
"""

import re

from tool_service.formats.families.named_json import NamedJsonParser, named_call
from tool_service.formats.format import EndReason, Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

MAX_HEADER = 512

_START = "<|start|>"
_CHANNEL = "<|channel|>"
_MESSAGE = "<|message|>"
_ANALYSIS = re.compile(r"(?:<\|channel\|>|\A)[ \t\r\n]{0,64}analysis\b")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w.\-/]{1,128})")


class OpenaiParser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners(
        (Marker(_START), Marker(_CHANNEL)), tuple(Marker(f"<|{word}|>") for word in ("end", "call", "return"))
    )

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The turn ended in a header, in reasoning or in a call."""
        if self._read == self._read_analysis:
            self.turn.think(held)
        else:
            super().end_inside(held, reason)

    def read_header(self, text: str, pos: int) -> int:
        """Reads on up to the message."""
        end = text.find(_MESSAGE, pos, pos + MAX_HEADER)
        if end < 0 and len(text) - pos < MAX_HEADER:
            return self.hold(text, pos)
        begin = self._last_begin(text, pos, end)
        if end < 0 or begin > pos:
            self.turn.say(self.opener + text[pos:begin])
            self.to_text()
            return begin
        self._begin_content(self.opener + text[pos:end])
        return end + len(_MESSAGE)

    def _last_begin(self, text: str, pos: int, end: int) -> int:
        """Where the header that `end` ends begins anew; `pos` if it does not."""
        start, channel = text.rfind(_START, pos, end), text.rfind(_CHANNEL, pos, end)
        if channel >= 0 and self.opener != _START:
            return max(start, channel)
        return max(start, pos)

    def _begin_content(self, header: str) -> None:
        recipient = _RECIPIENT.search(header)
        if _ANALYSIS.search(header):
            self._read = self._read_analysis
        elif recipient:
            self.open(recipient[1])
        else:
            self.to_after()
            self._blank = False

    def _read_analysis(self, text: str, pos: int) -> int:
        found = self.scanners.skipping.find(text, pos)
        settled = found.start if found else self.scanners.skipping.settled(text, pos)
        self.turn.think(text[pos:settled])
        if found is None:
            return self.hold(text, settled)
        self.to_after()
        return found.end if found.marker in self.scanners.closers else found.start


def _parser(tools: Tools) -> OpenaiParser:
    return OpenaiParser()


_SPELLING = ("<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>", "<|call|>")

_write = named_call(*_SPELLING)

OPENAI = Format(
    name="openai",
    description="harmony's commentary channel to functions.name, as gpt-oss writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
