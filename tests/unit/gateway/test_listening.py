from gateway.listening import MOST_ALONE, Text
from protos.conveyor.decoder.v1 import decoder_pb2 as pb


def said(number: int, text: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(number=number, text_delta=pb.TextDelta(text=text))


def test_text_is_taken_by_its_number_and_no_other() -> None:
    text = Text(told_as=1)
    text.hear(said(1, "a"))
    text.hear(said(3, "c"))
    assert text.take(2) is None
    first = text.take(1)
    assert first is not None and first[0].text_delta.text == "a"
    assert text.take(2) is None
    third = text.take(3)
    assert third is not None and (third[0].text_delta.text, third[1]) == ("c", 4)


def test_text_that_waits_long_is_put_together_where_its_numbers_follow() -> None:
    text = Text(told_as=1)
    last = 500
    for number in range(1, last + 1):
        text.hear(said(number, f"{number} "))
    text.hear(said(last + 2, "after"))  # between the two stands what comes by the other stream
    heard, number, count = "", 1, 0
    while (taken := text.take(number)) is not None:
        heard += taken[0].text_delta.text
        number, count = taken[1], count + 1
    assert heard == "".join(f"{each} " for each in range(1, last + 1))
    assert (number, count) == (last + 1, MOST_ALONE)
    rest = text.take(last + 2)
    assert rest is not None and rest[0].text_delta.text == "after"
