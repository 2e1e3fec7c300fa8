"""Runs an api: `python -m hostler_api`. Several of these share one port."""

from hostler_api.app import create_app
from hostler_api.assembly import Assembly, Surroundings
from hostler_api.bootstrap import read_admin_key, write_admin_key, write_shipped_catalogue
from hostler_api.history.reader import NoHistory, StoredHistory
from hostler_api.history.recorder import HistoryRecorder
from hostler_api.history.shapes import MetricHistory
from hostler_api.history.store import SlotStore
from hostler_api.settings import ApiSettings
from hostler_bus.connection import campaign, open_bus, resync
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_kit.http import HttpServer
from hostler_kit.ops import caught_up
from hostler_kit.secret_key import require_secret_key
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_kit.valkey import open_valkey, valkey_url


def main() -> None:
    """Run until told to stop."""
    platform, settings = PlatformSettings(), ApiSettings()

    async def start(chassis: Chassis) -> None:
        secret_key = require_secret_key(platform.secret_key_file)
        bus = await open_bus(chassis, platform, declare=True)
        await write_shipped_catalogue(bus, chassis.clock.now())
        if settings.admin_key_file is not None:
            await write_admin_key(bus, read_admin_key(settings.admin_key_file), chassis.clock.now())
        assembly = Assembly(
            Surroundings(
                bus=bus,
                source=f"/hostler/api/{chassis.name}",
                secret_key=secret_key,
                clock=chassis.clock,
                logger=chassis.logger,
                stopping=chassis.stopping,
                readiness=chassis.readiness,
                events_idle_seconds=settings.events_idle_seconds,
            )
        )
        for name, work in assembly.work():
            chassis.spawn(name, work)
        chassis.on_stop("flush", assembly.flush)
        resync(
            chassis,
            bus,
            platform,
            jobs=assembly.jobs,
            letters=assembly.letters,
            **dict(assembly.catalogues.all()),
        )
        chassis.readiness.add("projections", lambda: caught_up(assembly.caught_up, "what is stored"))
        parts = assembly.parts(await _history(chassis, bus, assembly.jobs, platform, settings))

        async def listen(part: str, host: str, port: int, *, serves_admin: bool) -> None:
            app = create_app(
                parts,
                logger=chassis.logger,
                clock=chassis.clock,
                registry=chassis.registry,
                serves_admin=serves_admin,
            )
            server = HttpServer(
                app,
                host=host,
                port=port,
                share_port=True,
                drain_timeout_seconds=platform.drain_timeout_seconds,
            )
            chassis.on_stop(part, server.stop)
            await server.start()
            chassis.logger.info("api.listening", part=part, port=server.port)

        if settings.admin_host is not None:
            await listen("admin", settings.admin_host, settings.admin_port, serves_admin=True)
        await listen("api", settings.host, settings.port, serves_admin=settings.admin_host is None)

    run_service("api", platform, settings, start)


async def _history(
    chassis: Chassis, bus: Bus, jobs: JobProjection, platform: PlatformSettings, settings: ApiSettings
) -> MetricHistory:
    """Metric history, recorded by whichever api holds the lease; none where there is no Valkey."""
    url = valkey_url(platform)
    if url is None:
        return NoHistory()
    valkey = open_valkey(url)
    chassis.on_stop("valkey", valkey.close)
    store = SlotStore(valkey)
    recorder = HistoryRecorder(
        bus,
        jobs,
        store,
        await campaign(chassis, bus, "metric-history", ttl_seconds=settings.lease_seconds),
        period_seconds=settings.history_period_seconds,
        clock=chassis.clock,
        logger=chassis.logger,
        registry=chassis.registry,
    )
    chassis.spawn("history", recorder.run())
    return StoredHistory(store, chassis.clock)


if __name__ == "__main__":
    main()
