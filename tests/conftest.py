"""What all tests share: a scripted origin, a running service, and the rule for programs that may be absent."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import path_of
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A scripted origin, serving."""
    with Origin().serving() as served:
        yield served


@pytest.fixture
def server(origin: Origin, tmp_path: Path) -> Iterator[Service]:
    """The service with one worker, its only source the scripted origin."""
    with run_service(tmp_path, CONFIG.format(origin=origin.url)) as running:
        yield running


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """Return a function that finds a program, or skips the test by its name; with REQUIRE_ALL=1 absent is failed."""

    def find(program: str) -> str:
        path = path_of(program)
        if path is None:
            if os.environ.get("REQUIRE_ALL") == "1":
                pytest.fail(f"{program} is not installed, and REQUIRE_ALL=1 asks for everything")
            pytest.skip(f"{program} is not installed")
        return path

    return find
