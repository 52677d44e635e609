"""What the log leaves out."""

import logging


class RefusalsInALine(logging.Filter):
    """Who may not do something, or asks wrongly, is refused, and that is no fault of ours: a line tells of it, without the way
    through our code."""

    def filter(self, record: logging.LogRecord) -> bool:
        if 400 <= getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
