"""A framework that others wrote, over OpenAI's client, against the gateway."""

from collections.abc import AsyncIterator

import agents
import openai
import pytest

from decoder_service.models.loader import LoadedModel
from tests.integration.stack import running_stack

pytestmark = pytest.mark.timeout(240)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv"}}\n</tool_call>'


@agents.function_tool
def weather(city: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {city}"


@pytest.fixture
async def client(any_model: LoadedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    agents.set_tracing_disabled(True)
    async with (
        running_stack(any_model) as stack,
        openai.AsyncOpenAI(base_url=f"{stack.http}/v1", api_key="any", max_retries=0) as made,
    ):
        yield made


def scripted(client: openai.AsyncOpenAI, *requests: str | tuple[str, ...]) -> openai.AsyncOpenAI:
    """The model says these turns at each request."""
    waiting = [(turns,) if isinstance(turns, str) else turns for turns in requests]

    def patched(create: object) -> object:
        async def call(**fields: object) -> object:
            turns = waiting.pop(0)
            body = {"conveyor": {"replay": turns, "max_turns": len(turns)}}
            return await create(**{**fields, "extra_body": body})  # type: ignore[operator]

        return call

    for resource in (client.chat.completions, client.responses):
        resource.create = patched(resource.create)  # type: ignore[method-assign, assignment]
    return client


@pytest.mark.parametrize("kind", [agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_calls_its_function_and_answers(
    client: openai.AsyncOpenAI, kind: type[agents.Model], streamed: bool
) -> None:
    model = kind(model="any", openai_client=scripted(client, CALL, "It is sunny."))  # type: ignore[call-arg]
    agent = agents.Agent(name="Forecaster", instructions="Say what the weather is.", model=model, tools=[weather])
    if streamed:
        run = agents.Runner.run_streamed(agent, "What is the weather in Kyiv?")
        async for _ in run.stream_events():
            pass
        result: agents.result.RunResultBase = run
    else:
        result = await agents.Runner.run(agent, "What is the weather in Kyiv?")
    assert result.final_output == "It is sunny."
    outputs = [item.output for item in result.new_items if isinstance(item, agents.ToolCallOutputItem)]
    assert outputs == ["sunny in Kyiv"]


PYTHON = '<tool_call>\n{"name": "python", "arguments": {"code": "print(6 * 7)"}}\n</tool_call>'


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_has_code_run_here_beside_its_own_function(client: openai.AsyncOpenAI, streamed: bool) -> None:
    scripts = (PYTHON, CALL), ("It is sunny, and 42.",)
    model = agents.OpenAIResponsesModel(model="any", openai_client=scripted(client, *scripts))
    interpreter = agents.CodeInterpreterTool({"type": "code_interpreter", "container": {"type": "auto"}})
    agent = agents.Agent(name="Forecaster", model=model, tools=[weather, interpreter])
    if streamed:
        run = agents.Runner.run_streamed(agent, "What is the weather in Kyiv, and 6 * 7?")
        kinds = [event.data.type async for event in run.stream_events() if event.type == "raw_response_event"]
        assert "response.code_interpreter_call_code.delta" in kinds
        result: agents.result.RunResultBase = run
    else:
        result = await agents.Runner.run(agent, "What is the weather in Kyiv, and 6 * 7?")
    assert result.final_output == "It is sunny, and 42."
    ran = [item.raw_item for item in result.new_items if isinstance(item, agents.ToolCallItem)]
    assert [item.type for item in ran] == ["code_interpreter_call", "function_call"]  # type: ignore[union-attr]
    assert ran[0].outputs[0].logs == "42\n"  # type: ignore[union-attr]
