"""The key for each replica: derived for those that Hostler runs, looked up for servers that it only adopts.

The key of adopted servers belongs to their job and is sent to them alone. It is fetched when it is first needed and kept while
the job lives, so that it is there when the log is not. Called by every attempt.
"""

from typing import Final

from hostler_bus.port import Bucket
from hostler_domain.errors import HostlerError, PermanentError, TemporaryError
from hostler_kit.secret_key import SecretKey
from hostler_router.table import Endpoint

_DERIVED_MAX: Final = 10_000


class KeyUnavailable(HostlerError):
    """The key of a job's servers can't be had."""


class ReplicaKeys:
    """Keys by replica."""

    def __init__(self, secret_key: SecretKey, secrets: Bucket) -> None:
        self._secret_key = secret_key
        self._secrets = secrets
        self._derived: dict[str, str] = {}
        self._upstream: dict[str, str] = {}

    def known(self, endpoint: Endpoint) -> str | None:
        """The key that this replica asks for; None where it asks for none.

        Raises:
            KeyError: it has to be fetched first.
        """
        if endpoint.upstream is not None:
            name = endpoint.upstream.key_secret
            return None if name is None else self._upstream[name]
        key = self._derived.get(endpoint.replica_id)
        if key is None:
            if len(self._derived) >= _DERIVED_MAX:
                self._derived.clear()
            key = self._derived[endpoint.replica_id] = self._secret_key.replica_key(endpoint.replica_id)
        return key

    async def fetch(self, endpoint: Endpoint) -> None:
        """Have the key at hand from now on.

        Raises:
            KeyUnavailable: it can't be had.
        """
        if endpoint.upstream is None or endpoint.upstream.key_secret is None:
            return
        name = endpoint.upstream.key_secret
        if name not in self._upstream:
            self._upstream[name] = await self._fetch(name)

    def forget(self, name: str | None) -> None:
        """The job of this secret is gone."""
        if name is not None:
            self._upstream.pop(name, None)

    async def _fetch(self, name: str) -> str:
        try:
            sealed = await self._secrets.get(name)
            if sealed is None:
                raise KeyUnavailable("the key of the job's servers is not stored any more")
            return self._secret_key.open(name, sealed.value)
        except (PermanentError, TemporaryError) as error:
            raise KeyUnavailable(str(error)) from error
