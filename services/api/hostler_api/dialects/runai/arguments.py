"""`args` and `environmentVariables` of a workload, and the model that hides in them, both ways.

Run:ai knows images, commands and arguments and no models. So the model is looked for where people write it: `--model M`, `serve M`,
else a label, else the environment.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from hostler_api.dialects.runai.bodies import EnvironmentVariableBody, NameValueBody
from hostler_domain.errors import FieldError

MODEL_LABEL = "hostler.dev/model"
RUNTIME_LABEL = "hostler.dev/runtime"
MODEL_VARIABLES = ("RUNAI_MODEL", "MODEL")
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Their values are sealed and never shown again."""

_OPTION = re.compile(r"--([A-Za-z][A-Za-z0-9_.-]*)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a line of arguments says.

    Attributes:
        model: The model that it names.
        options: Every other option with its value, "" for a switch without one.
        errors: What could not be understood.
    """

    model: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[FieldError, ...] = ()


def parsed_args(line: str | None, spellings: Mapping[str, object]) -> Arguments:
    """The options in a line of arguments.

    Args:
        line: As a shell would take it.
        spellings: Names of options that are known, so that `--max-model-len` finds `max_model_len`.
    """
    if line is None:
        return Arguments()
    try:
        words = shlex.split(line)
    except ValueError as error:
        return Arguments(errors=(FieldError("args", f"can't be split into words: {error}"),))
    model: str | None = None
    options: dict[str, str] = {}
    errors: list[FieldError] = []
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else None
        at += 1
        found = _OPTION.fullmatch(word)
        if found is None:
            if word == "serve" and model is None and following and not following.startswith("-"):
                model, at = following, at + 1
            else:
                errors.append(FieldError("args", f"{word[:80]!r} is not an option; write --name value"))
            continue
        name, value = found.group(1), found.group(2)
        # A negative number is a value, everything else with a dash is the next option.
        if value is None and following is not None and not re.match(r"-(?![0-9.])", following):
            value, at = following, at + 1
        if name == "model" and value:
            model = value
            continue
        name = _spelling(name, spellings)
        if name in options:
            errors.append(FieldError("args", f"--{name} is given twice"))
        options[name] = value or ""
    return Arguments(model, options, tuple(errors))


def args_line(model: str, options: Mapping[str, str]) -> str:
    """The line that says the same, the model first."""
    words = ["--model", model]
    for name, value in options.items():
        words += (
            [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", *([value] if value else [])]
        )
    return shlex.join(words)


def environment(
    variables: tuple[EnvironmentVariableBody | None, ...] | None, errors: list[FieldError]
) -> dict[str, str]:
    """Variables by name; what is excluded or read from elsewhere is left out, mistakes go to `errors`."""
    found: dict[str, str] = {}
    for number, variable in enumerate(variables or ()):
        if variable is None or variable.exclude:
            continue
        field_name = f"environmentVariables.{number}"
        if variable.name is None:
            errors.append(FieldError(f"{field_name}.name", "is needed"))
            continue
        if variable.name in found:
            errors.append(FieldError(f"{field_name}.name", f"{variable.name} is given twice"))
        sources = (variable.secret, variable.config_map, variable.pod_field_ref, variable.user_credential)
        if variable.value is None and all(source is None for source in sources):
            errors.append(FieldError(f"{field_name}.value", "is needed"))
        found[variable.name] = variable.value or ""
    return found


def name_values(
    items: tuple[NameValueBody | None, ...] | None, field_name: str, errors: list[FieldError]
) -> dict[str, str]:
    """Labels or annotations by name; what is excluded is left out, mistakes go to `errors`."""
    found: dict[str, str] = {}
    for number, item in enumerate(items or ()):
        if item is None or item.exclude:
            continue
        if item.name is None:
            errors.append(FieldError(f"{field_name}.{number}.name", "is needed"))
        elif item.name in found:
            errors.append(FieldError(f"{field_name}.{number}.name", f"{item.name[:63]!r} is given twice"))
        else:
            found[item.name] = item.value or ""
    return found


def model_of(
    arguments: Arguments, labels: Mapping[str, str], variables: Mapping[str, str]
) -> tuple[str | None, str]:
    """The model that a request means, and the field that says so."""
    if arguments.model:
        return arguments.model, "args"
    if labels.get(MODEL_LABEL):
        return labels[MODEL_LABEL], "labels"
    for name in MODEL_VARIABLES:
        if variables.get(name):
            return variables[name], "environmentVariables"
    return None, "args"


def _spelling(name: str, known: Mapping[str, object]) -> str:
    for candidate in (name, name.replace("-", "_"), name.replace("_", "-")):
        if candidate in known:
            return candidate
    return name
