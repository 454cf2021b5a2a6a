"""Whether a JSON value is of the shape a vendor's SDK declares for its requests.

The SDKs declare requests as TypedDicts, whose lists are `Iterable`: pydantic checks those only as they are read, and
lets keys through that nobody declared. Here both are checked.
"""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

_PLAIN: dict[object, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float),
    bool: (bool,),
    None: (NoneType,),
    NoneType: (NoneType,),
}


def faults(value: object, shape: Any, path: str = "") -> list[str]:
    """What of a JSON value is not of a shape; empty if all of it is."""
    origin = get_origin(shape)
    if is_typeddict(shape):
        return list(_object_faults(value, shape, path))
    if origin in (Annotated, NotRequired, Required):
        return faults(value, get_args(shape)[0], path)
    if origin in (Union, UnionType):
        return _choice_faults(value, get_args(shape), path)
    if origin is Literal:
        return [] if value in get_args(shape) else [f"{path}: {value!r} is none of {get_args(shape)}"]
    if origin is not None and origin is not dict:
        return _list_faults(value, get_args(shape)[0], path)
    fits = shape in (Any, object) or type(value) in _PLAIN.get(shape, (origin,))
    return [] if fits else [f"{path}: {value!r} is no {shape}"]


def _choice_faults(value: object, choices: tuple[Any, ...], path: str) -> list[str]:
    found = [faults(value, choice, path) for choice in choices]
    # Of all that it might have been, what comes nearest tells most: its faults lie deepest.
    return [] if not all(found) else max(found, key=lambda some: max(fault.count(".") for fault in some))


def _list_faults(value: object, shape: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: not a list"]
    return [fault for n, item in enumerate(value) for fault in faults(item, shape, f"{path}.{n}")]


def _object_faults(value: object, shape: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    fields = get_type_hints(shape, include_extras=True)
    for name in fields.keys() - value.keys():
        # Where annotations are strings, the class itself does not know which of them say Required.
        origin: object = get_origin(fields[name])
        if origin is Required or name in shape.__required_keys__:
            yield f"{path}.{name}: missing"
    for name, inner in value.items():
        if name in fields:
            yield from faults(inner, fields[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: not declared"
