"""``explain``: what a running service knows of one id's cover."""

import sys
from datetime import UTC, datetime

from app.cli.arguments import Explain
from app.cli.exit_status import Status
from app.cli.explanation import explanation
from app.cli.output_format import Answer, complaint
from app.cli.service_client import Refused, Service


def explain(wanted: Explain) -> Status:
    """Print the record, field by field; return whether there is a cover. Raises Unreachable, WrongUsage."""
    try:
        with Service(wanted.url).connect(wanted.source) as connection:
            record = connection.explain(wanted.content_id)
    except Refused as refused:
        print(complaint(Answer(wanted.content_id, code=refused.code, text=refused.text)), file=sys.stderr)
        return Status.SOME_FAILED
    for line in explanation(record, datetime.now(UTC)):
        print(line)
    return Status.ALL_WELL if record.get("url") else Status.SOME_FAILED
