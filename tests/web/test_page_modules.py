"""Unit tests of the page's JavaScript modules."""

import json

from tests.support.browser import Page


def test_ids_are_parsed_from_text(module_page: Page) -> None:
    """Duplicates are removed, and URLs keep their commas."""
    text = json.dumps(' 1,2;;3\t4\r\n"5" , ,1 https://a.example/x,y;z?a=1, caa:7 ')
    ids = module_page.evaluate(f"import('/static/lookup.js').then(({{ parseIds }}) => parseIds({text}))")
    assert ids == ["1", "2", "3", "4", '"5"', "https://a.example/x,y;z?a=1", "caa:7"]


def test_xml_rpc_calls_are_serialised_and_responses_are_parsed(module_page: Page) -> None:
    """The service parses the call. The response has strings, numbers, booleans, nil, arrays and a struct."""
    values = (
        "<array><data><value>a&lt;b</value><value><string> c </string></value><value><i4>-4</i4></value>"
        "<value><double>-.5</double></value><value><boolean>1</boolean></value><value><nil/></value>"
        "<value><struct><member><name>__proto__</name><value><int>1</int></value></member></struct></value>"
        "<value><array><data/></array></value></data></array>"
    )
    response = f"<methodResponse><params><param><value>{values}</value></param></params></methodResponse>"
    results = module_page.evaluate(
        f"""import('/static/xmlrpc.js').then(async ({{ parseResponse, call }}) => [
            JSON.stringify(parseResponse({json.dumps(response)})),
            await call("explain_cover", ["<&>\\u0000\\ud800é"]).catch(({{ code, message }}) => [code, message]),
            ...["<a/>", "no xml", "<methodResponse/>"].map((text) => {{
                try {{ return parseResponse(text); }} catch (error) {{ return error.name; }}
            }}),
        ])"""
    )
    assert json.loads(results[0]) == ["a<b", " c ", -4, -0.5, True, None, {"__proto__": 1}, []]
    assert results[1][0] == -32602
    assert "'<&>��é' is no id of ozon" in results[1][1]
    assert results[2:] == ["SyntaxError"] * 3
