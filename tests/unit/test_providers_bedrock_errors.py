"""Converse's errors: what each stands for, read as AWS's own client reads it."""

import pytest
from bedrock_samples import CORAL, TIER, codec, error, outcome_of
from bedrock_shape import converse, parsed

from pointsman_routes import (
    Exhausted,
    OutcomeKind,
    Throttled,
    Transient,
)
from pointsman_worker.providers import RawReply
from pointsman_worker.providers.bedrock_answer import error_name


@pytest.mark.parametrize(
    ("name", "status", "text", "kind"),
    [
        ("ThrottlingException", 429, "Too many tokens, please wait before trying again.", OutcomeKind.THROTTLED),
        ("ThrottlingException", 400, "Too many requests", OutcomeKind.THROTTLED),
        ("ThrottlingException", 429, "Too many tokens per day, please wait before trying again.",
         OutcomeKind.EXHAUSTED),
        ("ServiceQuotaExceededException", 400, "Your request exceeds the service quota", OutcomeKind.THROTTLED),
        ("ModelNotReadyException", 429, "The model is not ready", OutcomeKind.OVERLOADED),
        ("ModelTimeoutException", 408, "Processing time exceeded the model timeout length.", OutcomeKind.TRANSIENT),
        ("ModelErrorException", 424, "The system encountered an unexpected error", OutcomeKind.TRANSIENT),
        ("InternalServerException", 500, "no", OutcomeKind.TRANSIENT),
        ("ServiceUnavailableException", 503, "Bedrock is unable to process your request.", OutcomeKind.OVERLOADED),
        ("AccessDeniedException", 403, "You don't have access to the model with the specified model ID.",
         OutcomeKind.UNAUTHORIZED),
        ("AccessDeniedException", 400, "no", OutcomeKind.UNAUTHORIZED),
        ("UnrecognizedClientException", 403, "The security token included in the request is invalid.",
         OutcomeKind.UNAUTHORIZED),
        ("ExpiredTokenException", 403, "The security token included in the request is expired",
         OutcomeKind.UNAUTHORIZED),
        ("ExpiredTokenException", 400, "expired", OutcomeKind.UNAUTHORIZED),
        ("InvalidSignatureException", 403, "Signature expired: 20261031T180000Z is now earlier than",
         OutcomeKind.UNAUTHORIZED),
        ("IncompleteSignature", 400, "The request signature does not conform to AWS standards",
         OutcomeKind.UNAUTHORIZED),
        ("ValidationException", 400, "Operation not allowed", OutcomeKind.UNAUTHORIZED),
        ("ResourceNotFoundException", 404, "Model use case details have not been submitted for this account.",
         OutcomeKind.UNAUTHORIZED),
        ("ResourceNotFoundException", 404, "This model version has reached the end of its life.",
         OutcomeKind.UNSUPPORTED),
        ("ResourceNotFoundException", 404, "Access denied. This Model is marked by provider as Legacy",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "The provided model identifier is invalid.", OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "Invocation of model ID a with on-demand throughput isn\u2019t supported.",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "1 validation error detected: Value 'x' at 'modelId' failed to satisfy",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "Input is too long for requested model.", OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "This model doesn't support the toolConfig.toolChoice.any field.",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "This model doesn\u2019t support system messages.", OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "The maximum tokens you requested exceeds the model limit of 4096.",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "Malformed input request: #/temperature: 1.0 is not less",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "The model returned the following errors: prompt is too long: 9 tokens > 8",
         OutcomeKind.UNSUPPORTED),
        ("ValidationException", 400, "Output blocked by content filtering policy", OutcomeKind.REFUSED),
        ("ValidationException", 400, "This request has been blocked by our content filters.", OutcomeKind.REFUSED),
        ("ValidationException", 400, "The text field in the ContentBlock object is blank.", OutcomeKind.INVALID),
        ("SomethingNewException", 400, "no", OutcomeKind.INVALID),
        ("SomethingNewException", 429, "no", OutcomeKind.THROTTLED),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(name: str, status: int, text: str, kind: OutcomeKind) -> None:
    """The table of names and messages, as Bedrock sends them; botocore reads the same name from the same bytes."""
    reply = error(name, text, status)
    told = parsed({"message": text}, status, {"x-amzn-errortype": f"{name}:{CORAL}"})
    assert told["Error"] == {"Code": name, "Message": text}
    outcome = codec().read(TIER, reply).outcome
    assert outcome.kind is kind
    assert f"HTTP {status} {name}" in getattr(outcome, "detail", "")


def test_every_error_aws_lists_for_converse_is_read() -> None:
    """Of its names none ends as an invalid job but the one that says so."""
    kinds = {
        shape.name: codec().read(TIER, error(shape.name, "no", shape.metadata["error"]["httpStatusCode"])).outcome.kind
        for shape in converse().error_shapes
    }
    assert len(kinds) == 9
    assert [name for name, kind in kinds.items() if kind is OutcomeKind.INVALID] == ["ValidationException"]


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({"x-amzn-errortype": f"ThrottlingException:{CORAL}"}, {"message": "m"}, "ThrottlingException"),
        ({"x-amzn-errortype": "ThrottlingException"}, {"Message": "m"}, "ThrottlingException"),
        ({}, {"__type": "com.amazon.coral.service#ThrottlingException", "message": "m"}, "ThrottlingException"),
        ({}, {"__type": "ThrottlingException", "Message": "m"}, "ThrottlingException"),
        ({}, {"code": "ThrottlingException", "message": "m"}, "ThrottlingException"),
        ({"x-amzn-errortype": ""}, {"__type": 5}, None),
        ({}, {}, None),
    ],
)
def test_an_errors_name_is_read_wherever_aws_writes_it(
    headers: dict[str, str], body: dict[str, object], name: str | None
) -> None:
    """In the header, in `__type`, or in `code`; botocore agrees wherever there is a name."""
    assert error_name(headers, body) == name
    if name is not None:
        assert parsed(body, 429, headers)["Error"] == {"Code": name, "Message": "m"}
        assert outcome_of(body, 429, headers) == Throttled(detail=f"HTTP 429 {name}: m", retry_after_s=None)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("Too many tokens, please wait before trying again.", "tokens"),
        ("Too many requests, please wait before trying again.", "requests"),
        ("Too many requests or too many tokens", None),
        ("Your account is slow", None),
    ],
)
def test_a_throttle_tells_which_limit_refused(text: str, limit: str | None) -> None:
    """There are no headers of limits; the message is all there is."""
    outcome = codec().read(TIER, error("ThrottlingException", text, 429)).outcome
    assert isinstance(outcome, Throttled)
    assert outcome.limit == limit


