"""A method: a published function, and all that can be said of it without calling it.

The signature is read once, when the function is published. From its annotations come the XML-RPC signatures that
``system.methodSignature`` tells, and the check that a call's parameters fit: what is told is what is held to.
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

# A Python type, its word in XML-RPC, and the types that the reader makes of that word. The first that fits counts, so
# bool stands before int, str and bytes before the other sequences. An int does for a double, as it does in Python.
_WORDS: Final[tuple[tuple[type, str, frozenset[type]], ...]] = (
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
_ARRIVING: Final = {word: types for _, word, types in _WORDS}

UNDEFINED: Final = "undef"  # what stands for signatures that cannot be told

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
    """A function under its public name. ``accepts`` has the types of each parameter, None where any will do."""

    name: str
    function: Callable[..., Any]
    help: str
    signatures: list[list[str]] | str
    min_params: int
    max_params: int
    param_types: tuple[frozenset[type] | None, ...]

    def call(self, params: tuple[Any, ...]) -> Any:
        """Return what the function returns. Raises what it raises, and ``Fault`` -32602 if ``params`` do not fit it."""
        if not self.min_params <= len(params) <= self.max_params:
            raise Fault(INVALID_PARAMS, f"{self.name} takes {self._count()}, not {len(params)}")
        for number, (given, accepted) in enumerate(zip(params, self.param_types, strict=False), 1):
            if accepted is not None and type(given) not in accepted:
                words = " or ".join(word for word, types in _ARRIVING.items() if types <= accepted)
                raise Fault(
                    INVALID_PARAMS,
                    f"parameter {number} of {self.name} is to be {words}, not {_word(type(given))}",
                )
        return self.function(*params)

    def _count(self) -> str:
        if self.max_params == sys.maxsize:
            return f"{self.min_params} or more parameters"
        counts = (
            f"{self.min_params}" if self.min_params == self.max_params else f"{self.min_params} to {self.max_params}"
        )
        return f"{counts} parameter{'' if self.max_params == 1 else 's'}"


def inspect_method(function: Callable[..., Any], name: str) -> Method:
    """Return what can be said of ``function``, to be called as ``name``.

    ``help`` is the docstring, dedented. ``signatures`` is a list of lists of type names, that of the result first: one
    for each number of parameters and each type of a union; or ``"undef"`` where an annotation has no word in XML-RPC.
    A default of None is left out of a call rather than sent, so it adds no nil. Raises ``ValueError`` for a function
    that no call by position can satisfy.
    """
    signature = _signature(function)
    positional = [p for p in signature.parameters.values() if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    is_open = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in signature.parameters.values()):
        raise ValueError(f"{name} has a parameter that cannot be given by position")
    words = [_words(p.annotation) for p in positional]
    least = sum(p.default is p.empty for p in positional)
    told = [
        tuple(word for word in given or () if not (word == "nil" and parameter.default is None))
        for parameter, given in zip(positional, words, strict=True)
    ]
    result = _words(signature.return_annotation)
    return Method(
        name=name,
        function=function,
        help=inspect.getdoc(function) or "",
        signatures=UNDEFINED if is_open or result is None or None in words else _signatures(result, told, least),
        min_params=least,
        max_params=sys.maxsize if is_open else len(positional),
        param_types=tuple(None if given is None else _accepted(given) for given in words),
    )


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError, AttributeError, SyntaxError):  # a name that is imported for the type checker only
        return inspect.signature(function)


def _signatures(result: tuple[str, ...], params: list[tuple[str, ...]], least: int) -> list[list[str]]:
    # Of several results the first is told: signatures that differ in nothing else cannot be told apart by a caller, and
    # stubs that xml-rpc-api2cpp makes of them do not compile.
    counts = range(least, len(params) + 1)
    return [[result[0], *words] for count in counts for words in product(*params[:count])]


def _accepted(words: tuple[str, ...]) -> frozenset[type]:
    return frozenset(kind for word in words for kind in _ARRIVING[word])


def _words(annotation: Any) -> tuple[str, ...] | None:
    """Return the words for an annotation, several for a union, or None where there is no word for some of it."""
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        words = [_words(member) for member in get_args(annotation)]
        return None if None in words else tuple(dict.fromkeys(word for some in words for word in some or ()))
    if origin in {Future, CacheableResult}:  # what it holds is the answer
        return _words(get_args(annotation)[0])
    if origin is Literal:
        return tuple(dict.fromkeys(_word(type(member)) for member in get_args(annotation)))
    kind = NoneType if annotation is None else origin or annotation
    word = _word(kind) if isinstance(kind, type) else UNDEFINED
    return None if word == UNDEFINED else (word,)


def _word(kind: type) -> str:
    return next((word for python, word, _ in _WORDS if issubclass(kind, python)), UNDEFINED)
