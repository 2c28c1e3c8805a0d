"""Events that wait because whoever is to have them is slow: text that follows text is put together.

So what waits is bounded by the text itself, and not by how many tokens it came in.
"""

from protos.conveyor.decoder.v1 import decoder_pb2

MOST_CHARS = 4096  # of a text that is still added to: each addition copies it


def grown(last: decoder_pb2.GenerateResponse, more: decoder_pb2.GenerateResponse) -> bool:
    """Adds `more`, which follows `last`, to it; False where they cannot be one. It happened when the last of it did."""
    kind = more.WhichOneof("event")
    if kind != last.WhichOneof("event") or not _add(kind, last, more):
        return False
    last.at.CopyFrom(more.at)
    return True


def _add(kind: str | None, last: decoder_pb2.GenerateResponse, more: decoder_pb2.GenerateResponse) -> bool:
    match kind:
        case "text_delta" if len(last.text_delta.text) < MOST_CHARS:
            last.text_delta.text += more.text_delta.text
            last.text_delta.token_ids.extend(more.text_delta.token_ids)
        case "content_delta" if _same_content(last.content_delta, more.content_delta):
            last.content_delta.text += more.content_delta.text
        case "arguments_delta" if _same_argument(last.arguments_delta, more.arguments_delta):
            last.arguments_delta.text += more.arguments_delta.text
        case "call_output" if _same_output(last.call_output, more.call_output):
            last.call_output.text += more.call_output.text
        case _:
            return False
    return True


def _same_content(last: decoder_pb2.ContentDelta, more: decoder_pb2.ContentDelta) -> bool:
    return last.reasoning == more.reasoning and len(last.text) < MOST_CHARS


def _same_argument(last: decoder_pb2.ArgumentsDelta, more: decoder_pb2.ArgumentsDelta) -> bool:
    both = last.HasField("text") and more.HasField("text")
    return both and (last.call_id, last.argument) == (more.call_id, more.argument) and len(last.text) < MOST_CHARS


def _same_output(last: decoder_pb2.CallOutput, more: decoder_pb2.CallOutput) -> bool:
    return last.call_id == more.call_id and len(last.text) < MOST_CHARS
