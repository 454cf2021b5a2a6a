"""Azure OpenAI: its addresses and keys as its own client has them, its region, and what its errors mean."""

import json
from typing import Any

import pytest
from chat_cases import SPREAD, as_openai_reads_it, as_openai_takes_it, chat_jobs, left_out
from hypothesis import given
from hypothesis import strategies as st
from openai import AzureOpenAI, OpenAI
from openai._models import FinalRequestOptions
from provider_samples import KEY, NOW, ask, completion, job, raw, sent, tier

from pointsman_routes import (
    Auth,
    Exhausted,
    Job,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Overloaded,
    Refused,
    Throttled,
    Unauthorized,
    Unsupported,
)
from pointsman_worker.providers import RawReply, WireRequest
from pointsman_worker.providers.azure import AzureCodec

ENDPOINT = "https://house.openai.azure.com"
VERSION = "2024-10-21"
DEPLOYMENT = tier("prod-chat", served_as=("gpt-4o-mini-*",))


def azure(base_url: str = ENDPOINT, **fields: Any) -> AzureCodec:
    """The codec of a resource."""
    return AzureCodec(base_url, KEY, now=lambda: NOW, **fields)


def built(codec: AzureCodec, model: str = "prod-chat") -> WireRequest:
    """A request of any job."""
    request = codec.build(ask(job(), model))
    assert isinstance(request, WireRequest)
    return request


def answered(**fields: object) -> dict[str, Any]:
    """An answer of Azure's."""
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    body = completion(object="chat.completion", created=1, **{"model": "gpt-4o-mini-2024-07-18", **fields})
    body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": safe}]
    choices: Any = body["choices"]
    choices[0]["content_filter_results"] = safe
    return body


def outcome_of(body: object, status: int = 200, headers: dict[str, str] | None = None, **fields: Any) -> Outcome:
    """What becomes of a reply."""
    return azure(**fields).read(DEPLOYMENT, raw(body, status, headers)).outcome


def refused(code: object, message: str, **fields: object) -> dict[str, object]:
    """An error body."""
    return {"error": {"code": code, "message": message, **fields}}


def as_the_client_sends(client: OpenAI, model: str = "prod-chat") -> tuple[str, dict[str, str]]:
    """Address and key of a request that a client of OpenAI's SDK builds."""
    body = {"model": model, "messages": []}
    options = FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=body)
    request = client._build_request(client._prepare_options(options))
    names = ("api-key", "authorization")
    return str(request.url), {name: request.headers[name] for name in names if name in request.headers}


@pytest.mark.parametrize("model", ["prod-chat", "gpt 4o/ü?"])
def test_a_dated_version_has_the_address_and_key_of_azures_own_client(model: str) -> None:
    """The deployment stands in the path, whatever it is called."""
    client = AzureOpenAI(azure_endpoint=ENDPOINT, api_key=KEY.reveal(), api_version=VERSION)
    url, keys = as_the_client_sends(client, model)
    request = built(azure(api_version=VERSION), model)
    assert request.url.partition("?")[2] == url.partition("?")[2] == f"api-version={VERSION}"
    if model == "prod-chat":
        assert request.url == url
    assert {name: value for name, value in request.headers.items() if name != "content-type"} == keys
    assert json.loads(request.body)["model"] == model


def test_without_a_version_it_is_the_v1_api() -> None:
    """The v1 API is OpenAI's under the resource's own address; the model in the body is the deployment."""
    client = OpenAI(base_url=f"{ENDPOINT}/openai/v1/", api_key=KEY.reveal())
    url, _ = as_the_client_sends(client)
    assert built(azure()).url == url == f"{ENDPOINT}/openai/v1/chat/completions"
    assert json.loads(built(azure()).body)["model"] == "prod-chat"


