"""Fixtures for all tests: a scripted origin, a running service, and a check for optional programs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import path_of
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A running scripted origin."""
    with Origin().serving() as served:
        yield served


@pytest.fixture
def server(origin: Origin, tmp_path: Path) -> Iterator[Service]:
    """The service with one worker, whose only source is the scripted origin."""
    with run_service(tmp_path, CONFIG.format(origin=origin.url)) as running:
        yield running


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """Return a function that finds a program, or skips the test; with REQUIRE_ALL=1 the test fails instead."""

    def find(program: str) -> str:
        path = path_of(program)
        if path is None:
            if os.environ.get("REQUIRE_ALL") == "1":
                pytest.fail(f"{program} is not installed, and REQUIRE_ALL=1 is set")
            pytest.skip(f"{program} is not installed")
        return path

    return find
