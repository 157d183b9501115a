"""XML-RPC clients in several languages against the service: each runs the same calls by a script in tests/clients."""

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
SECONDS = 50.0  # `go run` is slow where the standard library is not precompiled

#: An invalid id that the fault text has to repeat unchanged: it has characters outside ASCII and latin-1, and markup.
BAD_ID = "Ænima <銀> & 1"
LONG_LIST = range(1000, 1040)  # its response is compressed for clients that accept gzip

Struct = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client: the ``command`` that runs its ``script``, by default ``program``, and what has to be installed.

    ``library`` is what has to be installed besides ``program``, and ``probe`` the arguments with which the program
    fails if the library is absent. ``ints_are_text`` is for languages that do not distinguish 404 from "404".
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


def cover_url(root: str, number: int) -> str:
    """Return the cover's URL at the origin with this root URL."""
    return root + COVER_PATH.format(number=number)


REFUSED: Struct = {"faultCode": -32602, "faultString": rf"'{BAD_ID}' is no id of ozon: expected \d{{1,19}}"}


def missing(root: str) -> Struct:
    """Return the fault of an item that does not exist at the origin with this root URL."""
    host = root.removeprefix("http://")
    return {"faultCode": 404, "faultString": f"no such item: {host} answered 404 Not Found"}


#: The calls of every script, each with a function from the root URL of the origin to the expected outcome.
STEPS: Mapping[str, Callable[[str], Struct]] = {
    "an int id": lambda root: {"value": cover_url(root, 42)},
    "a string id": lambda root: {"value": cover_url(root, 42)},
    "an id with its source": lambda root: {"value": cover_url(root, 42)},
    "a missing item": lambda root: {"fault": missing(root)},
    "a bad id": lambda _root: {"fault": REFUSED},
    "many ids": lambda root: {
        "value": {"42": cover_url(root, 42), "7": cover_url(root, 7), "404": missing(root), BAD_ID: REFUSED}
    },
    "a long list": lambda root: {"value": {str(number): cover_url(root, number) for number in LONG_LIST}},
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
    "a multicall": lambda root: {"value": [[cover_url(root, 42)], [cover_url(root, 7)], missing(root)]},
}

#: The steps that a client cannot run, with the reason. Every client runs all other steps.
UNSUPPORTED: Mapping[tuple[str, str], str] = {
    ("c", "many ids"): "its command line has no arrays",
    ("c", "a long list"): "its command line has no arrays",
    ("c", "a multicall"): "its command line has no arrays",
}

PAIRS = [
    pytest.param(client, step, id=f"{client.name}: {step}")
    for client in CLIENTS
    for step in STEPS
    if (client.name, step) not in UNSUPPORTED
]


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A finished run of a client's script: exit status, outcomes by step, and error output."""

    status: int
    outcomes: Mapping[str, Struct]
    errors: str


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """Run an origin with the items that the scripts look up."""
    with Origin().serving() as server:
        for number in (42, 7, *LONG_LIST):
            server.item(number, cover(number))
        yield server


@pytest.fixture(scope="module")
def service(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service that all scripts call; the origin is its only source."""
    with run_service(tmp_path_factory.mktemp("clients"), CONFIG.format(origin=origin.url)) as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a command in a folder, with the environment that the clients need."""
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "no_proxy": "127.0.0.1",  # libcurl uses a proxy even for loopback addresses
        # Go uses the source packages of the distribution, without modules and without the network.
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


def require_library(name: str, *, is_installed: bool) -> None:
    """Skip the test if the library is not installed, or fail it if REQUIRE_ALL=1 is set."""
    if is_installed:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{name} is not installed, and REQUIRE_ALL=1 is set")
    pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def run_client(service: Service, run: Run, require: Callable[[str], str]) -> Callable[[Client], ScriptRun]:
    """Return a function that runs a client's script once for all tests, or skips the test if it is not installed."""

    @functools.cache
    def run_client(client: Client) -> ScriptRun:
        script = SCRIPTS / client.script
        require(client.program)
        if client.probe:
            probe = run(script.parent, client.program, *client.probe)
            require_library(client.library, is_installed=probe.returncode == 0)

        process = run(script.parent, *(client.command or (client.program,)), str(script), service.url)
        outcomes, errors = {}, process.stderr
        for line in process.stdout.splitlines():
            try:
                outcome = json.loads(line, object_hook=with_int_code if client.ints_are_text else None)
            except ValueError:  # PHP and the shell write errors to standard output
                errors += line
            else:
                outcomes[outcome.pop("step")] = outcome
        return ScriptRun(process.returncode, outcomes, errors)

    return run_client


def with_int_code(struct: Struct) -> Struct:
    """Return the struct with its ``faultCode``, if it has one, converted to an int."""
    return struct | {"faultCode": int(struct["faultCode"])} if "faultCode" in struct else struct


@pytest.mark.parametrize(("client", "step"), PAIRS)
def test_a_client_gets_the_right_result(
    run_client: Callable[[Client], ScriptRun], origin: Origin, client: Client, step: str
) -> None:
    finished = run_client(client)
    assert finished.outcomes.get(step, finished.errors) == STEPS[step](origin.url)


@pytest.mark.parametrize("client", [pytest.param(client, id=f"{client.name}: every call") for client in CLIENTS])
def test_a_client_runs_every_supported_step_without_errors(
    run_client: Callable[[Client], ScriptRun], client: Client
) -> None:
    finished = run_client(client)
    assert (finished.status, finished.errors) == (0, "")
    assert list(finished.outcomes) == [step for step in STEPS if (client.name, step) not in UNSUPPORTED]


def test_xml_rpc_api2txt_prints_the_api(service: Service, run: Run, require: Callable[[str], str]) -> None:
    """The tool of xmlrpc-c requests signatures and help in one multicall."""
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
