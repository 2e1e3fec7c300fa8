"""The key for each replica: derived for those that Hostler runs, looked up for servers that it only adopts.

The key of adopted servers belongs to their job and is sent to them alone. It is fetched when it is first needed and kept while
the job lives, so that it is there when the log is not. Called by the replica client for every request.
"""

from hostler_bus.port import Bucket
from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.secret_key import SecretKey
from hostler_router.replica_client import ReplicaUnreachable
from hostler_router.table import Endpoint


class ReplicaKeys:
    """Keys by replica."""

    def __init__(self, secret_key: SecretKey, secrets: Bucket) -> None:
        self._secret_key = secret_key
        self._secrets = secrets
        self._upstream: dict[str, str] = {}

    async def of(self, endpoint: Endpoint) -> str | None:
        """The key that this replica asks for; None where it asks for none.

        Raises:
            ReplicaUnreachable: the key can't be had.
        """
        if endpoint.upstream is None:
            return self._secret_key.replica_key(endpoint.replica_id)
        name = endpoint.upstream.key_secret
        if name is None:
            return None
        known = self._upstream.get(name)
        if known is None:
            known = self._upstream[name] = await self._fetch(name)
        return known

    def forget(self, name: str | None) -> None:
        """The job of this secret is gone."""
        if name is not None:
            self._upstream.pop(name, None)

    async def _fetch(self, name: str) -> str:
        try:
            sealed = await self._secrets.get(name)
            if sealed is None:
                raise ReplicaUnreachable("the key of the job's servers is not stored any more")
            return self._secret_key.open(name, sealed.value)
        except (PermanentError, TemporaryError) as error:
            raise ReplicaUnreachable(str(error)) from error
