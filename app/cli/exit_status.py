"""How a command ends: its exit status, and the errors that end it with one line on standard error."""

import enum
from typing import ClassVar


class ExitStatus(enum.IntEnum):
    """Exit statuses."""

    ALL_WELL = 0
    SOME_FAILED = 1
    WRONG_USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
    NOBODY_READS = 141  # likewise, of SIGPIPE


class CommandError(Exception):
    """What ends a command. The text is the line for standard error; ``status`` is the exit status."""

    status: ClassVar[ExitStatus]


class UsageError(CommandError):
    """What the command was given cannot be: an argument, its input, the configuration."""

    status = ExitStatus.WRONG_USAGE


class ServiceUnreachable(CommandError):
    """The service could not be reached, or what answered is none."""

    status = ExitStatus.UNREACHABLE
