"""An account at Bedrock, and what Bedrock answers, for the tests of its codec."""

from provider_samples import KEY, NOW, raw, tier

from pointsman_routes import Outcome
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import RawReply
from pointsman_worker.providers.bedrock import BedrockCodec

FRANKFURT = "https://bedrock-runtime.eu-central-1.amazonaws.com"
MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
TIER = tier(MODEL)
CORAL = "http://internal.amazon.com/coral/com.amazon.bedrock/"
USE = {"toolUse": {"toolUseId": "tooluse_0", "name": "get_weather", "input": {"place": "Köln"}}}


def codec(region: str | None = None, base_url: str = FRANKFURT, key: ApiKey | None = KEY) -> BedrockCodec:
    """An account's codec."""
    return BedrockCodec(base_url, key, region=region, now=lambda: NOW)


def answer(*blocks: object, stop: object = "end_turn", **fields: object) -> dict[str, object]:
    """An answer of Converse."""
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop,
        "usage": {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17},
        "metrics": {"latencyMs": 812},
        **fields,
    }


def error(name: str, text: str = "no", status: int = 400) -> RawReply:
    """An error as Bedrock sends it."""
    return raw({"message": text}, status, {"x-amzn-errortype": f"{name}:{CORAL}", "x-amzn-requestid": "4ab7"})


def outcome_of(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Outcome:
    """What becomes of a reply."""
    return codec().read(TIER, raw(body, status, headers)).outcome
