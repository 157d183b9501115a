"""Clients of other makers agree with the service: each makes the same calls, in its own script in tests/clients."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted_origin import COVER_PATH, Origin, cover
from tests.support.service import CONFIG, Service, run_service

SCRIPTS = Path(__file__).parent.parent / "clients"
SECONDS = 50.0  # a Go that comes without its compiled library takes its time

#: It is sent to be refused, and has to come back whole: beyond ASCII, beyond latin-1, and markup.
BAD_ID = "Ænima <銀> & 1"
LONG_LIST = range(1000, 1040)  # so many answers travel as gzip to those who accept it

Answer = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client: the command that its script is given to, and what has to be installed for it.

    ``library`` is what ``program`` needs besides itself, and ``probe`` the arguments with which it fails without it.
    ``ints_are_text`` says that the client's language makes no difference between 404 and "404".
    """

    name: str
    program: str
    script: str
    command: tuple[str, ...] = ()
    library: str = ""
    probe: tuple[str, ...] = ()
    ints_are_text: bool = False


CLIENTS = (
    Client(name="python", program=sys.executable, script="python.py"),
    Client(
        name="perl-rpc-xml",
        program="perl",
        script="perl_rpc_xml.pl",
        library="RPC::XML for Perl",
        probe=("-MRPC::XML::Client", "-e1"),
        ints_are_text=True,
    ),
    Client(
        name="perl-frontier",
        program="perl",
        script="perl_frontier.pl",
        library="Frontier::Client for Perl",
        probe=("-MFrontier::Client", "-e1"),
        ints_are_text=True,
    ),
    Client(
        name="perl-xmlrpc-lite",
        program="perl",
        script="perl_xmlrpc_lite.pl",
        library="XMLRPC::Lite for Perl",
        probe=("-MXMLRPC::Lite", "-e1"),
        ints_are_text=True,
    ),
    Client(
        name="php",
        program="php",
        script="php.php",
        library="the xmlrpc extension of PHP",
        probe=("-r", "exit(extension_loaded('xmlrpc') ? 0 : 1);"),
    ),
    Client(
        name="ruby",
        program="ruby",
        script="ruby.rb",
        library="xmlrpc for Ruby",
        probe=("-e", "require 'xmlrpc/client'"),
    ),
    Client(
        name="node",
        program="node",
        script="node/client.js",
        library="xmlrpc for Node",
        probe=("-e", "require.resolve('xmlrpc')"),
    ),
    Client(
        name="go",
        program="go",
        script="go/main.go",
        command=("go", "run"),
        library="kolo/xmlrpc for Go",
        probe=("list", "github.com/kolo/xmlrpc"),
    ),
    Client(name="c", program="xmlrpc", script="c.sh", command=("sh",)),
)


def url(root: str, number: int) -> str:
    """Return the cover's URL at the origin with this root."""
    return root + COVER_PATH.format(number=number)


REFUSED: Answer = {"faultCode": -32602, "faultString": rf"'{BAD_ID}' is no id of ozon: expected \d{{1,19}}"}


def missing(root: str) -> Answer:
    """Return the fault of an item that the origin with this root does not have."""
    host = root.removeprefix("http://")
    return {"faultCode": 404, "faultString": f"no such item: {host} answered 404 Not Found"}


#: What every script does, and what is to come of it where the origin has this root.
STEPS: Mapping[str, Callable[[str], Answer]] = {
    "an int id": lambda root: {"value": url(root, 42)},
    "a string id": lambda root: {"value": url(root, 42)},
    "an id with its source": lambda root: {"value": url(root, 42)},
    "a missing item": lambda root: {"fault": missing(root)},
    "a bad id": lambda _root: {"fault": REFUSED},
    "many ids": lambda root: {"value": {"42": url(root, 42), "7": url(root, 7), "404": missing(root), BAD_ID: REFUSED}},
    "a long list": lambda root: {"value": {str(number): url(root, number) for number in LONG_LIST}},
    "the methods": lambda _root: {
        "value": [
            "explain_cover",
            "forget_cover",
            "get_cover",
            "get_covers",
            "list_sources",
            "system.getCapabilities",
            "system.listMethods",
            "system.methodHelp",
            "system.methodSignature",
            "system.multicall",
        ]
    },
    "a signature": lambda _root: {
        "value": [
            ["string", "int"],
            ["string", "string"],
            ["string", "int", "string"],
            ["string", "string", "string"],
        ]
    },
    "a multicall": lambda root: {"value": [[url(root, 42)], [url(root, 7)], missing(root)]},
}

