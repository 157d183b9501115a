"""``explain``: what a running service knows of one id's cover."""

import sys
from datetime import UTC, datetime

from app.cli.arguments import Explain
from app.cli.exit_status import ExitStatus
from app.cli.explanation import explanation
from app.cli.output_format import IdResult, error_line
from app.cli.service_client import ServiceClient, ServiceFault


def explain(wanted: Explain) -> ExitStatus:
    """Print the record, field by field; return whether there is a cover. Raises Unreachable, WrongUsage."""
    try:
        with ServiceClient(wanted.url).connect(wanted.source) as connection:
            record = connection.explain(wanted.content_id)
    except ServiceFault as refused:
        print(error_line(IdResult(wanted.content_id, code=refused.code, text=refused.text)), file=sys.stderr)
        return ExitStatus.SOME_FAILED
    for line in explanation(record, datetime.now(UTC)):
        print(line)
    return ExitStatus.ALL_WELL if record.get("url") else ExitStatus.SOME_FAILED
