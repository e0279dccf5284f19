#!/usr/bin/env python3
"""Compares the rows of benchmarks with what the grouped GEMM, its gradients and the blocks are to reach.

    python3 docs/benchmarks/targets.py                  the .json files of this folder
    python3 docs/benchmarks/targets.py FILE...          these
    python3 docs/benchmarks/targets.py --each           every ratio of every target too
    python3 docs/benchmarks/targets.py --by-hand        where a config by hand is the fastest, it counts as the tuned one

Exit code 0 when all are reached, else 1.
"""

import argparse
import sys

from blocks import block_targets
from blocks_backward import backward_targets
from results import FOLDER, kind, load_backward_rows, load_block_rows, load_rows
from target import HEADER, Target, overhead, share, times

sys.path.append(str(FOLDER.parents[1] / "tests" / "gpu"))
from row_tolerance import row_tolerance

GEMMS = ("gate_up", "down")
BIG = (("qwen3-235b-a22b", 16384), ("qwen3-30b-a3b", 8192), ("qwen3-30b-a3b", 32768), ("llama4-scout", 8192))
QWEN = "qwen3-30b-a3b"
# Unsloth's Triton kernel, autotuned, at one token of qwen3-30b-a3b: milliseconds on an H200, measured apart from these files.
UNSLOTH_MS = {"gate_up": 0.057, "down": 0.079}
# How fast its dW is beside dense, in one process on an H200, measured apart too; permutation included.
UNSLOTH_DW = {
    (QWEN, 8192): {"gate_up": 0.542 / 2.856, "down": 0.315 / 1.669},
    ("qwen3-235b-a22b", 16384): {"gate_up": 5.00 / 15.9, "down": 2.49 / 9.21},
    ("llama4-scout", 8192): {"gate_up": 1.79 / 6.87, "down": 0.976 / 4.03},
}
GRADIENTS = ("dX", "dW")


class Rows:
    """The rows that count: of each call those of its newest run."""

    def __init__(self, rows, by_hand):
        self._calls = {}  # call: {kind: row}
        dates = {}
        for row in sorted(rows, key=lambda row: row.get("date", "")):
            wrong = not (row.get("max_rel_err") or 0) <= row_tolerance(row["dtype"])
            if row["dtype"] != "bf16" or wrong or (kind(row) == "by hand" and not by_hand):
                continue
            key = self._key(**row)
            if row.get("date") != dates.get(key):
                self._calls[key] = {}
            dates[key] = row.get("date")
            before = self._calls[key].get(kind(row))
            if before is None or row["ms"] < before["ms"]:  # of several by hand the fastest
                self._calls[key][kind(row)] = row

    @staticmethod
    def _key(model, tokens, gemm, op="forward", permuted=True, fusions=(), routing="uniform", **_):
        return model, tokens, gemm, op, permuted, tuple(fusions), routing

    def find(self, **call):
        """The row of the call that a target looks at, or None: the tuned one, where there is none the default."""
        kinds = self._calls.get(self._key(**call), {})
        best = kinds.get("tuned", kinds.get("default"))
        by_hand = kinds.get("by hand")
        return by_hand if by_hand and (best is None or by_hand["ms"] < best["ms"]) else best

    def pairs(self, ops):
        """(default, tuned) of every plain call of these ops that has both."""
        for (_, _, _, op, _, fusions, routing), kinds in self._calls.items():
            if op in ops and not fusions and routing == "uniform" and {"default", "tuned"} <= kinds.keys():
                yield kinds["default"], kinds["tuned"]

    def tuned(self):
        return [kinds["tuned"] for kinds in self._calls.values() if "tuned" in kinds]


def name_of(row):
    op = row.get("op", "forward")
    return f"{row['model']} {'' if op == 'forward' else op + ' '}{row['gemm']} T={row['tokens']}"


def against(rows, calls, peer, what, own="ms", **target):
    """The target of these calls' speed against a peer's time."""
    ratios = {}
    untuned = 0
    for call in calls:
        row = rows.find(**call)
        complete = row is not None and bool(row.get(own)) and bool(row.get(peer))
        ratios[name_of(call)] = row[peer] / row[own] if complete else None
        untuned += complete and kind(row) == "default"
    return Target(what, ratios, untuned=untuned, **target)


