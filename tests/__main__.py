"""The whole suite, by ``python -m tests``: in two processes, since most of it waits for other processes to start.

One has the tests of the service as a whole, the other all the rest. pytest-xdist does not do: its workers import what
has to be patched before gevent could.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WHOLE = (HERE / "end_to_end", HERE / "demo")


def main() -> int:
    """Run both, print what they say one after the other, and return the worse exit status."""
    rest = sorted(path for path in (*HERE.glob("test_*.py"), *HERE.glob("*/")) if _has_tests(path))
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    with subprocess.Popen([*command, *rest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as other:
        try:
            status = subprocess.run([*command, *WHOLE], check=False).returncode
            said, _ = other.communicate()
        finally:
            other.kill()
    print(said)
    return max(status, other.returncode)


def _has_tests(path: Path) -> bool:
    return path not in WHOLE and (path.is_file() or any(path.glob("test_*.py")))


if __name__ == "__main__":
    sys.exit(main())
