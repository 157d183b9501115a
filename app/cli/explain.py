"""``explain``: what a running service knows of one id's cover."""

import sys
from datetime import UTC, datetime

from app.cli.answer import Answer, complaint
from app.cli.arguments import Explain
from app.cli.asking import Refused, Service
from app.cli.ending import Status
from app.cli.explanation import explanation


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