def calls(shapes, gemms=GEMMS, **common):
    return [{"model": model, "tokens": tokens, "gemm": gemm, **common} for model, tokens in shapes for gemm in gemms]


def ahead_at_one_token(rows):
    """T=1 against torch, permuting or not, and Unsloth."""
    ratios = {}
    for call in calls([(QWEN, 1)]):
        row = rows.find(**call)
        for name, peer in (("torch", row and row.get("torch_ms")), ("torch+perm", row and row.get("torch_perm_ms"))):
            ratios[f"{name_of(call)}, {name}"] = peer / row["ms"] if peer else None
        ratios[f"{name_of(call)}, Unsloth"] = UNSLOTH_MS[call["gemm"]] / row["ms"] if row else None
    return Target("T=1 against torch and Unsloth", ratios, show=times, least=1.0)


def heuristic(rows, what, ops):
    """Every plain call of the ops that has a default and a tuned row; before any has, one that is missing."""
    ratios = {f"{name_of(d)} {'permuted' if d['permuted'] else 'sorted'}": t["ms"] / d["ms"] for d, t in rows.pairs(ops)}
    return Target(what, ratios or {"any": None}, show=overhead, mean=1 / 1.08, goal_mean=1 / 1.04)


def gradients(shapes, **common):
    shapes = list(shapes)
    return [call for op in GRADIENTS for call in calls(shapes, op=op, **common)]


def as_in_a_block(rows, peer, what, own="ms", **target):
    """Gradients of big shapes, permuted: of down, both with one dispatch of dY, which counts for each."""
    ratios = {}
    for call in gradients(BIG):
        row = rows.find(**(call if call["gemm"] == "gate_up" else {**call, "op": "dX+dW"}))
        ratios[name_of(call)] = row[peer] / row[own] if row and row.get(peer) and row.get(own) else None
    return Target(what, ratios, **target)


def against_unsloth(rows):
    """dW, permuted: its share of dense over that of Unsloth's kernel."""
    ratios = {}
    for shape, shares in UNSLOTH_DW.items():
        for call in calls([shape], op="dW"):
            row = rows.find(**call)
            ratios[name_of(call)] = row["dense_ms"] / row["ms"] / shares[call["gemm"]] if row else None
    return Target("dW, permuted, of dense, against the same of Unsloth", ratios, show=times, mean=4.0, goal_mean=4.4)


def reruns(rows):
    """Of every tuned row that was run again at least 100 times: the share of reruns that had a first one's bits."""
    ratios = {}
    for row in rows.tuned():
        if (row.get("reruns") or 0) >= 100:
            name = " ".join([name_of(row), "permuted" if row["permuted"] else "sorted", *row["fusions"], row["routing"]])
            # A share of 0 has no geometric mean.
            ratios[name] = max(row["identical_reruns"], 1e-9) / row["reruns"]
    return Target("100 reruns bitwise identical", ratios or {"any": None}, show=share, least=1.0)


