"""The command line's configuration: named installations (contexts), and which of them is in use.

`context` reads it, `contexts` changes it. One file, `hostler/config.toml` under XDG_CONFIG_HOME (`~/.config` by default), for its owner's
eyes alone, because a context may hold a key. It is written whole and put in place at once, so comments in it do not survive a change.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_FIELDS = ("api_url", "router_url", "api_key_file", "api_key")


@dataclass(frozen=True, slots=True)
class Context:
    """One installation as one person reaches it; what is empty was not said. The key is here or in a file."""

    name: str
    api_url: str = ""
    router_url: str = ""
    api_key_file: str = ""
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    contexts: Mapping[str, Context] = field(default_factory=lambda: MappingProxyType({}))
    current: str = ""

    def named(self, name: str) -> Context:
        """The context of that name.

        Raises:
            CliError: there is none.
        """
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise CliError(
                f"there is no context {name!r}; there are: {known}",
                code=ExitCode.NOT_FOUND,
                hint="`hostler context set NAME --api-url URL` makes one",
            )
        return self.contexts[name]

    def with_context(self, context: Context) -> "Config":
        """With a context added or replaced."""
        return Config({**self.contexts, context.name: context}, self.current)

    def without(self, name: str) -> "Config":
        """Without a context; if it was in use, none is."""
        rest = {each: context for each, context in self.contexts.items() if each != name}
        return Config(rest, "" if self.current == name else self.current)


def checked_name(name: str) -> str:
    """`name`, where a context can have it.

    Raises:
        CliError: it can't.
    """
    if not _NAME.fullmatch(name):
        raise CliError(
            f"a context can't be called {name!r}: letters, digits, - and _, 63 at most", code=ExitCode.USAGE
        )
    return name


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file is. A folder that is not absolute does not count, as the XDG specification wants it."""
    folder = Path(environ.get("XDG_CONFIG_HOME") or "")
    if not folder.is_absolute():
        folder = Path.home() / ".config"
    return folder / "hostler" / "config.toml"


def load(path: Path) -> Config:
    """The configuration in a file; an empty one where there is no file.

    Raises:
        CliError: it can't be read, or others can read the key in it.
    """
    try:
        text, mode = path.read_text(encoding="utf-8"), path.stat().st_mode
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} can't be read: {error}", code=ExitCode.USAGE) from None
    config = parse(text, str(path))
    if mode & 0o077 and any(each.api_key for each in config.contexts.values()):
        raise CliError(
            f"{path} holds a key and others may open it", code=ExitCode.USAGE, hint=f"`chmod 600 {path}`"
        )
    return config


def save(path: Path, config: Config) -> None:
    """Put the configuration in a file that nobody else can read.

    Raises:
        CliError: it can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file is made with 0600, and takes that with it.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(render(config))
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CliError(f"{path} can't be written: {error}") from None


def parse(text: str, named_by: str) -> Config:
    """The configuration that a text describes. Pure.

    Raises:
        CliError: it is no configuration; `named_by` says where it came from.
    """
    import tomllib  # where a file is there to be read

    def refused(why: str) -> CliError:
        return CliError(f"{named_by} is no configuration of Hostler: {why}", code=ExitCode.USAGE)

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refused(str(error)) from None
    tables, current = document.pop("contexts", {}), document.pop("current", "")
    if document:
        raise refused(f"it has no {min(document)}")
    if not isinstance(tables, dict) or not isinstance(current, str):
        raise refused("contexts are tables, and current is the name of one")
    contexts: dict[str, Context] = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name) or not isinstance(table, dict):
            raise refused(f"contexts.{name} is no context")
        wrong = [key for key, value in table.items() if key not in _FIELDS or not isinstance(value, str)]
        if wrong:
            raise refused(f"contexts.{name} has texts alone, {', '.join(_FIELDS)}: not {wrong[0]}")
        contexts[name] = Context(name, **table)
    if current and current not in contexts:
        raise refused(f"there is no context {current!r} that could be in use")
    return Config(contexts, current)


def render(config: Config) -> str:
    """The configuration as TOML. Pure; `parse` gives it back."""
    lines = [f"current = {_quoted(config.current)}"] if config.current else []
    for name, context in sorted(config.contexts.items()):
        lines += ["", f"[contexts.{name}]"]
        lines += [f"{each} = {_quoted(value)}" for each in _FIELDS if (value := getattr(context, each))]
    return "\n".join(lines).lstrip("\n") + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML: what JSON escapes is escaped alike there, and DEL besides."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
