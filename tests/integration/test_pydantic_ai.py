"""A second framework that others wrote against the gateway: functions of the client, and tools that run here."""

from collections.abc import AsyncIterator

import openai
import pydantic
import pydantic_ai
import pytest
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from decoder_service.models.loader import LoadedModel
from tests.integration.stack import running_stack
from tests.integration.test_openai_agents import scripted

pytestmark = pytest.mark.timeout(240)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv"}}\n</tool_call>'
ANSWER = '<tool_call>\n{"name": "final_result", "arguments": {"city": "Kyiv", "sunny": true}}\n</tool_call>'
KINDS = (OpenAIChatModel, OpenAIResponsesModel)
QUESTION = "What is the weather in Kyiv?"


class Forecast(pydantic.BaseModel):
    city: str
    sunny: bool


@pytest.fixture
async def client(any_model: LoadedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running_stack(any_model) as stack,
        openai.AsyncOpenAI(base_url=f"{stack.http}/v1", api_key="any", max_retries=0) as made,
    ):
        yield made


def weather(city: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {city}"


def model_of(kind: type[Model], client: openai.AsyncOpenAI, *turns: str) -> Model:
    return kind("any", provider=OpenAIProvider(openai_client=scripted(client, *turns)))  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_calls_its_function_and_answers(client: openai.AsyncOpenAI, kind: type[Model]) -> None:
    agent = pydantic_ai.Agent(model_of(kind, client, CALL, "It is sunny."), tools=[weather])
    result = await agent.run(QUESTION)
    assert result.output == "It is sunny."
    [returned] = [
        part for message in result.all_messages() for part in message.parts if part.part_kind == "tool-return"
    ]
    assert returned.content == "sunny in Kyiv"
    assert result.usage.requests == 2 and result.usage.output_tokens > 5


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_is_streamed_after_the_functions_call(client: openai.AsyncOpenAI, kind: type[Model]) -> None:
    agent = pydantic_ai.Agent(model_of(kind, client, CALL, "It is sunny today."), tools=[weather])
    async with agent.run_stream(QUESTION) as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == "It is sunny today." and len(pieces) > 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_of_a_type_is_asked_for_as_a_call(client: openai.AsyncOpenAI, kind: type[Model]) -> None:
    agent = pydantic_ai.Agent(model_of(kind, client, ANSWER), output_type=Forecast)
    result = await agent.run(QUESTION)
    assert result.output == Forecast(city="Kyiv", sunny=True)
