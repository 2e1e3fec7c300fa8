"""How an answer ends in an error: as the whole answer, as the last event of a stream, or by breaking the connection off."""

from hostler_router.openai_errors import ErrorReply
from hostler_router.sse import event_of
from hostler_router.wire.reply import Reply


def fail_reply(reply: Reply, error: ErrorReply, event: bytes | None = None) -> None:
    """End with an error, however far the answer has got; a client must not take a part for the whole.

    Args:
        reply: What is ended.
        error: What is said.
        event: How a stream says it; None for the way of most of them.
    """
    if reply.ended or reply.gone:
        return
    if not reply.started:
        reply.whole(error.status, error.body(), headers=error.all_headers())
    elif reply.events:
        reply.end(event_of(error.body()) if event is None else event)
    else:
        reply.break_off()
