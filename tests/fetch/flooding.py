"""Runs the flooder, and says which limit ends each flood."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import trustme

from tests.fetch import flooder

#: Part of the error of each flood that a limit ends, by name; ``{max_page}`` is the source's.
LIMIT_ERRORS: Final = MappingProxyType(
    {
        "interim": "more than 16 interim responses",
        "blank lines": "header is longer than 65536 bytes",
        "head": "more than 100 header fields",
        "one long field": "header is longer than 65536 bytes",
        "body": "more than {max_page} bytes",
        "chunks": "more than {max_page} bytes",
        "tiny chunks": "bytes of headers and framing",
        "chunk extension": "bytes of headers and framing",
        "trailers": "more than 100 header fields",
        "one long trailer": "bytes of headers and framing",
        "bomb": "more than {max_page} bytes",
        "empty members": "more than 1000 gzip members",
    }
)


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
