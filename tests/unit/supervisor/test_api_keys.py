import pytest

from hostler_domain.api_keys import checksum_ok, display_prefix, hash_key, make_key

KEY = make_key(bytes(range(20)))


def test_a_key_has_prefix_random_part_and_checksum() -> None:
    assert KEY.startswith("hsk_")
    assert len(KEY) == 4 + 27 + 6
    assert KEY.removeprefix("hsk_").isalnum()


def test_the_same_bytes_give_the_same_key_and_others_another() -> None:
    assert make_key(bytes(range(20))) == KEY
    assert make_key(bytes(20)) != KEY


def test_all_keys_of_one_size_are_equally_long() -> None:
    assert len(make_key(bytes(20))) == len(make_key(b"\xff" * 20))


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        make_key(bytes(19))


def test_a_made_key_passes_the_checksum() -> None:
    assert checksum_ok(KEY)
    assert checksum_ok(make_key(b"\xff" * 32))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("hsk_", id="prefix alone"),
        pytest.param(KEY[:-1] + ("a" if KEY[-1] != "a" else "b"), id="last letter mistyped"),
        pytest.param(KEY[:8] + ("a" if KEY[8] != "a" else "b") + KEY[9:], id="a letter mistyped"),
        pytest.param(KEY[:-1], id="cut short"),
        pytest.param(KEY + "0", id="a letter too many"),
        pytest.param("sk-" + KEY, id="another's prefix"),
        pytest.param(KEY.replace("hsk_", "hsk-"), id="prefix mistyped"),
        pytest.param(KEY[:6] + "é" + KEY[7:], id="a letter that keys don't have"),
    ],
)
def test_what_is_no_key_fails_the_checksum(key: str) -> None:
    assert not checksum_ok(key)


def test_what_is_stored_does_not_give_the_key_away() -> None:
    assert hash_key(KEY) == hash_key(KEY)
    assert len(hash_key(KEY)) == 64
    assert KEY not in hash_key(KEY)
    assert display_prefix(KEY) == KEY[:12]
