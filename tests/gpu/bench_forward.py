#!/usr/bin/env python3
"""Times the library's forward grouped GEMM beside its peers, fairly: everything in one process, one sample of each
implementation per round in random order, the L2 evicted by reads before every sample, medians over the rounds.

    dense        one cuBLAS [M,K].[K,N] of as many rows: no routing, one weight
    torch        torch._grouped_mm on rows that are in expert order already
    torch_perm   the same with the permutation that the library fuses
    stream       a plain streaming read of the bytes that must move (weights of experts with rows, x, y, indices)
    default      the library without a database (MOE_TUNE_MODE=off)
    tuned        the library with --db, or with the user's databases

Needs a GPU and torch 2.9 or newer.

    python3 tests/gpu/bench_forward.py --models qwen3-30b-a3b --tokens 64,1024,8192 --json docs/benchmarks/h200.json
"""

import argparse
import datetime
import json
import math
import random
import shlex
import statistics
import subprocess
import sys

import torch

from moe_layer import MODELS, Layer, make_problem, make_weight
from moe_tune_ctypes import Library
from stream_read import StreamRead

EVICT_BYTES = 512 << 20  # ten times the L2, and long enough for the host to enqueue what follows


def driver_version():
    result = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def implementations(layer, stream_read, scratch, default, tuned):
    """{name: function that enqueues one call}."""
    problem = layer.problem
    x = layer.sorted_x().contiguous()
    w = layer.w.transpose(1, 2)
    slots = layer.gather_indices.long()
    tokens_of_rows = torch.div(slots, problem.top_k, rounding_mode="floor")
    dense_w = layer.w[0].t()
    stream_bytes = layer.bytes_to_move()
    permuted_y = torch.empty_like(layer.y)

    def torch_permuted():
        rows = layer.x[tokens_of_rows] if problem.permute_x else x
        y = torch._grouped_mm(rows, w, offs=layer.offsets)
        if problem.permute_y:
            permuted_y[slots] = y * layer.topk_weights[slots][:, None].to(y.dtype) if problem.fuse_mul_post else y

    default_call = default.call(layer)
    tuned_call = tuned.call(layer)
    calls = {
        "default": default_call.run,
        "tuned": tuned_call.run,
        "dense": lambda: torch.mm(x, dense_w),
        "stream": lambda: stream_read(scratch, stream_bytes),
    }
    if problem.dtype == "bf16":
        calls["torch"] = lambda: torch._grouped_mm(x, w, offs=layer.offsets)
        calls["torch_perm"] = torch_permuted
    return calls, {"default": default_call.explain(), "tuned": tuned_call.explain()}


def median_with_interval(samples):
    """Median, and its 95% confidence interval from order statistics: no assumption about the distribution."""
    ordered = sorted(samples)
    count = len(ordered)
    half_width = 0.98 * math.sqrt(count)
    low = max(0, math.floor(count / 2 - half_width) - 1)
    high = min(count - 1, math.ceil(count / 2 + half_width))
    return statistics.median(ordered), [ordered[low], ordered[high]]


def measure(calls, evict, rounds, warm_up, order):
    """{name: milliseconds of every round}."""
    names = list(calls)
    samples = {name: [] for name in names}
    for number in range(warm_up + rounds):
        order.shuffle(names)
        events = {}
        for name in names:
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            evict()
            begin.record()
            calls[name]()
            end.record()
            events[name] = (begin, end)
        torch.cuda.synchronize()
        if number >= warm_up:
            for name, (begin, end) in events.items():
                samples[name].append(begin.elapsed_time(end))
    return samples


def verified_error(layer, call):
    """Worst row error against float32 of one more, poisoned call."""
    layer.poison()
    call()
    torch.cuda.synchronize()
    return max(layer.max_error_per_expert().values(), default=0.0)


