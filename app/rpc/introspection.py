"""Introspection of published functions: their help, XML-RPC signatures and parameter checks.

A function is inspected once, when it is published. Its annotations give the signatures that ``system.methodSignature``
returns, and the types that a call's parameters are checked against.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from app.rpc.cacheable_result import CacheableResult
from app.rpc.faults import INVALID_PARAMS, Fault

# Python type, XML-RPC type, and the types of parsed values that are accepted for it. The first match counts: bool comes
# before int, and str and bytes before the other sequences. An int is accepted for a double, as in Python.
_TYPES: Final[tuple[tuple[type, str, frozenset[type]], ...]] = (
    (NoneType, "nil", frozenset({NoneType})),
    (bool, "boolean", frozenset({bool})),
    (int, "int", frozenset({int})),
    (float, "double", frozenset({float, int})),
    (str, "string", frozenset({str})),
    (bytes, "base64", frozenset({bytes})),
    (datetime, "dateTime.iso8601", frozenset({datetime})),
    (Mapping, "struct", frozenset({dict})),
    (Sequence, "array", frozenset({list})),
)
_ACCEPTED_TYPES: Final = {name: accepted for _, name, accepted in _TYPES}

UNDEFINED: Final = "undef"  # returned by system.methodSignature if a signature is unknown

CAPABILITIES: Final = {
    "xmlrpc": {"specUrl": "http://www.xmlrpc.com/spec", "specVersion": 1},
    "system.multicall": {"specUrl": "http://www.xmlrpc.com/discuss/msgReader$1208", "specVersion": 1},
    "introspection": {"specUrl": "http://phpxmlrpc.sourceforge.net/doc-2/ch10.html", "specVersion": 2},
    "nil": {"specUrl": "http://www.ontosys.com/xml-rpc/extensions.php", "specVersion": 1},
    "faults_interop": {
        "specUrl": "http://xmlrpc-epi.sourceforge.net/specs/rfc.fault_codes.php",
        "specVersion": 20010516,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A published function. ``param_types`` has the accepted types of each parameter, None if any type is accepted."""

    name: str
    function: Callable[..., Any]
    help: str
    signatures: list[list[str]] | str
    min_params: int
    max_params: int
    param_types: tuple[frozenset[type] | None, ...]

    def call(self, params: tuple[Any, ...]) -> Any:
        """Call the function and return its result. Raises ``Fault`` -32602 for parameters that it does not accept."""
        if not self.min_params <= len(params) <= self.max_params:
            raise Fault(INVALID_PARAMS, f"{self.name} takes {self._describe_param_count()}, not {len(params)}")
        for number, (param, accepted) in enumerate(zip(params, self.param_types, strict=False), 1):
            if accepted is not None and type(param) not in accepted:
                expected = " or ".join(name for name, types in _ACCEPTED_TYPES.items() if types <= accepted)
                raise Fault(
                    INVALID_PARAMS,
                    f"parameter {number} of {self.name} must be {expected}, not {_type_name(type(param))}",
                )
        return self.function(*params)

    def _describe_param_count(self) -> str:
        if self.max_params == sys.maxsize:
            return f"{self.min_params} or more parameters"
        count = (
            f"{self.min_params}" if self.min_params == self.max_params else f"{self.min_params} to {self.max_params}"
        )
        return f"{count} parameter{'' if self.max_params == 1 else 's'}"


def inspect_method(function: Callable[..., Any], name: str) -> Method:
    """Return the ``Method`` that publishes ``function`` as ``name``.

    Its ``help`` is the docstring, dedented. Its ``signatures`` is a list of signatures, one for each number of
    parameters and each type of a union; a signature is a list of type names, that of the result first. It is
    ``"undef"`` if an annotation has no XML-RPC type. A parameter whose default is None has no signature with nil,
    because clients omit it instead.

    Raises ``ValueError`` for a function that cannot be called with positional arguments alone.
    """
    signature = _signature(function)
    positional = [p for p in signature.parameters.values() if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    is_variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in signature.parameters.values()):
        raise ValueError(f"{name} has a parameter that cannot be given by position")
    type_names = [_type_names(p.annotation) for p in positional]
    min_params = sum(p.default is p.empty for p in positional)
    documented = [
        tuple(name for name in names or () if not (name == "nil" and parameter.default is None))
        for parameter, names in zip(positional, type_names, strict=True)
    ]
    result = _type_names(signature.return_annotation)
    if is_variadic or result is None or None in type_names:
        signatures: list[list[str]] | str = UNDEFINED
    else:
        signatures = _expand_signatures(result, documented, min_params)
    return Method(
        name=name,
        function=function,
        help=inspect.getdoc(function) or "",
        signatures=signatures,
        min_params=min_params,
        max_params=sys.maxsize if is_variadic else len(positional),
        param_types=tuple(
            None if names is None else frozenset().union(*(_ACCEPTED_TYPES[name] for name in names))
            for names in type_names
        ),
    )


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError, AttributeError, SyntaxError):  # a name that is imported only for type checking
        return inspect.signature(function)


def _expand_signatures(result: tuple[str, ...], params: list[tuple[str, ...]], min_params: int) -> list[list[str]]:
    # Only the first type of a union is given for the result. A client cannot distinguish signatures that differ
    # only in the result, and the stubs that xml-rpc-api2cpp generates from them do not compile.
    counts = range(min_params, len(params) + 1)
    return [[result[0], *names] for count in counts for names in product(*params[:count])]


def _type_names(annotation: Any) -> tuple[str, ...] | None:
    """Return the XML-RPC types of an annotation, several for a union, or None if a part of it has none."""
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        names = [_type_names(member) for member in get_args(annotation)]
        return None if None in names else tuple(dict.fromkeys(name for some in names for name in some or ()))
    if origin in {Future, CacheableResult}:  # the result is what it holds
        return _type_names(get_args(annotation)[0])
    if origin is Literal:
        return tuple(dict.fromkeys(_type_name(type(member)) for member in get_args(annotation)))
    annotated_type = NoneType if annotation is None else origin or annotation
    name = _type_name(annotated_type) if isinstance(annotated_type, type) else UNDEFINED
    return None if name == UNDEFINED else (name,)


def _type_name(python_type: type) -> str:
    return next((name for base, name, _ in _TYPES if issubclass(python_type, base)), UNDEFINED)
