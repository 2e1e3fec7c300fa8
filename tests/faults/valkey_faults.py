"""What can befall a Valkey, and how it recovers."""

from tests.support.valkey_server import ValkeyServer


def hit(valkey: ValkeyServer, fault: str) -> None:
    match fault:
        case "killed":
            valkey.kill()
        case "frozen":
            valkey.freeze()
        case _:
            with valkey.client() as client:
                client.flushall()


def heal(valkey: ValkeyServer, fault: str) -> None:
    match fault:
        case "killed":
            valkey.start()
        case "frozen":
            valkey.thaw()
