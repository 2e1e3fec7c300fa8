from hostler_router.outstanding import Outstanding


def test_requests_are_counted_until_they_end() -> None:
    outstanding = Outstanding()
    outstanding.begin("r1")
    outstanding.begin("r1")
    outstanding.begin("r2")
    outstanding.end("r1")
    outstanding.end("r2")
    assert outstanding.counts == {"r1": 1}
    assert (outstanding.left_on("r1"), outstanding.left_on("r2")) == (1, 0)
