import pytest
import typer

from gateway.cli.written_call import CallFormat, written_call


def test_json_has_the_arguments_as_they_were_given():
    assert written_call('e"o', '{"a":  1}', CallFormat.JSON) == '{"name": "e\\"o", "arguments": {"a":  1}}'


@pytest.mark.parametrize("code", ["print(1)", "print(1)\\n"])
def test_a_code_block_has_the_code_on_lines_of_its_own(code):
    text = written_call("python", f'{{"code": "{code}"}}', CallFormat.CODE_BLOCK)
    assert text == "```python\nprint(1)\n```"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search", '{"code": "1"}', "can only call python, not search"),
        ("python", "{}", "and nothing else"),
        ("python", '{"code": 1}', "and nothing else"),
        ("python", '{"code": "1", "more": 2}', "and nothing else"),
        ("python", "{\"code\": \"x = '''\\n```\\n'''\"}", "use --format json"),
    ],
)
def test_what_a_code_block_cannot_say_is_refused(name, arguments, said):
    with pytest.raises(typer.BadParameter, match=said):
        written_call(name, arguments, CallFormat.CODE_BLOCK)


@pytest.mark.parametrize("arguments", ["[" * 100_000, "[1]", "{", "NaN"])
def test_arguments_that_are_no_object_are_refused(arguments):
    with pytest.raises(typer.BadParameter, match=r"not|deep"):
        written_call("python", arguments, CallFormat.JSON)
