"""AWS's own description of Converse, out of botocore: what requests are checked against and answers are read with."""

import base64
import copy
import json
import re
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator


@cache
def converse() -> OperationModel:
    """The operation."""
    description = Loader().load_service_model("bedrock-runtime", "service-2")
    return ServiceModel(description, "bedrock-runtime").operation_model("Converse")


def enumerated(shape_name: str) -> set[str]:
    """The values a shape may have."""
    return set(converse().service_model.shape_for(shape_name).enum)


def request_problems(model: str, body: dict[str, Any]) -> list[str]:
    """What AWS's description of the request does not allow: by botocore's validator, and enums, patterns, maxima."""
    parameters = {"modelId": model, **body}
    shape = converse().input_shape
    report = ParamValidator().validate(parameters, shape)
    return [*filter(None, [report.generate_report()]), *_finer(shape, parameters)]


def _finer(shape: Any, value: Any) -> list[str]:
    limits = shape.metadata
    if shape.type_name == "structure":
        # A document is any JSON.
        members = {} if shape.is_document_type else value
        return [told for name, inner in members.items() for told in _finer(shape.members[name], inner)]
    if shape.type_name == "list":
        return _too_much(shape, len(value)) + [told for inner in value for told in _finer(shape.member, inner)]
    if shape.type_name == "string":
        allowed = not shape.enum or value in shape.enum
        matches = "pattern" not in limits or re.fullmatch(limits["pattern"], value) is not None
        return _too_much(shape, len(value)) + ([] if allowed and matches else [f"{shape.name}: {value!r}"])
    return _too_much(shape, value) if shape.type_name in ("float", "integer") else []


def _too_much(shape: Any, amount: float) -> list[str]:
    return [f"{shape.name}: {amount} is too much"] if amount > shape.metadata.get("max", amount) else []


def serialized(model: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body botocore would send for what our body says."""
    parameters = copy.deepcopy(body)
    for message in parameters["messages"]:
        for block in message["content"]:
            if "image" in block:
                source = block["image"]["source"]
                source["bytes"] = base64.b64decode(source["bytes"], validate=True)
    request = create_serializer("rest-json").serialize_to_request({"modelId": model, **parameters}, converse())
    answer: dict[str, Any] = json.loads(request["body"])
    return answer


def path_of(model: str) -> str:
    """The path botocore would call."""
    parameters = {"modelId": model, "messages": []}
    return str(create_serializer("rest-json").serialize_to_request(parameters, converse())["url_path"])


def parsed(body: object, status: int = 200, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """What botocore makes of an answer."""
    response = {"status_code": status, "headers": headers or {}, "body": json.dumps(body).encode()}
    answer: dict[str, Any] = create_parser("rest-json").parse(response, converse().output_shape)
    return answer
