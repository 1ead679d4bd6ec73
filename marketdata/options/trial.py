"""The record of the gamma-blast figure on simulated days, as the page shows it.

Sweeps of a campus's own come slowly; this trial stands beside them. `manage.py try_blast --write`
measures it (marketdata/exchange/trial.py) and keeps it in trial.json.
"""

import json
from pathlib import Path
from typing import Any, Final

from marketdata.options import blast

RESULT: Final = Path(__file__).with_name("trial.json")


def stored() -> dict[str, Any] | None:
    """The newest trial with its `record` as blast.Record; None when there is none."""
    try:
        found: dict[str, Any] = json.loads(RESULT.read_text())
    except (OSError, ValueError):
        return None
    return {**found, "record": blast.Record(**found["record"])}
