"""The rows of tests/gpu/bench_forward.py that the .json files of this folder hold."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
REQUIRED = {"model", "tokens", "gemm", "op", "permuted", "tuned", "fusions", "dtype", "routing", "ms"}


def load_rows(paths=None):
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
            missing = REQUIRED - row.keys()
            if missing:
                raise SystemExit(f"{path}: row {number} lacks {', '.join(sorted(missing))}")
        rows += [{**row, "file": path.name} for row in content]
    return rows


def kind(row):
    """default, tuned, or by hand."""
    return "by hand" if row.get("by_hand") else "tuned" if row["tuned"] else "default"
