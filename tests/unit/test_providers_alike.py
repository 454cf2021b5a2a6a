"""One event, every kind: what vendors say in words of their own has one outcome, unless there is a reason.

The bodies are as the vendors' documentation, their servers' source or their users quote them.
"""

import json
from typing import Any

import pytest
from outcome_samples import codec_of
from provider_samples import raw, tier

from pointsman_routes import OutcomeKind, ProviderKind

PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>blocked</body></html>"
EVERY = pytest.mark.parametrize("kind", list(ProviderKind))
NO_CHAT = {
    ProviderKind.ANTHROPIC,
    ProviderKind.ANTHROPIC_COMPATIBLE,
    ProviderKind.BEDROCK,
    ProviderKind.GOOGLE,
    ProviderKind.OLLAMA,
}
CHAT = [kind for kind in ProviderKind if kind not in NO_CHAT]
CLOSING = {OutcomeKind.UNAUTHORIZED, OutcomeKind.EXHAUSTED, OutcomeKind.MISROUTED}


def _outcome(kind: ProviderKind, status: int, body: object) -> Any:
    return codec_of(kind).read(tier("m"), raw(body, status)).outcome


def _said(text: str, **fields: object) -> dict[str, object]:
    return {"error": {"message": text, "type": "invalid_request_error", **fields}}


def _google(text: str, status: str = "INVALID_ARGUMENT") -> dict[str, object]:
    return {"error": {"code": 400, "message": text, "status": status}}


@EVERY
@pytest.mark.parametrize("body", [PAGE, b"", b"{}", b"Forbidden"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, OutcomeKind.TRANSIENT),
        (400, OutcomeKind.UNSUPPORTED),
        (403, OutcomeKind.TRANSIENT),
        (404, OutcomeKind.UNSUPPORTED),
        (407, OutcomeKind.TRANSIENT),
        (421, OutcomeKind.TRANSIENT),
        (431, OutcomeKind.UNSUPPORTED),
        (451, OutcomeKind.UNSUPPORTED),
        *((status, OutcomeKind.TRANSIENT) for status in (511, 521, 522, 523, 524, 525, 526, 527)),
    ],
)
def test_page_of_something_in_between(kind: ProviderKind, status: int, body: bytes, expected: OutcomeKind) -> None:
    """A page of a firewall, proxy or portal fails no job for good, and closes no tier."""
    if status == 200 and body == b"{}" and kind in (ProviderKind.GOOGLE, ProviderKind.BEDROCK):
        assert _outcome(kind, status, body).kind not in CLOSING
        return
    assert _outcome(kind, status, body).kind is expected


@EVERY
@pytest.mark.parametrize("status", range(400, 500))
def test_only_two_statuses_fail_a_job_for_good(kind: ProviderKind, status: int) -> None:
    """Of all errors below 500, only the vendor's own word that the request is wrong, with 400 or 422, is `invalid`."""
    found = _outcome(kind, status, {"error": {"message": "no", "type": "odd"}, "message": "no"}).kind
    assert found is not OutcomeKind.INVALID or status in (400, 422)


@EVERY
@pytest.mark.parametrize("status", [401, 403])
def test_the_vendors_own_word_on_the_key(kind: ProviderKind, status: int) -> None:
    """An error in JSON is the vendor's; 401 is about the key by its very meaning, whatever the body."""
    assert _outcome(kind, status, _said("No such key.")).kind is OutcomeKind.UNAUTHORIZED
    assert _outcome(kind, 401, PAGE).kind is OutcomeKind.UNAUTHORIZED


