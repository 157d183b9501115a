"""Requests as clients write them, and answers as clients and the schema read them."""

import xmlrpc.client
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # it ships no types

EX = "http://ws.apache.org/xmlrpc/namespaces/extensions"
_SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("xmlrpc.rng")))


def request(*values: str, method: str = "echo", head: str = "", root: str = "methodCall") -> bytes:
    """Return a call with these ``<value>`` elements, written out by hand."""
    params = "".join(f"<param>{value}</param>" for value in values)
    name = root.partition(" ")[0]
    return f"{head}<{root}><methodName>{method}</methodName><params>{params}</params></{name}>".encode()


def typed(kind: str, text: str) -> bytes:
    """Return a call with one value of the given type."""
    return request(f"<value><{kind}>{text}</{kind}></value>")


def dumped(method: str, *params: Any) -> bytes:
    """Return the call that Python's own client makes."""
    return xmlrpc.client.dumps(params, method, allow_none=True).encode()


def is_lawful(answer: bytes | str) -> bool:
    """Tell whether an answer is well-formed XML that keeps to the schema."""
    return bool(_SCHEMA.validate(etree.fromstring(answer)))


def tags(answer: bytes, namespace: str) -> list[str]:
    """Return the tags of a namespace in the order of the answer, without it."""
    return [etree.QName(element).localname for element in etree.fromstring(answer).iter(f"{{{namespace}}}*")]


def answered(answer: bytes) -> Any:
    """Return the value of an answer that keeps to the schema, as Python's own client reads it."""
    assert is_lawful(answer), answer[:1000]
    (value,), method = xmlrpc.client.loads(answer, use_builtin_types=True)
    assert method is None
    return value


def fault(answer: bytes) -> tuple[int, str]:
    """Return code and text of an answer that is a fault, and keeps to the schema."""
    assert is_lawful(answer), answer[:1000]
    try:
        value, _ = xmlrpc.client.loads(answer)
    except xmlrpc.client.Fault as error:
        return error.faultCode, error.faultString
    raise AssertionError(f"no fault but {value!r:.200}")
