"""What every benchmark shares: its command line, the machine it ran on, and how it prints.

A benchmark is a module with `measure(*, quick: bool) -> dict` and a docstring that says what each
key means. Speed is stated as a ratio to a rival measured in the same run, because the machine
differs from day to day and the ratio does not.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as handle:
            names = [line.split(":", 1)[1].strip() for line in handle if "model name" in line]
        model = names[0] if names else model
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def run(
    name: str,
    measure: Callable[..., dict[str, Any]],
    *,
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Run `measure(quick=…, …own arguments)` and print its figures as a table or as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    if arguments:
        arguments(parser)
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    on = machine()
    figures = measure(**options)
    if as_json:
        json.dump({"benchmark": name, **figures, "machine": on}, sys.stdout)
        sys.stdout.write("\n")
        return
    width = max(map(len, figures))
    print(f"{name} on {on['cpu']}, {on['cores']} cores, load {on['load_before']}")
    for key, value in figures.items():
        print(f"  {key:<{width}}  {value}")
