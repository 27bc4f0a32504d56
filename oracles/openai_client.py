"""Runs the official OpenAI client for Python against a server, and says in JSON what it saw.

    python oracles/openai_client.py http://127.0.0.1:8080/v1 KEY MODEL CALLER ENCODER
"""

import asyncio
import json
import sys

import openai
from pydantic import BaseModel

URL, KEY, MODEL, CALLER, ENCODER = sys.argv[1:6]
MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT = {"model": MODEL, "messages": MESSAGES, "max_completion_tokens": 12, "temperature": 0}
COMPLETION = {"model": MODEL, "prompt": "Hello", "max_tokens": 12, "temperature": 0}


class Place(BaseModel):
    name: str
    zip: int | None


class Weather(BaseModel):
    place: Place
    celsius: bool


def problem(call) -> list:
    """Class and code of the error that a call raises."""
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.code, error.param]
    return ["no error"]


def streamed(client) -> dict:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(**CHAT, **options))
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "reason": [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1],
        "completion_tokens": chunks[-1].usage.completion_tokens,
    }


def embedded(client) -> dict:
    """The client asks for base64 unless it is told otherwise."""
    texts = {"model": ENCODER, "input": ["Hello", "hello, hello"]}
    coded, plain = (client.embeddings.create(**texts, **form) for form in ({}, {"encoding_format": "float"}))
    return {
        "sizes": [len(item.embedding) for item in coded.data],
        "same": [item.embedding for item in coded.data] == [item.embedding for item in plain.data],
        "prompt_tokens": plain.usage.prompt_tokens,
    }


def called(client) -> dict:
    """The helper for functions makes them strict."""
    tools = [openai.pydantic_function_tool(Weather)]
    request = {"model": CALLER, "messages": MESSAGES, "tools": tools, "parallel_tool_calls": False}
    # Of an answer that does not end, its reader would make an error: chance seldom calls a function.
    ways = {"required": client.chat.completions.parse, "auto": client.chat.completions.create}
    answers = [
        ask(**request, seed=seed, max_completion_tokens=150, tool_choice=choice).choices[0].message.tool_calls or []
        for choice, ask in ways.items()
        for seed in range(3)
    ]
    return {
        "strict": tools[0]["function"]["strict"],
        "parsed": [isinstance(calls[0].function.parsed_arguments, Weather) for calls in answers[:3]],
        "most": max(len(calls) for calls in answers),
    }


async def side_by_side() -> list:
    """Eight requests at the same time through the asynchronous client."""
    async with openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0) as client:
        calls = [client.chat.completions.create(**CHAT, seed=seed) for seed in range(8)]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]


def main() -> None:
    client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
    stranger = openai.OpenAI(base_url=URL, api_key="wrong", max_retries=0)
    whole = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=2)
    completion = client.completions.create(**COMPLETION)
    create = client.chat.completions.create
    print(
        json.dumps(
            {
                "models": [model.id for model in client.models.list()],
                "retrieved": client.models.retrieve(MODEL).id,
                "chat": {
                    "text": whole.choices[0].message.content,
                    "reason": whole.choices[0].finish_reason,
                    "completion_tokens": whole.usage.completion_tokens,
                },
                "logprobs": len(whole.choices[0].logprobs.content),
                "streamed": streamed(client),
                "side_by_side": asyncio.run(side_by_side()),
                "completion": completion.choices[0].text,
                "completion_streamed": "".join(
                    chunk.choices[0].text for chunk in client.completions.create(**COMPLETION, stream=True)
                ),
                "embedded": embedded(client),
                "called": called(client),
                "errors": {
                    "no encoder": problem(lambda: client.embeddings.create(model=MODEL, input="Hello")),
                    "unknown model": problem(lambda: create(**{**CHAT, "model": "other"})),
                    "out of range": problem(lambda: create(**{**CHAT, "temperature": 3})),
                    "unsupported": problem(lambda: create(**CHAT, extra_body={"audio": {}})),
                    "wrong key": problem(stranger.models.list),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
