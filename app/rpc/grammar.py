"""The grammar of a call, as places: where the reader may stand, what may open there, and what closing it means.

A place answers three questions: which elements may open here, and for each the place inside it and the place after it;
what is done when the element closes; and whether an array or a struct begins in it. Whatever a place does not name is
refused, so the ``Unmarshaller`` behind it meets nothing but calls. The way begins at ``DOCUMENT``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from xmlrpc.client import Unmarshaller

from app.rpc.dialect import APACHE_NAMESPACE
from app.rpc.faults import INVALID_REQUEST, Fault
from app.rpc.scalars import EXTENSIONS, SCALARS

_is_method_name: Final = re.compile(r"[A-Za-z0-9_.:/]+").fullmatch


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GrammarState:
    """One place: what may open here, and what happens to the text when the element closes here.

    ``opens`` maps a tag to the place inside of the element and the place after it. A leaf has ``read``, which turns its
    text into the value to be kept. Any other place has white space alone, and ``done``, where something is left to do.
    In a place that ``nests`` a new array or struct begins.
    """

    name: str
    read: Callable[[str], Any] | None = None
    done: Callable[[Unmarshaller], None] | None = None
    nests: bool = False
    opens: dict[str, tuple["GrammarState", "GrammarState"]] = field(
        default_factory=dict
    )  # filled in below: places are circular


def _incomplete(name: str, missing: str, *, nests: bool = False) -> GrammarState:
    """Return a place that cannot be left by its end tag, because ``missing`` has not been met."""

    def refuse(_values: Unmarshaller) -> NoReturn:
        raise Fault(INVALID_REQUEST, f"{name} without {missing}")

    return GrammarState(name=name, done=refuse, nests=nests)


def _method_name(text: str) -> str:
    if not _is_method_name(text):
        raise Fault(INVALID_REQUEST, "a method's name is of letters, digits and _ . : /")
    return text


_CLOSED = GrammarState(name="a complete element")

DOCUMENT: Final = GrammarState(name="the document")
_CALL = _incomplete("<methodCall>", "<methodName>")
_NAMED_CALL = GrammarState(name="<methodCall>", done=lambda values: values.end_params(""))
_FULL_CALL = GrammarState(name="<methodCall>", done=lambda values: values.end_params(""))
_METHOD_NAME = GrammarState(name="<methodName>", read=_method_name)
_PARAMS = GrammarState(name="<params>")
_PARAM = _incomplete("<param>", "<value>")
_VALUE = GrammarState(name="<value>", read=str)  # without a type it is a string
_ARRAY = _incomplete("<array>", "<data>", nests=True)
_FULL_ARRAY = GrammarState(name="<array>", done=lambda values: values.end_array(""))
_DATA = GrammarState(name="<data>")
_STRUCT = GrammarState(name="<struct>", done=lambda values: values.end_struct(""), nests=True)
_MEMBER = _incomplete("<member>", "<name>")
_NAMED_MEMBER = _incomplete("<member>", "<value>")
_NAME = GrammarState(name="<name>", read=str)

DOCUMENT.opens.update(methodCall=(_CALL, _CLOSED))
_CALL.opens.update(methodName=(_METHOD_NAME, _NAMED_CALL))
_NAMED_CALL.opens.update(params=(_PARAMS, _FULL_CALL))
_PARAMS.opens.update(param=(_PARAM, _PARAMS))
_PARAM.opens.update(value=(_VALUE, _CLOSED))
_VALUE.opens.update(array=(_ARRAY, _CLOSED), struct=(_STRUCT, _CLOSED))
_VALUE.opens.update((kind, (GrammarState(name=f"<{kind}>", read=read), _CLOSED)) for kind, read in SCALARS.items())
_VALUE.opens.update((kind, (GrammarState(name=f"<{kind}>", read=read), _CLOSED)) for kind, read in EXTENSIONS.items())
_VALUE.opens.update((f"{APACHE_NAMESPACE} {kind}", _VALUE.opens[kind]) for kind in EXTENSIONS)
_ARRAY.opens.update(data=(_DATA, _FULL_ARRAY))
_DATA.opens.update(value=(_VALUE, _DATA))
_STRUCT.opens.update(member=(_MEMBER, _STRUCT))
_MEMBER.opens.update(name=(_NAME, _NAMED_MEMBER))
_NAMED_MEMBER.opens.update(value=(_VALUE, _CLOSED))