def bench(model, problem, tokens, routing, weight, context, arguments):
    """The rows of one call: default and tuned."""
    layer = Layer(problem, tokens, routing, weight, seed=arguments.seed)
    calls, reasons = implementations(layer, context["stream_read"], context["scratch"], context["default"], context["tuned"])
    errors = {name: verified_error(layer, calls[name]) for name in ("default", "tuned")}
    evict = lambda: context["stream_read"](context["evict"], EVICT_BYTES)  # noqa: E731
    samples = measure(calls, evict, arguments.rounds, arguments.warm_up, context["order"])
    results = {name: median_with_interval(values) for name, values in samples.items()}

    def rounded(name):
        return round(results[name][0], 5) if name in results else None

    rows = []
    # Where the database says nothing, the second kernel is the default again, not a tuned one.
    names = ("default",) if "(default" in reasons["tuned"] else ("default", "tuned")
    for name in names:
        median, interval = results[name]
        rows.append(
            {
                "model": model,
                "tokens": tokens,
                "gemm": problem.gemm,
                "op": "forward",
                "permuted": problem.permute_x or problem.permute_y,
                "tuned": name == "tuned",
                "fusions": problem.fusions,
                "dtype": problem.dtype,
                "routing": routing,
                "ms": round(median, 5),
                "ms_ci95": [round(bound, 5) for bound in interval],
                "dense_ms": rounded("dense"),
                "torch_ms": rounded("torch"),
                "torch_perm_ms": rounded("torch_perm"),
                "stream_ms": rounded("stream"),
                "max_rel_err": round(errors[name], 6),
                "config": reasons[name],
                "rounds": arguments.rounds,
                **context["provenance"],
            }
        )
    return rows


def print_row(row):
    def relative(peer):
        return f"{row[peer] / row['ms'] * 100:6.0f}%" if row[peer] else "      -"

    print(
        f"{row['model']:16} {row['tokens']:6} {row['gemm']:8} {'perm' if row['permuted'] else 'sorted':6} "
        f"{'tuned' if row['tuned'] else 'default':7} {row['ms']:9.4f} ms  dense {relative('dense_ms')}  torch {relative('torch_ms')}  "
        f"torch+perm {relative('torch_perm_ms')}  stream {relative('stream_ms')}  err {row['max_rel_err']:.4f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument("--db", help="tuning database for the tuned rows; default: MOE_TUNE_DB or the user's")
    parser.add_argument("--models", default="qwen3-30b-a3b", help=f"comma-separated, of {', '.join(MODELS)}")
    parser.add_argument("--tokens", default="1,16,64,256,1024,2048,4096,8192", help="comma-separated (default: %(default)s)")
    parser.add_argument("--gemms", default="gate_up,down", help="comma-separated (default: %(default)s)")
    parser.add_argument("--orders", default="permuted,sorted", help="comma-separated: with the permutation fused, without one")
    parser.add_argument("--routing", default="uniform", help="uniform, zipf:A, half_empty or one_expert (default: %(default)s)")
    parser.add_argument("--dtype", default="bf16", choices=("bf16", "fp16"))
    parser.add_argument("--rounds", type=int, default=60, help="samples of each implementation (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="rounds before them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the rows")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77

    torch.backends.cuda.matmul.allow_tf32 = False
    properties = torch.cuda.get_device_properties(0)
    tuned_environment = {"MOE_TUNE_MODE": "read", **({"MOE_TUNE_DB": arguments.db} if arguments.db else {})}
    context = {
        "stream_read": StreamRead(),
        "evict": torch.zeros(EVICT_BYTES, device="cuda", dtype=torch.uint8),
        "default": Library.separate(arguments.library, {"MOE_TUNE_MODE": "off"}),
        "tuned": Library.separate(arguments.library, tuned_environment),
        "order": random.Random(arguments.seed),
        "provenance": {
            "device": properties.name,
            "driver": driver_version(),
            "torch": torch.__version__,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": shlex.join(["python3", *sys.argv]),
        },
    }
    rows = []
    for model in arguments.models.split(","):
        for gemm in arguments.gemms.split(","):
            weight = make_weight(make_problem(model, gemm, arguments.dtype))
            for tokens in map(int, arguments.tokens.split(",")):
                for order in arguments.orders.split(","):
                    problem = make_problem(model, gemm, arguments.dtype, permuted=order == "permuted")
                    # The streaming read's source: as many bytes as the call may move at most.
                    size = weight.numel() * 2 + tokens * problem.top_k * (problem.n + problem.k + 8) * 2
                    context["scratch"] = torch.zeros(size, device="cuda", dtype=torch.uint8)
                    for row in bench(model, problem, tokens, arguments.routing, weight, context, arguments):
                        rows.append(row)
                        print_row(row)
            del weight
            torch.cuda.empty_cache()
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
