"""The rows of tests/gpu/bench_forward.py, bench_block.py and bench_block_backward.py that the .json files of this folder hold."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
REQUIRED = {"model", "tokens", "gemm", "op", "permuted", "tuned", "fusions", "dtype", "routing", "ms"}
REQUIRED_OF_BLOCKS = {"model", "tokens", "variant", "shared_expert", "graph", "tuned", "ms", "peers_ms", "parts_share", "config"}
REQUIRED_OF_BACKWARD = REQUIRED_OF_BLOCKS | {"peak_mib", "peers_peak_mib", "activations_mib", "peers_activations_mib"}


def required(row):
    if not row.get("block"):
        return REQUIRED
    return REQUIRED_OF_BACKWARD if row.get("backward") else REQUIRED_OF_BLOCKS


def read_rows(paths):
    """All rows of the files, by default of the folder's; each with its file's name."""
    rows = []
    for path in sorted(FOLDER.glob("*.json")) if paths is None else map(pathlib.Path, paths):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SystemExit(f"{path}: {error}") from error
        if not isinstance(content, list):
            raise SystemExit(f"{path}: a list of rows was expected")
        for number, row in enumerate(content):
            missing = required(row) - row.keys()
            if missing:
                raise SystemExit(f"{path}: row {number} lacks {', '.join(sorted(missing))}")
        rows += [{**row, "file": path.name} for row in content]
    return rows


def load_rows(paths=None):
    """Those of grouped GEMMs."""
    return [row for row in read_rows(paths) if not row.get("block")]


def load_block_rows(paths=None):
    """Those of whole blocks, forward."""
    return [row for row in read_rows(paths) if row.get("block") and not row.get("backward")]


def load_backward_rows(paths=None):
    """Those of training steps of whole blocks."""
    return [row for row in read_rows(paths) if row.get("block") and row.get("backward")]


def kind(row):
    """default, tuned, or by hand."""
    return "by hand" if row.get("by_hand") else "tuned" if row["tuned"] else "default"
