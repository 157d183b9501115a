"""Runs the flooder."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.fetch import flooder


@contextmanager
def flooding(folder: Path, authority: trustme.CA) -> Iterator[list[int]]:
    """Run the flooder; yield its ports for HTTP and for HTTPS."""
    certificate = folder / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    command = [sys.executable, "-S", str(Path(flooder.__file__)), str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()