#: What a client has no way to ask, and why. Everything else it is asked for.
CANNOT: Mapping[tuple[str, str], str] = {
    ("c", "many ids"): "its command line has no word for an array",
    ("c", "a long list"): "its command line has no word for an array",
    ("c", "a multicall"): "its command line has no word for an array",
}

PAIRS = [
    pytest.param(client, step, id=f"{client.name}: {step}")
    for client in CLIENTS
    for step in STEPS
    if (client.name, step) not in CANNOT
]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a client's script: its exit status, the answers by their steps, and what it complained of."""

    status: int
    answers: Mapping[str, Answer]
    complaints: str


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    """An origin with the items that the scripts ask for."""
    with Origin().serving() as origin:
        for number in (42, 7, *LONG_LIST):
            origin.item(number, cover(number))
        yield origin


@pytest.fixture(scope="module")
def service(shop: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service that all scripts ask, its only source the shop."""
    with run_service(tmp_path_factory.mktemp("clients"), CONFIG.format(origin=shop.url)) as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a command in the folder of a script, in an environment that fits all clients."""
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "no_proxy": "127.0.0.1",  # libcurl would ask a proxy even for loopback
        # Go without modules and without the network, from the sources that the distribution packages.
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOFLAGS": "",
        "GOCACHE": str(tmp_path_factory.mktemp("go")),
    }

    def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )

    return run


def require_library(name: str, *, is_there: bool) -> None:
    """Skip the test by the library's name if it is absent; with REQUIRE_ALL=1 absent is failed."""
    if is_there:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{name} is not installed, and REQUIRE_ALL=1 asks for everything")
    pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def hear(service: Service, run: Run, require: Callable[[str], str]) -> Callable[[Client], Heard]:
    """Return a function that runs a client's script, once for all of its tests, or skips the test."""

    @functools.cache
    def hear(client: Client) -> Heard:
        script = SCRIPTS / client.script
        require(client.program)
        if client.probe:
            probed = run(script.parent, client.program, *client.probe)
            require_library(client.library, is_there=probed.returncode == 0)

        done = run(script.parent, *(client.command or (client.program,)), str(script), service.url)
        answers, complaints = {}, done.stderr
        for line in done.stdout.splitlines():
            try:
                answer = json.loads(line, object_hook=with_int_code if client.ints_are_text else None)
            except ValueError:  # PHP and the shell complain on standard output
                complaints += line
            else:
                answers[answer.pop("step")] = answer
        return Heard(done.returncode, answers, complaints)

    return hear


def with_int_code(struct: Answer) -> Answer:
    """Return a struct whose ``faultCode``, if it has one, is an int again."""
    return struct | {"faultCode": int(struct["faultCode"])} if "faultCode" in struct else struct


@pytest.mark.parametrize(("client", "step"), PAIRS)
def test_a_client_gets_the_right_answer(
    hear: Callable[[Client], Heard], shop: Origin, client: Client, step: str
) -> None:
    heard = hear(client)
    assert heard.answers.get(step, heard.complaints) == STEPS[step](shop.url)


@pytest.mark.parametrize("client", [pytest.param(client, id=f"{client.name}: every call") for client in CLIENTS])
def test_a_client_makes_every_call_that_it_can_and_has_no_complaint(
    hear: Callable[[Client], Heard], client: Client
) -> None:
    heard = hear(client)
    assert (heard.status, heard.complaints) == (0, "")
    assert list(heard.answers) == [step for step in STEPS if (client.name, step) not in CANNOT]


def test_a_reader_of_introspection_can_print_the_api(service: Service, run: Run, require: Callable[[str], str]) -> None:
    """It is the one of xmlrpc-c, which asks for signatures and help by one multicall."""
    printed = run(SCRIPTS, require("xml-rpc-api2txt"), service.url)
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    assert [line for line in lines if " get_cover " in line] == [
        "string get_cover (int)",
        "string get_cover (string)",
        "string get_cover (int, string)",
        "string get_cover (string, string)",
    ]
    assert "  Return the absolute URL of an item's cover image." in lines