@pytest.mark.parametrize("kind", CHAT)
@pytest.mark.parametrize(
    "body",
    [
        # Too long: xAI, TGI, vLLM before 0.8, SGLang, Groq, DeepSeek, Alibaba.
        {"code": "x", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."},
        _said("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000"),
        _said("max_tokens must be at least 1, got -512."),
        _said("The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        _said("`max_completion_tokens` must be less than or equal to `8192`"),
        _said("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
        _said("Range of max_tokens should be [1, 8192]"),
        # Bounds of a parameter.
        _said("Invalid 'temperature': decimal above maximum value. Expected a value <= 1, but got 1.5 instead."),
        _said("Invalid 'stop': array too long. Expected an array with maximum length 4."),
        _said("-9 is less than the minimum of 0 - 'seed'"),
        _said("Invalid 'tools': array too long. Expected an array with maximum length 128."),
        # Images: OpenAI, Groq, vLLM, models of text.
        _said("Error while downloading https://x.example.com/y.png.", code="invalid_image_url"),
        _said("failed to retrieve media: received status code: 403"),
        {"object": "error", "message": "/models/llama is not a multimodal model", "code": 400},
        {"object": "error", "message": "At most 1 image(s) may be provided in one request.", "code": 400},
        _said("Invalid content type. image_url is only supported by certain models."),
        _said("Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`"),
        _said("'messages.0' : for 'role:user' the following must be satisfied[(value must be a string)]"),
        # Schemas and forms: OpenAI's subset, and its word that must be there.
        _said("Invalid schema for response_format 'x': 'additionalProperties' is required to be supplied."),
        _said("Invalid schema for function 'f': schema must be of 'type: \"object\"'.", code="invalid_value"),
        _said("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."),
        # Templates of chats, as vLLM and others render them.
        {"object": "error", "message": "Conversation roles must alternate user/assistant/user/...", "code": 400},
        {"object": "error", "message": "Only user and assistant roles are supported!", "code": 400},
        # Models: DeepSeek, Together.
        _said("Model Not Exist"),
        _said("Unable to access model foo. Please visit"),
    ],
)  # fmt: skip
def test_bounds_of_a_vendor_move_the_job(kind: ProviderKind, body: dict[str, object]) -> None:
    """What one model cannot take, another may: the job goes on, whichever vendor's words the server has."""
    assert _outcome(kind, 400, body).kind is OutcomeKind.UNSUPPORTED


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ProviderKind.ANTHROPIC, _said("tools.0.custom.input_schema: JSON schema is invalid.")),
        (ProviderKind.ANTHROPIC, _said("Requests which include `tool_use` blocks must define tools")),
        (ProviderKind.ANTHROPIC, _said("stop_sequences: List should have at most 8191 items")),
        (ProviderKind.ANTHROPIC_COMPATIBLE, _said("Model Not Exist")),
        (ProviderKind.GOOGLE, _google("Request payload size exceeds the limit: 20971520 bytes.")),
        (ProviderKind.GOOGLE, _google("Developer instruction is not enabled for models/gemma-3-1b-it")),
        (ProviderKind.GOOGLE, _google("* GenerateContentRequest.generation_config.temperature: out of range")),
        (ProviderKind.BEDROCK, {"message": "too many images and documents: 21 + 0 > 20"}),
        (ProviderKind.BEDROCK, {"message": "image exceeds 5 MB maximum: 7000000 bytes > 5242880 bytes"}),
        (ProviderKind.BEDROCK, {"message": "Value at 'inferenceConfig.stopSequences' failed to satisfy constraint"}),
        (ProviderKind.BEDROCK, {"message": 'roles must alternate between "user" and "assistant"'}),
        (ProviderKind.OLLAMA, {"error": "json: cannot unmarshal object into Go struct field ToolProperty.enum"}),
    ],
)  # fmt: skip
def test_bounds_of_other_vendors_move_the_job(kind: ProviderKind, body: dict[str, object]) -> None:
    """Likewise where chat completions are not spoken."""
    assert _outcome(kind, 400, body).kind is OutcomeKind.UNSUPPORTED


@EVERY
@pytest.mark.parametrize(
    "text", ["Incorrect API key provided: xx***yy.", "API key not valid. Please pass a valid API key."]
)
def test_a_wrong_key_told_with_400(kind: ProviderKind, text: str) -> None:
    """To a wrong key xAI and Google say 400, also through addresses of other kinds; no job fails for it."""
    assert _outcome(kind, 400, _said(text)).kind is OutcomeKind.UNAUTHORIZED


@pytest.mark.parametrize("kind", [ProviderKind.ANTHROPIC, ProviderKind.ANTHROPIC_COMPATIBLE])
def test_an_account_that_is_closed_fails_no_job(kind: ProviderKind) -> None:
    """Anthropic says 400 when it has disabled an organization: every job would fail for good."""
    assert _outcome(kind, 400, _said("This organization has been disabled.")).kind is OutcomeKind.UNAUTHORIZED


@pytest.mark.parametrize(
    ("kind", "status", "body", "expected"),
    [
        (ProviderKind.GOOGLE, 400, _google("Precondition check failed.", "FAILED_PRECONDITION"), "unsupported"),
        (ProviderKind.GOOGLE, 400, _google("The File x is not in an ACTIVE state.", "FAILED_PRECONDITION"),
         "unsupported"),
        (ProviderKind.GOOGLE, 403, _google("You do not have permission to access the File x.", "PERMISSION_DENIED"),
         "unsupported"),
        (ProviderKind.GOOGLE, 400, _google("User location is not supported for the API use.", "FAILED_PRECONDITION"),
         "unauthorized"),
        (ProviderKind.OPENROUTER, 402, _said("This request requires more credits, or fewer max_tokens. You requested "
                                             "up to 65536 tokens, but can only afford 30104."), "unsupported"),
        (ProviderKind.OPENROUTER, 402, _said("This request requires more credits, or fewer max_tokens. You requested "
                                             "up to 1024 tokens, but can only afford 0."), "exhausted"),
    ],
)  # fmt: skip
def test_one_odd_job_closes_no_tier(kind: ProviderKind, status: int, body: dict[str, object], expected: str) -> None:
    """What a vendor has against one job is told apart from what it has against the account."""
    assert _outcome(kind, status, body).kind == expected


@EVERY
@pytest.mark.parametrize(
    "text",
    [
        "[{'type': 'missing', 'msg': 'Field required', 'input': 'hush: spend limit, requests per day, usage policy'}]",
        "1 validation error\n  bad [type=x, input_value={'hush': 'insufficient balance, credit balance is too low'}]",
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_a_prompt_that_is_echoed(kind: ProviderKind, text: str, status: int) -> None:
    """Servers quote what they were given: it stands in no detail, and its words decide nothing."""
    outcome = _outcome(kind, status, _said(text))
    assert "hush" not in outcome.detail
    assert outcome.kind not in CLOSING | {OutcomeKind.REFUSED}


@EVERY
def test_a_detail_has_an_end(kind: ProviderKind) -> None:
    """However many reasons an error gives, and however long they are, its detail stays readable."""
    reasons = [{"@type": "google.rpc.ErrorInfo", "reason": f"{n} {'r' * 500}"} for n in range(100)]
    body = {"error": {"message": "m" * 9000, "type": "t" * 500, "code": "c" * 500, "details": reasons}}
    assert len(_outcome(kind, 400, body).detail) < 600
    assert len(_outcome(kind, 500, json.dumps(body).encode()).detail) < 600