def test_a_quota_per_day_returns_at_midnight() -> None:
    """UTC midnight by the vendor's clock, which its date shows."""
    reply = error("ThrottlingException", "Too many tokens per day, please wait before trying again.", 429)
    outcome = codec().read(TIER, reply).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 6 * 3600
    late = RawReply(status=429, headers={**reply.headers, "date": "Sat, 31 Oct 2026 23:59:00 GMT"}, body=reply.body)
    outcome = codec().read(TIER, late).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 60


def test_a_model_that_ran_out_of_time_may_be_billed_and_a_failed_one_is_not() -> None:
    """The model worked for as long as it may; of a failure while it works AWS says nothing."""
    slow, failed = (
        codec().read(TIER, error(name, "no", status)).outcome
        for name, status in (("ModelTimeoutException", 408), ("ModelErrorException", 424))
    )
    assert isinstance(slow, Transient)
    assert isinstance(failed, Transient)
    assert (slow.may_be_billed, failed.may_be_billed) == (True, False)


def test_a_gateways_own_error_is_read_in_its_own_shape() -> None:
    """What stands before Bedrock may write errors as OpenAI does."""
    body = {"error": {"type": "insufficient_quota", "message": "no credit"}}
    assert outcome_of(body, 402) == Exhausted(detail="HTTP 402 insufficient_quota: no credit")
