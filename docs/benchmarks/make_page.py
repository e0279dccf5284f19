#!/usr/bin/env python3
"""Makes README.md of this folder from the .json files beside it (rows of tests/gpu/bench_forward.py).

    python3 docs/benchmarks/make_page.py            write the page
    python3 docs/benchmarks/make_page.py --check    exit code 1 when the page is not what the files make
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
PAGE = FOLDER / "README.md"

INTRODUCTION = """# Benchmarks

Made by `make_page.py` from the JSON files beside it; do not edit by hand. How rows are measured: `tests/gpu/bench_forward.py`
(one process, random order of the implementations in every round, the L2 evicted by reads before every sample, random data,
medians). Percentages say how fast the tuned kernel (the default one where nothing is tuned: rows that are sorted already are another
workload than the blocks') is compared with a peer: 100% is equal, more is faster than the peer.

| column | what it is |
|---|---|
| default, tuned | milliseconds of the heuristic's config, and of the database's with its 95% confidence interval |
| of dense | against one cuBLAS product of as many rows with one weight |
| of torch | against `torch._grouped_mm` on rows in expert order |
| of torch+perm | against the same with the permutation done by torch |
| of stream | against a plain streaming read of the bytes that must move: the floor of few tokens |
| error | worst row of the tuned kernel, relative to float32 |
"""


def load_rows():
    rows = []
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, list):
            raise SystemExit(f"{path}: a list of rows was expected")
        for number, row in enumerate(content):
            missing = {"model", "tokens", "gemm", "op", "permuted", "tuned", "fusions", "dtype", "routing", "ms"} - row.keys()
            if missing:
                raise SystemExit(f"{path}: row {number} lacks {', '.join(sorted(missing))}")
        rows += [{**row, "file": path.name} for row in content]
    return rows


def percent(peer_ms, ms):
    return f"{peer_ms / ms * 100:.0f}%" if peer_ms else "-"


def call_key(row):
    return (row["gemm"] != "gate_up", row["gemm"], row["tokens"], not row["permuted"], ",".join(row["fusions"]))


def table(rows):
    lines = [
        "| GEMM | T | rows | default ms | tuned ms | of dense | of torch | of torch+perm | of stream | error |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    calls = {}
    for row in rows:
        calls.setdefault(call_key(row), {})[row["tuned"]] = row
    for key in sorted(calls):
        default, best = calls[key].get(False), calls[key].get(True, calls[key].get(False))
        order = "permuted" if best["permuted"] else "sorted"
        low, high = best.get("ms_ci95", [best["ms"], best["ms"]])
        cells = [
            best["gemm"],
            str(best["tokens"]),
            " + ".join([order, *best["fusions"]]),
            f"{default['ms']:.4f}" if default else "-",
            f"{best['ms']:.4f} ({low:.4f}-{high:.4f})" if best["tuned"] else "-",
            *(percent(best.get(peer), best["ms"]) for peer in ("dense_ms", "torch_ms", "torch_perm_ms", "stream_ms")),
            f"{best['max_rel_err']:.4f}" if best.get("max_rel_err") is not None else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def make_page():
    sections = {}
    for row in load_rows():
        key = (row["file"], row["model"], row["op"], row["dtype"], row["routing"], row.get("device", "unknown device"))
        sections.setdefault(key, []).append(row)
    parts = [INTRODUCTION]
    for (file, model, op, dtype, routing, device), rows in sections.items():
        first = rows[0]
        parts.append(
            f"## {model}, {op}, {dtype}, {routing} routing\n\n{device}, driver {first.get('driver', 'unknown')}, "
            f"{first.get('date', 'no date')}; `{file}`, made by\n`{first.get('command', 'unknown')}`\n\n{table(rows)}\n"
        )
    return "\n".join(parts)


def main():
    page = make_page()
    if sys.argv[1:] == ["--check"]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        print(f"{PAGE}: {'up to date' if same else 'differs: run make_page.py'}")
        return 0 if same else 1
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
