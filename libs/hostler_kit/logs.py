"""Structured logs: one object a line on standard output, or coloured text on a terminal.

Lines of libraries that use the standard `logging` come out in the same form. Secrets are kept out by their types, which never
show themselves; what a caller put where no secret belongs is taken out of the line.
"""

import logging
import sys
from typing import BinaryIO, Literal

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from hostler_domain.redaction import redact

Logger = FilteringBoundLogger
Form = Literal["json", "console", "auto"]


def json_stream(form: Form) -> BinaryIO | None:
    """Where whoever writes many lines may put them as JSON by themselves; None where people read along."""
    return None if _is_console(form) else sys.stdout.buffer


def configure_logs(
    *,
    service: str,
    level: Literal["debug", "info", "warning", "error"],
    form: Form,
) -> Logger:
    """Set up logging for this process and give its logger, with the service's name bound to it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if _is_console(form)
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *render,
                lambda _logger, _name, line: redact(str(line)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn", "uvicorn.error", "uvicorn.access", "nats", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Bound to the context too, so that lines of modules with a logger of their own carry it.
    structlog.contextvars.bind_contextvars(service=service)
    logger: Logger = structlog.get_logger()
    return logger


def _is_console(form: Form) -> bool:
    return form == "console" or (form == "auto" and sys.stdout.isatty())
