"""Exit statuses, and the errors that end a command. Each error has an exit status and a one-line message."""

import enum
from typing import ClassVar


class ExitStatus(enum.IntEnum):
    """The exit statuses of all commands."""

    SUCCESS = 0
    FAILURE = 1
    USAGE_ERROR = 2
    UNREACHABLE = 3
    INTERRUPTED = 130  # by the convention of shells, 128 + SIGINT
    BROKEN_PIPE = 141  # 128 + SIGPIPE


class CommandError(Exception):
    """Ends the command. The message is printed on standard error; ``status`` is the exit status."""

    status: ClassVar[ExitStatus]


class UsageError(CommandError):
    """An argument, the standard input or the configuration is invalid."""

    status = ExitStatus.USAGE_ERROR


class ServiceUnreachable(CommandError):
    """The service could not be reached, or the server at its URL is not the service."""

    status = ExitStatus.UNREACHABLE
