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


def scripted(client: openai.AsyncOpenAI, *turns: str) -> openai.AsyncOpenAI:
    waiting = list(turns)

    def patched(create: object) -> object:
        async def call(**fields: object) -> object:
            body = {"conveyor": {"replay": [waiting.pop(0)], "max_turns": 1}}
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
