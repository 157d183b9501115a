"""The grammar of an XML-RPC call, as a pushdown automaton over the tags of the document.

A start tag selects a transition of the current state. The transition gives two states: the one inside the element, and
the one after its end tag, which the parser keeps on a stack. A start tag without a transition is an error, so the
``Unmarshaller`` that builds the values receives well-formed calls only. The initial state is ``DOCUMENT``.
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
    """A state of the automaton: the position within an element.

    ``name`` is for error messages. ``transitions`` maps a tag to the state inside that element and the state after it.
    A leaf, which may contain text, has ``parse_text``: it turns the text into the value. Other states allow only white
    space; their ``on_close``, if any, is called at the element's end tag. ``is_container`` marks the states that start
    an array or a struct.
    """

    name: str
    parse_text: Callable[[str], Any] | None = None
    on_close: Callable[[Unmarshaller], None] | None = None
    is_container: bool = False
    # Filled in after the states exist, because they refer to each other.
    transitions: dict[str, tuple["GrammarState", "GrammarState"]] = field(default_factory=dict)


def _incomplete(name: str, missing: str, *, is_container: bool = False) -> GrammarState:
    """Return a state in which the end tag is an error, because the required element ``missing`` is absent."""

    def fail(_unmarshaller: Unmarshaller) -> NoReturn:
        raise Fault(INVALID_REQUEST, f"{name} without {missing}")

    return GrammarState(name=name, on_close=fail, is_container=is_container)


def _parse_method_name(text: str) -> str:
    if not _is_method_name(text):
        raise Fault(INVALID_REQUEST, "a method name may have only letters, digits and _ . : /")
    return text


_COMPLETE = GrammarState(name="a complete element")

DOCUMENT: Final = GrammarState(name="the document")
_CALL = _incomplete("<methodCall>", "<methodName>")
_CALL_WITH_NAME = GrammarState(name="<methodCall>", on_close=lambda unmarshaller: unmarshaller.end_params(""))
_CALL_WITH_PARAMS = GrammarState(name="<methodCall>", on_close=lambda unmarshaller: unmarshaller.end_params(""))
_METHOD_NAME = GrammarState(name="<methodName>", parse_text=_parse_method_name)
_PARAMS = GrammarState(name="<params>")
_PARAM = _incomplete("<param>", "<value>")
_VALUE = GrammarState(name="<value>", parse_text=str)  # a value without a type element is a string
_ARRAY = _incomplete("<array>", "<data>", is_container=True)
_ARRAY_WITH_DATA = GrammarState(name="<array>", on_close=lambda unmarshaller: unmarshaller.end_array(""))
_DATA = GrammarState(name="<data>")
_STRUCT = GrammarState(name="<struct>", on_close=lambda unmarshaller: unmarshaller.end_struct(""), is_container=True)
_MEMBER = _incomplete("<member>", "<name>")
_MEMBER_WITH_NAME = _incomplete("<member>", "<value>")
_NAME = GrammarState(name="<name>", parse_text=str)

DOCUMENT.transitions.update(methodCall=(_CALL, _COMPLETE))
_CALL.transitions.update(methodName=(_METHOD_NAME, _CALL_WITH_NAME))
_CALL_WITH_NAME.transitions.update(params=(_PARAMS, _CALL_WITH_PARAMS))
_PARAMS.transitions.update(param=(_PARAM, _PARAMS))
_PARAM.transitions.update(value=(_VALUE, _COMPLETE))
_VALUE.transitions.update(array=(_ARRAY, _COMPLETE), struct=(_STRUCT, _COMPLETE))
_VALUE.transitions.update(
    (tag, (GrammarState(name=f"<{tag}>", parse_text=parse_text), _COMPLETE))
    for tag, parse_text in (SCALARS | EXTENSIONS).items()
)
_VALUE.transitions.update((f"{APACHE_NAMESPACE} {tag}", _VALUE.transitions[tag]) for tag in EXTENSIONS)
_ARRAY.transitions.update(data=(_DATA, _ARRAY_WITH_DATA))
_DATA.transitions.update(value=(_VALUE, _DATA))
_STRUCT.transitions.update(member=(_MEMBER, _STRUCT))
_MEMBER.transitions.update(name=(_NAME, _MEMBER_WITH_NAME))
_MEMBER_WITH_NAME.transitions.update(value=(_VALUE, _COMPLETE))
