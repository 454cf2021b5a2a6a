"""The vendor's own SDK with its own retries, and 50 calls under way: what it raises on is lost.

python -m benchmarks.limits.vendor_sdk --base-url URL --jobs N
"""

import asyncio
from collections.abc import Iterator

from openai import AsyncOpenAI, OpenAIError

from . import other_side
from .progress import Progress
from .prompts import MAX_TOKENS, QUESTION

_UNDER_WAY = 50


async def run(ask: other_side.Ask, progress: Progress) -> None:
    """Ask for everything. The SDK is told no limit; it has nowhere to be told one."""
    numbers = iter(range(ask.jobs))
    async with AsyncOpenAI(api_key="not-a-key", base_url=ask.base_url) as client:
        await asyncio.gather(*(_ask(client, numbers, progress) for _ in range(_UNDER_WAY)))


async def _ask(client: AsyncOpenAI, numbers: Iterator[int], progress: Progress) -> None:
    for _ in numbers:
        try:
            await client.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": QUESTION}], max_tokens=MAX_TOKENS
            )
        except OpenAIError:
            continue
        progress.one()


if __name__ == "__main__":
    other_side.main("sdk", run)
