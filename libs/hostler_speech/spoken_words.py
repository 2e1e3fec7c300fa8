"""From the tokens of a transducer, each with the second at which it was heard, to words and sentences. Pure; called by the engine."""

from collections.abc import Iterator, Sequence

from hostler_speech.transcript import Segment, Word

_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")
_TOKEN_SECONDS = 0.08
"""What one step of the encoder covers: the least that a last token lasts."""
_SENTENCE_SECONDS_MAX = 30.0


def words(tokens: Sequence[str], starts: Sequence[float], end: float) -> tuple[Word, ...]:
    """The words; a token that begins with a space begins one.

    Args:
        tokens: Parts of words.
        starts: When each begins, in seconds.
        end: When the audio ends.
    """
    found: list[Word] = []
    for token, start in zip(tokens, starts, strict=True):
        text = token.strip()
        last = round(min(start + _TOKEN_SECONDS, max(end, start)), 3)
        if found and not token.startswith(" "):
            before = found[-1]
            found[-1] = Word(before.word + text, before.start, last)
        elif text:
            found.append(Word(text, start, last))
    return tuple(found)


def sentences(spoken: Sequence[Word], offset_seconds: float, *, with_words: bool) -> Iterator[Segment]:
    """The words as segments: a sentence each, or half a minute of one that does not end.

    Args:
        spoken: The words.
        offset_seconds: Where the piece of audio that they were heard in begins.
        with_words: Whether the segments name them singly.
    """
    begun: list[Word] = []
    for index, word in enumerate(spoken):
        begun.append(word)
        long = word.end - begun[0].start >= _SENTENCE_SECONDS_MAX
        if word.word.endswith(_ENDS) or long or index == len(spoken) - 1:
            moved = tuple(
                Word(each.word, round(each.start + offset_seconds, 3), round(each.end + offset_seconds, 3))
                for each in begun
            )
            yield Segment(
                start=moved[0].start,
                end=moved[-1].end,
                text=" " + " ".join(each.word for each in moved),
                seek=round(offset_seconds * 100),
                words=moved if with_words else (),
            )
            begun = []
