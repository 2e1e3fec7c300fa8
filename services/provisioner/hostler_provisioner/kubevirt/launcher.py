"""The two constant texts that start a server in a guest: a systemd unit, and a launcher in Python's standard library.

The launcher reads its one file as a systemd credential, so that the file stays root's and the server runs as somebody else. It becomes
the server by `exec`: no shell sees an argument, and SIGTERM goes to the server itself.
"""

UNIT_NAME = "hostler-runtime.service"

# Only numbers and paths of ours are put in; whatever a job's owner wrote is in the launch file.
UNIT = """\
[Unit]
Description=Hostler inference server
Wants=network-online.target
After=network-online.target cloud-config.service
RequiresMountsFor={cache}
StartLimitIntervalSec=0

[Service]
User={user}
StateDirectory=hostler
SyslogIdentifier=hostler-{log_name}
LoadCredential=launch.json:{launch}
ExecStart=/usr/bin/python3 -I {launcher}
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec={stop_seconds}
StandardOutput=journal+console
StandardError=journal+console
LimitNOFILE=1048576
LimitMEMLOCK=infinity
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelModules=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""

LAUNCHER = '''\
"""Becomes the server that the launch file describes; whatever is in it stays data."""

import json
import os
import sys

BASE = {"PATH": "/opt/hostler/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/var/lib/hostler", "LANG": "C.UTF-8"}


def main():
    folder = os.environ["CREDENTIALS_DIRECTORY"]
    with open(os.path.join(folder, "launch.json"), encoding="utf-8") as file:
        launch = json.load(file)
    argv, env = launch["argv"], {**BASE, **launch["env"]}
    print("hostler: starting", os.path.basename(argv[0]), flush=True)
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        sys.exit(f"hostler: {argv[0]} can't be started: {error.strerror}")


if __name__ == "__main__":
    main()
'''
