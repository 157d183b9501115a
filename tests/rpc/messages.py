"""Requests as clients write them, and parsers of responses that also validate them against a schema."""

import xmlrpc.client
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types

EX = "http://ws.apache.org/xmlrpc/namespaces/extensions"
_SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("xmlrpc.rng")))


def request(*values: str, method: str = "echo", head: str = "", root: str = "methodCall") -> bytes:
    """Return a request whose parameters are these ``<value>`` elements. ``head`` is the text before the root."""
    params = "".join(f"<param>{value}</param>" for value in values)
    name = root.partition(" ")[0]
    return f"{head}<{root}><methodName>{method}</methodName><params>{params}</params></{name}>".encode()


def typed_request(kind: str, text: str) -> bytes:
    """Return a request with one parameter: an element ``kind`` with this text."""
    return request(f"<value><{kind}>{text}</{kind}></value>")


def client_request(method: str, *params: Any) -> bytes:
    """Return the request that Python's xmlrpc.client sends."""
    return xmlrpc.client.dumps(params, method, allow_none=True).encode()


def is_valid_response(response: bytes | str) -> bool:
    """Return whether a response is well-formed XML and valid by the schema."""
    return bool(_SCHEMA.validate(etree.fromstring(response)))


def tags_in_namespace(response: bytes, namespace: str) -> list[str]:
    """Return the local names of a response's elements in a namespace, in document order."""
    return [etree.QName(element).localname for element in etree.fromstring(response).iter(f"{{{namespace}}}*")]


def result_of(response: bytes) -> Any:
    """Validate a response and return its result, as Python's xmlrpc.client parses it."""
    assert is_valid_response(response), response[:1000]
    (value,), method = xmlrpc.client.loads(response, use_builtin_types=True)
    assert method is None
    return value


def fault_of(response: bytes) -> tuple[int, str]:
    """Validate a response that is a fault and return its code and text."""
    assert is_valid_response(response), response[:1000]
    try:
        value, _ = xmlrpc.client.loads(response)
    except xmlrpc.client.Fault as error:
        return error.faultCode, error.faultString
    raise AssertionError(f"expected a fault, got {value!r:.200}")
