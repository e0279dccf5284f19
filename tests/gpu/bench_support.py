"""What the benchmarks beside this file share: how much is read before a sample, where a row comes from, the file of rows."""

import datetime
import json
import re
import shlex
import shutil
import subprocess
import sys

import torch

# What is read before a sample: twice an H200's L2 of 50 MiB, as more would be a pause after which the card runs faster than in use.
# Before short calls more, so that the host has time to enqueue what follows.
EVICT_BYTES = 128 << 20
EVICT_BYTES_SHORT = 512 << 20

# What tuning_db/lookup.cpp says of a config from a database.
TUNED_REASON = re.compile(r"(predicted|imported|tuned|manual) (for \d+ to \d+ tokens|at \d+ tokens)")


def driver_version():
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def provenance():
    """What every row says of the run."""
    return {
        "device": torch.cuda.get_device_properties(0).name,
        "driver": driver_version(),
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": shlex.join(["python3", *sys.argv]),
    }


def tuned_environment(db):
    """The environment of an instance of the library that reads this database, or the user's."""
    return {"MOE_TUNE_MODE": "read", **({"MOE_TUNE_DB": db} if db else {})}


def is_tuned(explanation):
    """Whether a config is from the database, as explain() says it: "CONFIG (REASON)"."""
    _, _, reason = explanation.partition(" (")
    if reason.startswith("default: "):
        return False
    if not TUNED_REASON.match(reason):
        raise SystemExit(f"cannot tell whether this config is tuned: {explanation}")
    return True


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