@pytest.mark.parametrize("suffix", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_an_endpoint_may_be_written_as_the_portal_or_the_sdk_shows_it(suffix: str) -> None:
    """Every spelling leads to the same place; another path of a gateway stays."""
    assert built(azure(ENDPOINT + suffix)).url == f"{ENDPOINT}/openai/v1/chat/completions"
    gateway = built(azure(f"https://gateway.example.com/ai/v1{suffix}")).url
    assert gateway == "https://gateway.example.com/ai/v1/openai/v1/chat/completions"


def test_a_deployments_name_cannot_leave_its_place_in_the_address() -> None:
    """A name is one segment of the path, whatever stands in it."""
    url = built(azure(api_version=VERSION), "../../a?b#c").url
    assert url == f"{ENDPOINT}/openai/deployments/..%2F..%2Fa%3Fb%23c/chat/completions?api-version={VERSION}"


def test_a_token_of_entra_is_a_bearer_and_a_key_is_not() -> None:
    """One or the other, never both."""
    bearer, key = built(azure(auth=Auth.BEARER)), built(azure())
    client = AzureOpenAI(azure_endpoint=ENDPOINT, azure_ad_token=KEY.reveal(), api_version=VERSION)
    assert as_the_client_sends(client)[1] == {"authorization": bearer.headers["authorization"]}
    assert "api-key" not in bearer.headers
    assert key.headers["api-key"] == KEY.reveal()
    assert "authorization" not in key.headers
    assert KEY.reveal() not in repr(bearer) + repr(key)


@pytest.mark.parametrize("name", sorted(set(SPREAD) - {"many stops"}))
def test_a_job_is_sent_as_openais_types_have_it(name: str) -> None:
    """Azure's requests are OpenAI's."""
    body = sent(azure().build(ask(SPREAD[name])))
    as_openai_takes_it(body)
    assert left_out(SPREAD[name], body) == []


@given(asked=chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(asked: Job) -> None:
    """No parameter is dropped or rewritten, whatever the job."""
    request = azure(api_version=VERSION).build(ask(asked))
    assert isinstance(request, Unsupported) or left_out(asked, sent(request)) == []


def test_an_answer_with_its_filters_results_is_an_answer() -> None:
    """What the content filter says beside it does not matter, even that it could not look."""
    body = answered()
    as_openai_reads_it(body)
    assert isinstance(outcome_of(body), Ok)
    body["choices"][0]["content_filter_results"] = {"error": {"code": "content_filter_error", "message": "unavailable"}}
    assert isinstance(outcome_of(body), Ok)


def test_a_deployment_answers_under_its_models_name() -> None:
    """A name of your own must be declared in `served_as`; that of the model needs nothing."""
    assert isinstance(azure().read(tier("prod-chat"), raw(answered())).outcome, Misrouted)
    assert isinstance(azure().read(DEPLOYMENT, raw(answered())).outcome, Ok)
    assert isinstance(azure().read(tier("gpt-4o-mini"), raw(answered())).outcome, Ok)
    assert isinstance(azure().read(DEPLOYMENT, raw(answered(model="gpt-4.1-2025-04-14"))).outcome, Misrouted)


@pytest.mark.parametrize(
    ("declared", "told", "kind"),
    [
        ("eu", "Sweden Central", OutcomeKind.OK),
        ("swedencentral", "Sweden Central", OutcomeKind.OK),
        ("us", "North Central US", OutcomeKind.OK),
        (None, "East US 2", OutcomeKind.OK),
        ("global", "East US 2", OutcomeKind.OK),
        ("eu", None, OutcomeKind.OK),
        ("eu", "", OutcomeKind.OK),
        ("eu", "East US 2", OutcomeKind.MISROUTED),
        ("swedencentral", "West Europe", OutcomeKind.MISROUTED),
        ("eu", "Atlantis", OutcomeKind.MISROUTED),
    ],
)
def test_the_region_that_answered_lies_in_the_declared_one(declared: str, told: str | None, kind: OutcomeKind) -> None:
    """Azure names the region that answered, in words."""
    headers = {"x-ms-region": told} if told is not None else {}
    reply = azure(region=declared).read(DEPLOYMENT, raw(answered(), headers=headers))
    assert reply.outcome.kind is kind
    assert reply.evidence.response_region == (told or None)


def test_evidence_of_a_call() -> None:
    """Azure's own name for the call comes first; its limits are read where it sends them."""
    headers = {
        "apim-request-id": "bb943c68-99ed-46ab-bda9-a5efbdf5897a",
        "x-request-id": "3a8b1a44-a02c-4a07-b51d-1c88acec4c4f",
        "x-ratelimit-remaining-requests": "79",
        "x-ratelimit-remaining-tokens": "61353",
        "x-ratelimit-limit-tokens": "-1",
    }
    evidence = azure().read(DEPLOYMENT, raw(answered(), headers=headers)).evidence
    assert evidence.provider_request_id == "bb943c68-99ed-46ab-bda9-a5efbdf5897a"
    assert {(left.name, left.limit, left.remaining) for left in evidence.allowances} == {
        ("rpm", None, 79),
        ("tpm", None, 61353),
    }
    del headers["apim-request-id"]
    evidence = azure().read(DEPLOYMENT, raw(answered(), headers=headers)).evidence
    assert evidence.provider_request_id == "3a8b1a44-a02c-4a07-b51d-1c88acec4c4f"


LIMITED = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded {} rate "
    "limit of your current OpenAI S0 pricing tier. Please retry after 9 seconds."
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, refused("content_filter", "The response was filtered due to the prompt triggering Azure OpenAI's content "
                      "management policy.", param="prompt", status=400,
                      innererror={"code": "ResponsibleAIPolicyViolation"}), OutcomeKind.REFUSED),
        (400, refused(None, "Unrecognized request argument supplied: max_completion_tokens"), OutcomeKind.UNSUPPORTED),
        (400, refused("OperationNotSupported", "The chatCompletion operation does not work with the specified model, "
                      "davinci. It is not supported."), OutcomeKind.UNSUPPORTED),
        (400, refused("context_length_exceeded", "This model's maximum context length is 16385 tokens."),
         OutcomeKind.UNSUPPORTED),
        (401, refused("401", "Access denied due to invalid subscription key or wrong API endpoint."),
         OutcomeKind.UNAUTHORIZED),
        (401, refused("PermissionDenied", "Principal does not have access to API/Operation."),
         OutcomeKind.UNAUTHORIZED),
        (403, refused("403", "Access denied due to Virtual Network/Firewall rules."), OutcomeKind.UNAUTHORIZED),
        (404, refused("DeploymentNotFound", "The API deployment for this resource does not exist."),
         OutcomeKind.UNSUPPORTED),
        (404, refused("404", "Resource not found"), OutcomeKind.UNSUPPORTED),
        (408, refused("408", "The operation was timeout."), OutcomeKind.TRANSIENT),
        (500, refused("InternalServerError", "Backend returned unexpected response."), OutcomeKind.TRANSIENT),
        (503, refused("ServiceUnavailable", "busy"), OutcomeKind.OVERLOADED),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """Azure's errors, mostly with a status or a name of their own for a code."""
    assert outcome_of(body, status).kind is kind


@pytest.mark.parametrize(("words", "limit"), [("call", "requests"), ("token", "tokens")])
def test_a_throttle_names_its_limit_and_its_wait(words: str, limit: str) -> None:
    """In milliseconds where Azure writes them, else in words."""
    body = refused("429", LIMITED.format(words))
    precise = outcome_of(body, 429, {"retry-after-ms": "1250", "retry-after": "2"})
    assert isinstance(precise, Throttled)
    assert (precise.retry_after_s, precise.limit) == (1.25, limit)
    told = outcome_of(body, 429)
    assert isinstance(told, Throttled)
    assert (told.retry_after_s, told.limit) == (9.0, limit)


@pytest.mark.parametrize(
    "message",
    [
        "The system is currently experiencing high demand. Please retry after 6 seconds.",
        "The service is temporarily unable to process your request.",
    ],
)
def test_a_shortage_of_azures_is_an_overload(message: str) -> None:
    """A 429 that no limit of the deployment caused."""
    outcome = outcome_of(refused("429", message), 429)
    assert isinstance(outcome, Overloaded)
    assert outcome.retry_after_s == (6.0 if "6 seconds" in message else None)


def test_no_credit_is_no_throttle() -> None:
    """Waiting a minute helps nothing."""
    assert isinstance(outcome_of(refused("insufficient_quota", "You exceeded your quota"), 429), Exhausted)


def test_an_answer_cut_by_the_filter_is_refused() -> None:
    """Even with a part of it there."""
    body = answered()
    body["choices"][0] |= {"finish_reason": "content_filter"}
    assert outcome_of(body) == Refused(detail="content_filter")


@given(
    status=st.sampled_from([200, 400, 401, 403, 429, 500]),
    region=st.text(alphabet=st.characters(max_codepoint=255), max_size=30),
    body=st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda inner: st.dictionaries(st.sampled_from(["error", "code", "message", "choices", "model"]), inner),
    ),
)
def test_reading_never_raises_and_the_key_is_in_no_record(status: int, region: str, body: object) -> None:
    """Whatever comes back, with the key echoed where vendors echo it."""
    echo = {"error": {"code": KEY.reveal(), "message": f"bad key {KEY.reveal()}"}}
    for content in (body, echo):
        headers = {"x-ms-region": region + KEY.reveal(), "apim-request-id": KEY.reveal()}
        whole = RawReply(status=status, headers=headers, body=json.dumps(content).encode())
        assert KEY.reveal() not in repr(azure(region="eu").read(DEPLOYMENT, whole))


def test_a_refused_key_leaves_no_message() -> None:
    """Only what is no repetition of the status is kept."""
    assert outcome_of(refused("401", f"invalid key {KEY.reveal()}"), 401) == Unauthorized(detail="HTTP 401")
