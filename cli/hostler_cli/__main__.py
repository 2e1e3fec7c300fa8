"""The entry point of `hostler` and of `python -m hostler_cli`."""

from hostler_cli.app import app


def main() -> None:
    """Run the command line that the process was started with."""
    app(prog_name="hostler")


if __name__ == "__main__":
    main()
