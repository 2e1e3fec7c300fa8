"""Dead letters through both clients and as commands, against a small server that answers as the api does."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from hostler_api.dead_letters import DeadLetterDocument, DeadLetterList, DeadLetterWithMessage
from hostler_cli.app import app
from hostler_client import AsyncHostlerClient, Conflict, HostlerClient
from hostler_domain.dead_letters import DeadLetter, LetterState, Notice, Source, given_up, replayed
from tests.support.builders import NOW, at
from tests.unit.client.fake_api import KEY, problem, served


class FakeLetters:
    """Three letters of the consumer `ledger`, one a page; the message of the third is gone."""

    def __init__(self) -> None:
        self.letters: dict[str, DeadLetter] = {}
        self.replayed: list[str] = []
        for number in (1, 2, 3):
            letter = given_up(
                None,
                Notice(number, at(number), 5, "no such price"),
                Source("JOBS", "ledger", number),
                "s",
                NOW,
            )
            assert letter is not None
            self.letters[letter.source.letter_id] = letter

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        parts = request.url.path.strip("/").split("/")
        query = request.url.params
        if len(parts) == 2:
            found = [
                each
                for each in self.letters.values()
                if query.get("state") in (None, each.state) and query.get("consumer") in (None, "ledger")
            ]
            start = int(query.get("after", "0"))
            more = start + 1 < len(found)
            page = DeadLetterList(
                data=tuple(DeadLetterDocument.of(each) for each in found[start : start + 1]),
                has_more=more,
                next=str(start + 1) if more else None,
            )
            return httpx2.Response(200, content=page.model_dump_json().encode())
        letter = self.letters.get(parts[2])
        if letter is None:
            return problem(404, "There is no such thing", f"there is no dead letter {parts[2]!r}")
        if request.method == "POST":
            if letter.source.seq == 3:
                return problem(409, "The present state does not allow it", "the message is gone")
            self.replayed.append(parts[2])
            letter = self.letters[parts[2]] = replayed(letter, at=NOW, by="key-1") or letter
            return httpx2.Response(202, content=DeadLetterDocument.of(letter).model_dump_json().encode())
        shown = DeadLetterDocument.of(letter).model_dump() | {
            "headers": {"Nats-Msg-Id": "e1"},
            "body": '{"not": json',
            "body_encoding": "utf-8",
        }
        return httpx2.Response(200, content=DeadLetterWithMessage(**shown).model_dump_json().encode())


@pytest.fixture
def letters() -> FakeLetters:
    return FakeLetters()


def test_the_blocking_client_lists_reads_and_replays(letters: FakeLetters) -> None:
    transport = httpx2.MockTransport(letters.answer)
    with HostlerClient(api_url="http://api.test", api_key=KEY, transport=transport) as client:
        listed = list(client.dead_letters.list(consumer="ledger"))
        assert [each.sequence for each in listed] == [1, 2, 3]
        assert client.dead_letters.get("JOBS.ledger.1").body == '{"not": json'
        assert client.dead_letters.replay("JOBS.ledger.1").state == LetterState.REPLAYED
        with pytest.raises(Conflict):
            client.dead_letters.discard("JOBS.ledger.3")


async def test_its_asynchronous_twin_does_the_same(letters: FakeLetters) -> None:
    transport = httpx2.MockTransport(letters.answer)
    async with AsyncHostlerClient(api_url="http://api.test", api_key=KEY, transport=transport) as client:
        assert [each.sequence async for each in client.dead_letters.list(consumer="ledger")] == [1, 2, 3]
        assert (await client.dead_letters.get("JOBS.ledger.1")).body == '{"not": json'
        assert (await client.dead_letters.replay("JOBS.ledger.1")).state == LetterState.REPLAYED
        with pytest.raises(Conflict):
            await client.dead_letters.discard("JOBS.ledger.3")


class Shell:
    def __init__(self, environ: dict[str, str | None]) -> None:
        self._environ = environ

    def __call__(self, *arguments: str) -> Result:
        command = ["events", "dead-letters", *arguments]
        result = CliRunner().invoke(app, command, env=self._environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result


@pytest.fixture
def shell(letters: FakeLetters, tmp_path: Path) -> Iterator[Shell]:
    with served(letters.answer) as url:
        yield Shell({"HOSTLER_API_URL": url, "HOSTLER_API_KEY": KEY, "HOSTLER_DATA_DIR": str(tmp_path)})


def test_the_list_shows_every_letter_and_its_reason(shell: Shell) -> None:
    lines = shell("list").stdout.splitlines()
    assert lines[0].split()[:2] == ["ID", "STATE"]
    assert [line.split()[0] for line in lines[1:]] == [f"JOBS.ledger.{number}" for number in (1, 2, 3)]
    assert all("no such price" in line for line in lines[1:])


@pytest.mark.parametrize("option", [("--json",), ("-o", "json")])
def test_the_list_as_json_is_what_the_api_says(shell: Shell, option: tuple[str, ...]) -> None:
    assert [each["sequence"] for each in json.loads(shell("list", *option).stdout)] == [1, 2, 3]


def test_one_letter_is_shown_with_its_message_as_it_was_sent(shell: Shell) -> None:
    shown = shell("show", "JOBS.ledger.1").stdout
    assert shown.endswith('\n{"not": json\n')
    assert "Nats-Msg-Id: e1" in shown


def test_all_of_a_consumer_are_replayed_and_one_that_cannot_be_keeps_no_other(
    shell: Shell, letters: FakeLetters
) -> None:
    done = shell("replay", "--all", "--consumer", "ledger")
    assert done.exit_code == 5
    assert letters.replayed == ["JOBS.ledger.1", "JOBS.ledger.2"]
    assert "JOBS.ledger.2  Replayed" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("--all",), ("JOBS.ledger.1", "--all", "--consumer", "ledger"), ("--consumer", "ledger")],
)
def test_a_replay_names_one_letter_or_a_whole_consumer(
    shell: Shell, letters: FakeLetters, arguments: tuple[str, ...]
) -> None:
    assert shell("replay", *arguments).exit_code == 2
    assert letters.replayed == []


def test_a_letter_that_there_is_not_is_not_found(shell: Shell) -> None:
    assert shell("show", "JOBS.ledger.9").exit_code == 3
