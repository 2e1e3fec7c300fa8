"""Tokens to words and sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_speech.spoken_words import sentences, words
from hostler_speech.transcript import Word

TOKENS = (" Plea", "se", " go", ".", " Now", "!")
STARTS = (0.0, 0.16, 0.4, 0.56, 1.2, 1.36)


def test_a_token_with_a_space_begins_a_word_and_others_go_on_with_it():
    assert words(TOKENS, STARTS, 2.0) == (
        Word("Please", 0.0, 0.24),
        Word("go.", 0.4, 0.64),
        Word("Now!", 1.2, 1.44),
    )


def test_the_first_token_begins_a_word_with_or_without_a_space():
    assert [word.word for word in words(("ja", " ja"), (0, 1), 2)] == ["ja", "ja"]


def test_no_word_ends_after_the_audio():
    assert words((" end",), (0.96,), 1.0)[0].end == 1.0


def test_a_segment_is_a_sentence_and_counts_from_the_beginning_of_the_whole_audio():
    found = list(sentences(words(TOKENS, STARTS, 2.0), 30.0, with_words=True))

    assert [(each.start, each.end, each.text) for each in found] == [
        (30.0, 30.64, " Please go."),
        (31.2, 31.44, " Now!"),
    ]
    assert found[0].words[0] == Word("Please", 30.0, 30.24)
    assert found[0].seek == 3000


def test_words_are_named_singly_only_where_they_are_asked_for():
    assert [each.words for each in sentences(words(TOKENS, STARTS, 2.0), 0, with_words=False)] == [(), ()]


def test_a_sentence_that_does_not_end_is_cut_after_half_a_minute():
    spoken = words([f" w{number}" for number in range(100)], [float(number) for number in range(100)], 100.0)

    found = list(sentences(spoken, 0, with_words=False))

    assert [round(each.end - each.start) for each in found[:-1]] == [30, 30, 30]


def test_silence_has_no_sentences():
    assert list(sentences(words((), (), 5.0), 0, with_words=True)) == []


def test_a_token_without_its_time_is_a_fault_of_the_engine():
    with pytest.raises(ValueError, match="zip"):
        words((" a", " b"), (0.0,), 1.0)


@given(st.lists(st.sampled_from([" a", "b", ".", " ", " c."]), max_size=40))
def test_no_letter_is_lost_and_none_is_said_twice(tokens):
    spoken = words(tokens, [each * 0.08 for each in range(len(tokens))], 10.0)
    text = "".join(each.text for each in sentences(spoken, 0, with_words=False))

    assert text.replace(" ", "") == "".join(tokens).replace(" ", "")