def targets(all_rows, by_hand=False):
    rows = Rows(all_rows, by_hand)
    sorted_big, permuted_big = calls(BIG, permuted=False), calls(BIG)
    small = calls((QWEN, tokens) for tokens in (16, 64, 256))
    middle = calls((QWEN, tokens) for tokens in (512, 2048, 4096))
    swiglu = [calls(BIG, ["gate_up"], permuted=permuted, fusions=["swiglu"]) for permuted in (True, False)]
    keep = calls(BIG, ["gate_up"], fusions=["swiglu", "keep_pre_activation"])
    dense, torch_perm, stream, plain = "dense_ms", "torch_perm_ms", "stream_ms", "plain_ms"
    swiglu_limits = {"show": overhead, "least": 1 / 1.05, "goal_least": 1 / 1.02}
    sustained = {"own": "sustained_ms"}
    return [
        against(rows, sorted_big, dense, "Big, rows in expert order, of dense", mean=1.0, least=0.93, goal_mean=1.03),
        against(rows, permuted_big, dense, "Big, permuted, of dense", mean=0.95, least=0.87, goal_mean=1.0),
        against(
            rows, permuted_big, torch_perm, "Big, permuted, against torch+perm", show=times, mean=1.4, least=1.15, goal_mean=1.6
        ),
        against(rows, middle, torch_perm, "T=512, 2048, 4096 against torch+perm", show=times, least=1.3, goal_least=1.5),
        against(rows, small, stream, "T=16, 64, 256 of a streaming read", least=0.95, goal_least=0.99),
        against(rows, calls([(QWEN, 1024)]), stream, "T=1024 of a streaming read", least=0.87, goal_least=0.95),
        against(rows, calls([(QWEN, 1)]), stream, "T=1 of a streaming read", least=0.90, goal_least=0.97),
        ahead_at_one_token(rows),
        against(
            rows,
            calls([(QWEN, 8192)], routing="zipf:1.0"),
            "uniform_ms",
            "Zipf(1.0) routing, T=8192, of uniform",
            least=0.90,
            goal_least=0.97,
        ),
        against(rows, swiglu[0], plain, "SwiGLU fused, permuted, over forward alone", **swiglu_limits),
        against(rows, swiglu[1], plain, "SwiGLU fused, in expert order, over forward alone", **swiglu_limits),
        heuristic(rows, "Heuristic default against tuned, forward", ("forward",)),
        against(
            rows,
            gradients(BIG, permuted=False),
            dense,
            "dX and dW, big, rows in expert order, of dense",
            mean=1.0,
            least=0.93,
            goal_mean=1.05,
        ),
        as_in_a_block(rows, dense, "dX and dW, big, permuted as in a block, of dense", mean=0.95, least=0.86, goal_mean=1.0),
        against(
            rows,
            gradients(BIG),
            torch_perm,
            "dX and dW, big, each permuted, against torch+perm",
            show=times,
            mean=1.4,
            least=1.15,
            goal_mean=1.6,
        ),
        against_unsloth(rows),
        against(
            rows,
            gradients((QWEN, tokens) for tokens in (1024, 4096)),
            torch_perm,
            "dX and dW, T=1024, 4096 against torch+perm",
            show=times,
            least=1.3,
            goal_least=1.6,
        ),
        heuristic(rows, "Heuristic default against tuned, dX and dW", GRADIENTS),
        reruns(rows),
        # What is no target, but belongs beside them.
        against(rows, keep, plain, "SwiGLU fused, pre-activation kept, permuted", show=overhead),
        against(rows, sorted_big, "dense_sustained_ms", "Big, rows in expert order, of dense, sustained", **sustained),
        against(rows, permuted_big, "dense_sustained_ms", "Big, permuted, of dense, sustained", **sustained),
        against(
            rows, permuted_big, "torch_perm_sustained_ms", "Big, permuted, against torch+perm, sustained", show=times, **sustained
        ),
        against(rows, gradients(BIG), dense, "dX and dW, big, each permuted, of dense"),
        against(
            rows,
            gradients(BIG, permuted=False),
            "dense_sustained_ms",
            "dX and dW, big, rows in expert order, of dense, sustained",
            **sustained,
        ),
        as_in_a_block(rows, "dense_sustained_ms", "dX and dW, big, permuted as in a block, of dense, sustained", **sustained),
    ]


def markdown(all_targets):
    lines = [HEADER, ["---"] * len(HEADER), *(target.cells() for target in all_targets)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def print_short(all_targets, each):
    lines = [HEADER, *(target.cells() for target in all_targets)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    for number, line in enumerate(lines):
        print("  ".join(cell.replace("**", "").ljust(width) for cell, width in zip(line, widths)).rstrip())
        if each and number > 0:
            target = all_targets[number - 1]
            for name, ratio in target.ratios.items():
                print(f"    {target.show(ratio) if ratio is not None else 'not measured':>12}  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--each", action="store_true", help="print every ratio")
    parser.add_argument("--by-hand", action="store_true", help="let configs by hand count")
    arguments = parser.parse_args()
    files = arguments.files or None
    all_targets = targets(load_rows(files), arguments.by_hand)
    all_targets += block_targets(load_block_rows(files)) + backward_targets(load_backward_rows(files))
    print_short(all_targets, arguments.each)
    return 0 if all(target.done for target in all_targets) else 1


if __name__ == "__main__":
    sys.exit(main())
