"""The parts of the page's script, each by itself."""

import json

from tests.support.browser import Page


def test_ids_are_found_in_whatever_is_pasted(modules: Page) -> None:
    """Each once; a URL keeps its commas."""
    text = json.dumps(' 1,2;;3\t4\r\n"5" , ,1 https://a.example/x,y;z?a=1, caa:7 ')
    found = modules.value(f"import('/static/lookup.js').then(({{ idsIn }}) => idsIn({text}))")
    assert found == ["1", "2", "3", "4", '"5"', "https://a.example/x,y;z?a=1", "caa:7"]


def test_xml_rpc_is_written_and_read_in_all_its_types(modules: Page) -> None:
    """Against the service's own reader for what is written, and the specification for what is read."""
    values = (
        "<array><data><value>a&lt;b</value><value><string> c </string></value><value><i4>-4</i4></value>"
        "<value><double>-.5</double></value><value><boolean>1</boolean></value><value><nil/></value>"
        "<value><struct><member><name>__proto__</name><value><int>1</int></value></member></struct></value>"
        "<value><array><data/></array></value></data></array>"
    )
    answer = f"<methodResponse><params><param><value>{values}</value></param></params></methodResponse>"
    told = modules.value(
        f"""import('/static/xmlrpc.js').then(async ({{ read, call }}) => [
            JSON.stringify(read({json.dumps(answer)})),
            await call("explain_cover", ["<&>\\u0000\\ud800é"]).catch(({{ code, message }}) => [code, message]),
            ...["<a/>", "no xml", "<methodResponse/>"].map((text) => {{
                try {{ return read(text); }} catch (error) {{ return error.name; }}
            }}),
        ])"""
    )
    assert json.loads(told[0]) == ["a<b", " c ", -4, -0.5, True, None, {"__proto__": 1}, []]
    assert told[1][0] == -32602
    assert "'<&>��é' is no id of ozon" in told[1][1]
    assert told[2:] == ["SyntaxError"] * 3
