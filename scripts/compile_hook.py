"""Compiles modules while a wheel is built: hatchling loads this where HATCH_BUILD_HOOK_ENABLE_CUSTOM is `true`.

Which modules is in pyproject.toml. mypyc checks their types, writes C, and setuptools has it compiled; the wheel carries what came of it
beside the sources, which stay for tracebacks and for those who read them.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

_COMPILE_ARGS: Final = (
    "-fvisibility=hidden",  # a call from one module into another needs no detour then
    "-ffunction-sections",  # so that what nothing calls is left out
    "-fdata-sections",
    "-fno-asynchronous-unwind-tables",  # for debuggers and profilers, and held in memory by every worker
)


class CompiledModules(BuildHookInterface[Any]):
    """The hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel carry the results; an editable install gets none, because it would go on with them after an edit."""
        if version == "editable":
            return
        work = Path(self.root) / "build" / "mypyc"
        shutil.rmtree(work, ignore_errors=True)
        extensions = mypycify(
            self.config["modules"],
            opt_level="3",
            debug_level="0",
            multi_file=True,
            target_dir=str(work / "c"),
        )
        for extension in extensions:
            extension.extra_compile_args += _COMPILE_ARGS
            extension.extra_link_args += [] if sys.platform == "darwin" else ["-Wl,--gc-sections"]
        command = build_ext(Distribution({"name": "hostler", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
        command.parallel = os.cpu_count() or 1
        command.ensure_finalized()
        command.run()
        for path in sorted((work / "lib").rglob("*.so")):
            build_data["force_include"][str(path)] = str(path.relative_to(work / "lib"))
        build_data["infer_tag"], build_data["pure_python"] = True, False
