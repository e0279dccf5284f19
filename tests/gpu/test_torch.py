#!/usr/bin/env python3
"""Checks the library against float32 products of torch, row by row, through the C API on torch tensors.

Needs a GPU and torch; no pytest. Every output is poisoned first, every row of every expert judged, and NaN fails.

    python3 tests/gpu/test_torch.py --library build/release/lib/libmoe_tune.so
"""

import argparse
import json
import sys
import time

import torch

from moe_layer import MODELS, Layer, make_problem, make_weight, row_tolerance, route
from moe_tune_ctypes import Library, MoeTuneError

TOKENS = (0, 1, 3, 17, 64, 129, 1024, 8192)
ROUTINGS = ("uniform", "zipf:1.0", "half_empty", "one_expert")


def problems(model, dtype):
    """Every permutation and fusion of the two GEMMs."""
    for permuted in (False, True):
        yield make_problem(model, "gate_up", dtype, permuted)
        yield make_problem(model, "down", dtype, permuted)
    yield make_problem(model, "down", dtype, True, fuse_mul_post=True)


def check(library, problem, tokens, routing, weight, index_dtype):
    """Runs one call; returns (worst error of a row, complaint or None)."""
    layer = Layer(problem, tokens, routing, weight, index_dtype, seed=tokens + 1)
    layer.poison()
    library.call(layer).run()
    torch.cuda.synchronize()
    status = library.status()
    if status != 0:
        return float("inf"), f"device status {status}"
    if not layer.guard_intact():
        return float("inf"), "wrote past the end of y"
    errors = layer.max_error_per_expert()
    tolerance = row_tolerance(problem.dtype)
    bad = {expert: error for expert, error in errors.items() if not error <= tolerance}
    worst = max(errors.values(), default=0.0)
    if bad:
        return worst, f"{len(bad)} of {len(errors)} experts wrong, first {min(bad)} with a row error of {bad[min(bad)]:.3g}"
    return worst, None


def check_bad_slot(library):
    """A bad slot must be reported through the device status, and must not stop the call."""
    problem = make_problem("odd", "gate_up")
    layer = Layer(problem, 64, "uniform")
    layer.gather_indices[5] = -1
    layer.poison()
    library.status()
    library.call(layer).run()
    torch.cuda.synchronize()
    status = library.status()
    rest = torch.cat([layer.y[:5], layer.y[6:]])
    if status != 1:
        return f"device status {status} after a bad slot, 1 was expected"
    if bool(layer.y[5].float().abs().max() != 0):
        return "the row of a bad slot is not the product of zeros"
    return "a row was not written" if bool(rest.isnan().any()) else None


def check_graph(library):
    """A captured call reads new m_sizes when it is replayed."""
    problem = make_problem("odd", "gate_up")
    layer = Layer(problem, 129, "uniform")
    call = library.call(layer)
    call.prepare()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call.run()
    for seed in range(3):
        experts = route("zipf:1.0", layer.tokens, problem.experts, problem.top_k, seed).flatten()
        layer.gather_indices.copy_(torch.argsort(experts, stable=True))
        layer.m_sizes.copy_(torch.bincount(experts, minlength=problem.experts))
        layer.row_counts = layer.m_sizes.tolist()
        layer.poison()
        graph.replay()
        torch.cuda.synchronize()
        errors = layer.max_error_per_expert()
        if not max(errors.values()) <= row_tolerance(problem.dtype):
            return f"replay {seed}: row error {max(errors.values()):.3g}"
    return None


def check_usage_error(library):
    """A bad argument is an error with a message, not a crash."""
    layer = Layer(make_problem("odd", "gate_up"), 3, "uniform")
    layer.w = layer.w[:, :, :-8]
    try:
        library.call(layer).run()
    except MoeTuneError as error:
        return None if len(str(error)) > 40 else f"an unhelpful message: {error}"
    return "x of K = 1408 and w of K = 1400 were accepted"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument("--models", default="qwen3-30b-a3b,llama4-scout,odd", help=f"comma-separated, of {', '.join(MODELS)}")
    parser.add_argument("--tokens", default=",".join(map(str, TOKENS)), help="comma-separated (default: %(default)s)")
    parser.add_argument("--dtypes", default="bf16,fp16", help="comma-separated (default: %(default)s); fp16 for the odd shape only")
    parser.add_argument("--json", metavar="FILE", help="write one row per call")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77
    torch.backends.cuda.matmul.allow_tf32 = False

    library = Library(arguments.library)
    rows = []
    failures = []
    begin = time.time()
    for model in arguments.models.split(","):
        for dtype in arguments.dtypes.split(","):
            if dtype == "fp16" and model != "odd":
                continue
            weights = {gemm: make_weight(make_problem(model, gemm, dtype)) for gemm in ("gate_up", "down")}
            for problem in problems(model, dtype):
                for number, tokens in enumerate(int(token) for token in arguments.tokens.split(",")):
                    for routing in ROUTINGS:
                        index_dtype = torch.int64 if number % 2 else torch.int32
                        name = f"{model} {problem.describe()} T={tokens} {routing}"
                        try:
                            error, complaint = check(library, problem, tokens, routing, weights[problem.gemm], index_dtype)
                        except MoeTuneError as failure:
                            error, complaint = float("inf"), str(failure)
                        if complaint:
                            failures.append(f"{name}: {complaint}")
                            print("FAILED", failures[-1], flush=True)
                        rows.append(
                            {
                                "model": model,
                                "gemm": problem.gemm,
                                "permuted": problem.permute_x or problem.permute_y,
                                "fusions": problem.fusions,
                                "dtype": dtype,
                                "tokens": tokens,
                                "routing": routing,
                                "max_rel_err": error,
                                "passed": complaint is None,
                            }
                        )
            del weights
            torch.cuda.empty_cache()
    extra = (check_bad_slot, check_graph, check_usage_error)
    for test in extra:
        complaint = test(library)
        if complaint:
            failures.append(f"{test.__name__}: {complaint}")
            print("FAILED", failures[-1], flush=True)

    print(f"\n{'model':16} {'gemm':8} {'order':9} {'fusions':14} {'dtype':6} {'calls':>5} {'failed':>6}  worst row error")
    groups = {}
    for row in rows:
        key = (row["model"], row["gemm"], "permuted" if row["permuted"] else "sorted", ",".join(row["fusions"]) or "-", row["dtype"])
        groups.setdefault(key, []).append(row)
    for key, group in groups.items():
        worst = max(row["max_rel_err"] for row in group)
        failed = sum(not row["passed"] for row in group)
        print(f"{key[0]:16} {key[1]:8} {key[2]:9} {key[3]:14} {key[4]:6} {len(group):5} {failed:6}  {worst:.5f}")
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, moe-tune {library.version()}: {len(rows)} calls and "
        f"{len(extra)} other checks, {len(failures)} failed, {time.time() - begin:.0f} s; tolerance bf16 {row_tolerance('bf16'):.5f}, "
        f"fp16 {row_tolerance('fp16'):.5f}"
    )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
            file.write("\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
