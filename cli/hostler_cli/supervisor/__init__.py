"""The supervisor behind `hostler up`: nats-server, Valkey and the services as child processes of one program.

How it fits together:

* `options` and `layout` say what is wanted and where it lives; `specs` turns them into a table of `ProcessSpec` values;
* `stack` walks the table: `child` keeps one process running (spawn, probe, restart), `stack` orders starts and stops;
* `state_file` is what the supervisor tells the world; `up`, `down`, `status` and `doctor` read it;
* `guard` and `leftovers` end the children of a supervisor that was killed, at once or at the next start.

Nothing here imports typer, rich or an HTTP client library at module level: a stack should be up within seconds.
"""
