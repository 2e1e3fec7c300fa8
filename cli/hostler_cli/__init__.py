"""The `hostler` command: deploy models and talk to them, and run the whole stack on one machine.

Commands put data on stdout and talk on stderr, and end with one of the codes in `exit_codes`. This package file imports
nothing, because the supervisor behind `hostler up` starts through it and start-up time counts.
"""
