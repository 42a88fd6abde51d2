"""The sidecar's configuration in the demo: the YAML file that a user would write for the same task.

It is written to a file and read back by ``pilotfish run --config``, so that the demo shows nothing that a
configuration cannot do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROWS_PER_CALL = 4
PANE_ROWS = 500
"""Rows counted together before they are compared with the profile: a multiple of the rows per call."""
ARL = 1_000_000
"""Images between false alarms of a version, all its features together, at least."""
PSI_FAR = 0.2
"""Population stability index from which a feature is drawn as far away."""
CANARY_PPM = 100_000
SHADOW_PPM = 1_000_000

_HEADER = """\
# Written by `pilotfish demo`. Try it by hand, while the demo's models run:
#   pilotfish check {path}
"""


def configuration(
    listen: str,
    admin: str,
    upstreams: Mapping[str, str],
    profiles: Mapping[str, Path],
    journal: Path,
    otlp: str,
) -> dict[str, Any]:
    """90 % v1, 10 % v2 by user, v3 in the shadow; profiles for the versions that answer."""
    versions = {name: {"upstream": address} for name, address in upstreams.items()}
    for name, path in profiles.items():
        versions[name]["profile"] = str(path)
    return {
        "listen": listen,
        "admin": admin,
        "versions": versions,
        "routes": [
            {
                "name": "digits",
                "match": {"method": "/inference.GRPCInferenceService/*"},
                "stable": "v1",
                "candidates": [{"version": "v2", "weight_ppm": CANARY_PPM}],
                "sticky": ["metadata:x-user-id"],
                "salt": "digits-v2",
                "shadow": {
                    "version": "v3",
                    "share_ppm": SHADOW_PPM,
                    # Another label, or a class that is more than 50 % surer or less sure, is a disagreement.
                    "tolerance": {"absolute": 0.5, "relative": 0.0},
                },
            }
        ],
        "sampling": {"share_ppm": 20_000, "errors": True},
        "monitor": {
            "pane_rows": PANE_ROWS,
            "alarm": {"detector": "edetector", "arl": ARL, "clear_after": 2},
            "tensors": {"image": {"kind": "image"}},
        },
        "journal": {"directory": str(journal), "formats": ["jsonl", "parquet"], "metadata": ["x-user-id"]},
        "telemetry": {"otlp": {"endpoint": otlp, "protocol": "grpc"}, "interval": "2s"},
    }


def write(values: Mapping[str, Any], path: Path) -> None:
    """Write it as a YAML file that says where it comes from."""
    text = yaml.safe_dump(dict(values), sort_keys=False)
    path.write_text(_HEADER.format(path=path) + text)
