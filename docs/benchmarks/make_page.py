#!/usr/bin/env python3
"""Makes README.md of this folder from the .json files beside it (rows of tests/gpu/bench_forward.py,
bench_block.py and bench_block_backward.py).

    python3 docs/benchmarks/make_page.py            write the page
    python3 docs/benchmarks/make_page.py --check    exit code 1 when the page is not what the files make
"""

import sys

from blocks import block_targets, sections
from blocks_backward import EXPLANATION, backward_sections, backward_targets
from results import FOLDER, kind, load_backward_rows, load_block_rows, load_rows
from targets import markdown, targets

PAGE = FOLDER / "README.md"

INTRODUCTION = """# Benchmarks

Made by `make_page.py` from the JSON files beside it; do not edit by hand. How rows are measured: `tests/gpu/bench_forward.py`,
of whole blocks `tests/gpu/bench_block.py` (one process, random order of the implementations in every round, the L2 evicted by reads
before every sample, random data, medians).

## Targets

Speeds of tuned kernels against a peer in the same rounds: 1 is equal, more is faster than the peer. A percentage with a sign
says how much longer one variant takes than another. Means are geometric. Big is qwen3-235b-a22b at 16384 tokens, qwen3-30b-a3b
at 8192 and 32768 and llama4-scout at 8192; the other lines are of qwen3-30b-a3b, both GEMMs each. Permuted is what the first and
the second GEMM of a block permute. Sustained is some time back to back, without rounds. Unsloth's kernel was measured apart from
these files. Op dX+dW is both gradients of down after one dispatch of dY, timed together, beside both products of the peers; where
gradients are "permuted as in a block" its ratio counts for each of the two. `targets.py --each` prints every single value.

A block's line takes the fastest of its variants: Llama4's with permute_x off or on, or with overlap_router_shared. "Torch" is the block
on `torch._grouped_mm`, router and permutation included; of transformers' experts those that are named.

{targets}

## Columns

Percentages say how fast the tuned kernel (the default one where nothing is tuned) is compared with a peer: 100% is equal, more is
faster than the peer.

| column | what it is |
|---|---|
| default, tuned | milliseconds of the heuristic's config, and of the database's with its 95% confidence interval |
| of dense | against one cuBLAS product of as many rows with one weight |
| of torch | against `torch._grouped_mm` on rows in expert order |
| of torch+perm | against the same with the permutation done by torch |
| of stream | against a plain streaming read of the bytes that must move, dealt out to the SMs in turn |
| of plain | with fusions: against the library's GEMM without them (the peers in the other columns do not fuse either) |
| of uniform | against the same kernel under uniform routing |
| sustained | milliseconds back to back for some time; then against dense and torch+perm, measured the same way |
| error | worst row of the tuned kernel, relative to float32 |
| evicted MiB | read before every sample to evict the L2 (50 MiB on an H200): few, so that the card stays as warm as in use; many where dense takes less than 0.2 ms, so that the host stays ahead. Where there is no figure it was 512 |
| config | of the tuned kernel |

Of whole blocks: milliseconds of the block with its 95% confidence interval, those of peers in the same rounds and how many times longer
they take, and the share of a forward that each of its parts takes (measured eagerly, in rounds of their own). Up to 64 tokens all are
replays of CUDA graphs, but for what waits for the device and cannot be captured.
"""


def percent(peer_ms, ms):
    return f"{peer_ms / ms * 100:.0f}%" if peer_ms else "-"


def call_key(row):
    return (row["gemm"] != "gate_up", row["gemm"], row["tokens"], not row["permuted"], ",".join(row["fusions"]))


def cells(default, best):
    """{column: text} of one call; default may be None."""
    low, high = best.get("ms_ci95", [best["ms"], best["ms"]])
    sustained = best.get("sustained_ms")
    return {
        "GEMM": best["gemm"],
        "T": str(best["tokens"]),
        "rows": " + ".join(["permuted" if best["permuted"] else "sorted", *best["fusions"]]),
        "default ms": f"{default['ms']:.4f}" if default else "-",
        "tuned ms": f"{best['ms']:.4f} ({low:.4f}-{high:.4f})" if best["tuned"] else "-",
        "of dense": percent(best.get("dense_ms"), best["ms"]),
        "of torch": percent(best.get("torch_ms"), best["ms"]),
        "of torch+perm": percent(best.get("torch_perm_ms"), best["ms"]),
        "of stream": percent(best.get("stream_ms"), best["ms"]),
        "of plain": percent(best.get("plain_ms"), best["ms"]),
        "of uniform": percent(best.get("uniform_ms"), best["ms"]),
        "sustained ms": f"{sustained:.4f}" if sustained else "-",
        "sustained of dense": percent(best.get("dense_sustained_ms"), sustained) if sustained else "-",
        "sustained of torch+perm": percent(best.get("torch_perm_sustained_ms"), sustained) if sustained else "-",
        "error": f"{best['max_rel_err']:.4f}" if best.get("max_rel_err") is not None else "-",
        "evicted MiB": str(best.get("evict_mib", "-")),
        "config": best["config"].split(" ")[0] if best.get("config") else "-",
    }


def table(rows):
    """One line a call; columns of which no call has anything are left out, and configs by hand."""
    calls = {}
    for row in rows:
        calls.setdefault(call_key(row), {})[kind(row)] = row
    lines = []
    for key in sorted(calls):
        default = calls[key].get("default")
        best = calls[key].get("tuned", default)
        if best:
            lines.append(cells(default, best))
    columns = [name for name in (lines[0] if lines else ()) if any(line[name] != "-" for line in lines)]
    parts = [columns, ["---"] * len(columns), *([line[name] for name in columns] for line in lines)]
    return "\n".join(f"| {' | '.join(part)} |" for part in parts)


def make_page():
    all_rows, block_rows, backward_rows = load_rows(), load_block_rows(), load_backward_rows()
    calls = {}
    for row in all_rows:
        key = (row["file"], row["model"], row["op"], row["dtype"], row["routing"], row.get("device", "unknown device"))
        calls.setdefault(key, []).append(row)
    all_targets = targets(all_rows) + block_targets(block_rows) + backward_targets(backward_rows)
    parts = [INTRODUCTION.replace("{targets}", markdown(all_targets))]
    if backward_rows:
        parts[0] += EXPLANATION
    for (file, model, op, dtype, routing, device), rows in calls.items():
        first = rows[0]
        parts.append(
            f"## {file.removesuffix('.json')}: {model}, {op}, {dtype}, {routing} routing\n\n{device}, driver {first.get('driver', 'unknown')}, "
            f"{first.get('date', 'no date')}; `{file}`, made by\n`{first.get('command', 'unknown')}`\n\n{table(rows)}\n"
        )
    return "\n".join([*parts, *sections(block_rows), *backward_sections(backward_rows)])


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
