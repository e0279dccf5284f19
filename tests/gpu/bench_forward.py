#!/usr/bin/env python3
"""Times the library's grouped GEMMs beside their peers in the same rounds (fair_timing.py), medians over the rounds.

    dense        cuBLAS: one product of as many rows with one weight, no routing; of dW one for each of E equal groups of rows
    torch        torch._grouped_mm on rows that are in expert order already
    torch_perm   the same with the permutation that the library fuses
    stream       a plain streaming read of the bytes that must move (weights of experts with rows, x, y, indices)
    default      the library without a database (MOE_TUNE_MODE=off)
    tuned        the library with --db, or with the user's databases; left out where they say nothing
    by hand      each --config

Fusions are timed beside the GEMM alone (plain), other routings beside uniform ones, also in the same rounds. Op dX+dW, of down and permuted
alone, is what a block's backward does: rows of dY are brought to expert order once (moe_tune_permute_rows), for dX and for dW; so does
torch_perm, and dense is both products. The library's kernels are verified first; a wrong one has no row. Needs a GPU and torch 2.9 or newer.

    python3 tests/gpu/bench_forward.py --models qwen3-30b-a3b --tokens 64,1024,8192 --json docs/benchmarks/h200.json
"""

import argparse
import concurrent.futures
import copy
import dataclasses
import itertools
import math
import random
import statistics
import sys

import torch

from bench_support import EVICT_BYTES, EVICT_BYTES_SHORT, is_tuned, provenance, tuned_environment, write_rows
from fair_timing import measure_once, measure_rounds, measure_sustained, median_with_interval
from moe_layer import MODELS, Layer, make_problem, make_weight
from moe_tune_ctypes import Call, Library, MoeTuneError, parse_config
from peers import dw_peers, dx_peers, forward_peers
from row_tolerance import row_tolerance
from stream_read import StreamRead

SHORT_MS = 0.2  # of dense

# Of an argument of --fusions: the fusions of each variant.
FUSED_VARIANTS = {
    "swiglu": (("swiglu",), ("swiglu", "keep_pre_activation")),
    "mul_pre": (("mul_pre",),),
    "mul_post": (("mul_post",),),
}
PEERS = ("dense", "torch", "torch_perm")
BOTH = "dX+dW"


@dataclasses.dataclass(eq=False)
class Kernel:
    """A kernel of the library in the rounds."""

    kind: str  # default, tuned, or the name of a config by hand
    layer: Layer
    variant: str  # "": the GEMM alone; or its fusions; or "uniform" when other routing is timed
    call: Call
    reason: str = ""
    error: float = 0.0
    identical_reruns: int | None = None

    @property
    def key(self):
        return self.kind, self.variant

    @property
    def by_hand(self):
        return self.kind not in ("default", "tuned")

    def describe(self):
        return f"{self.kind} {self.layer.problem.describe()} T={self.layer.tokens}"


class Bench:
    """What all calls share: the instances of the library, buffers and arguments."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.default = Library.separate(arguments.library, {"MOE_TUNE_MODE": "off"})
        self.tuned = Library.separate(arguments.library, tuned_environment(arguments.db))
        self.stream_read = StreamRead()
        self.order = random.Random(arguments.seed)
        self.complaints = []
        self._evicted = torch.zeros(EVICT_BYTES_SHORT, device="cuda", dtype=torch.uint8)
        self.provenance = provenance()

    def evict(self, size):
        self.stream_read(self._evicted, size)

    def complain(self, text):
        self.complaints.append(text)
        print(f"NOT MEASURED: {text}", flush=True)


def fused_problems(problem, arguments):
    """The variants of --fusions that fit this GEMM."""
    fits = {"swiglu": problem.gemm == "gate_up", "mul_pre": problem.permute_x, "mul_post": problem.permute_y}
    names = [name for name in arguments.fusions.split(",") if name and fits[name] and problem.op == "forward"]
    return [problem.with_fusions(variant) for name in names for variant in FUSED_VARIANTS[name]]


def tuned_kernel(bench, layer, variant):
    """The kernel that the database has for the call, or None."""
    call = bench.tuned.call(layer)
    return Kernel("tuned", layer, variant, call) if is_tuned(call.explain()) else None


def make_kernels(bench, layer):
    """The library's kernels for the layer and what is timed beside it, compiled and loaded."""
    arguments = bench.arguments
    layers = {"": layer}
    layers |= {"+".join(p.fusions): layer.with_problem(p) for p in fused_problems(layer.problem, arguments)}
    if arguments.routing != "uniform":
        layers["uniform"] = Layer(layer.problem, layer.tokens, "uniform", layer.w, seed=arguments.seed)
    kernels = []
    for variant, timed in layers.items():
        kernels.append(Kernel("default", timed, variant, bench.default.call(timed)))
        kernels += filter(None, [tuned_kernel(bench, timed, variant)])
        kernels += [Kernel(name, timed, variant, bench.default.call(timed, name)) for name in arguments.config]

    def prepare(kernel):
        """What the library says against it."""
        try:
            kernel.reason = kernel.call.explain()
            kernel.call.prepare()
            return None
        except MoeTuneError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(prepare, kernels))
    for kernel, error in zip(kernels, errors):
        if error and error.is_usage and kernel.by_hand:
            print(f"refused: {kernel.describe()}: {error}", flush=True)
        elif error:
            bench.complain(f"{kernel.describe()}: {error}")
    kernels = [kernel for kernel, error in zip(kernels, errors) if not error]
    share_workspace(kernels)
    return kernels


def share_workspace(kernels):
    """One workspace for all: their calls follow each other on one stream."""
    sizes = [kernel.call.workspace_bytes() for kernel in kernels]
    workspace = torch.empty(max(sizes, default=0), device="cuda", dtype=torch.uint8)
    for kernel, size in zip(kernels, sizes):
        if size:
            kernel.call.use_workspace(workspace)


def verify(bench, kernels):
    """Fills in the errors against float32; complains about wrong kernels and returns the right ones."""
    right = []
    variant, reference = None, None
    for kernel in sorted(kernels, key=lambda kernel: kernel.variant):
        layer = kernel.layer
        if kernel.variant != variant:
            reference = None  # frees the one before
            variant, reference = kernel.variant, layer.reference()
        layer.poison()
        kernel.call.run()
        torch.cuda.synchronize()
        kernel.error = max(layer.max_error_per_expert(reference).values(), default=0.0)
        status = bench.default.status() | bench.tuned.status()
        if status:
            bench.complain(f"{kernel.describe()}: device status {status}; {kernel.reason}")
        elif not kernel.error <= row_tolerance(layer.problem.dtype):
            bench.complain(f"{kernel.describe()}: a row is wrong by {kernel.error:.3g}; {kernel.reason}")
        elif not layer.guard_intact():
            bench.complain(f"{kernel.describe()}: wrote past the end of an output; {kernel.reason}")
        else:
            right.append(kernel)
            if bench.arguments.reruns:
                kernel.identical_reruns = layer.identical_reruns(kernel.call.run, bench.arguments.reruns)
    return right


def peer_calls(bench, layer):
    """{name: function that enqueues one call} of everything but the library."""
    make = {"forward": forward_peers, "dX": dx_peers, "dW": dw_peers}[layer.problem.op]
    stream_bytes = layer.bytes_to_move()
    streamed = torch.zeros(stream_bytes, device="cuda", dtype=torch.uint8)
    calls = {**make(layer), "stream": lambda: bench.stream_read(streamed, stream_bytes)}
    if layer.problem.dtype != "bf16":  # torch has no other
        calls = {name: call for name, call in calls.items() if name in ("dense", "stream")}
    return calls


class BothGradients:
    """dX and dW of one dY in slot order, of which one dispatch makes the rows in expert order for both."""

    def __init__(self, library, layer):
        self.layer = layer
        self._library = library
        self._rows = torch.empty_like(layer.dy)
        in_order = dataclasses.replace(layer.problem, permute_y=False)
        self.parts = [layer.with_problem(dataclasses.replace(in_order, op=op)) for op in ("dX", "dW")]
        for part in self.parts:
            part.dy = self._rows
        self.calls = [library.call(part) for part in self.parts]

    def prepare(self):
        self.run()
        for call in self.calls:
            call.prepare()

    def run(self):
        tensors = {"x": self.layer.dy, "rows": self._rows, "gather_indices": self.layer.gather_indices}
        self._library.row_operation("permute_rows", 1, m_sizes=self.layer.m_sizes, **tensors)
        for call in self.calls:
            call.run()

    def explain(self):
        return " + ".join(call.explain().split(" (")[0] for call in self.calls)

    def error(self):
        """The worst row of both; infinite where something past an output was written."""
        for part in self.parts:
            part.poison()
        self.run()
        torch.cuda.synchronize()
        if not all(part.guard_intact() for part in self.parts):
            return math.inf
        return max(max(part.max_error_per_expert().values(), default=0.0) for part in self.parts)

    def peers(self):
        dx, dw = (make(part) for make, part in zip((dx_peers, dw_peers), self.parts))
        slots = self.layer.gather_indices.long()
        w, x, offsets = self.layer.w, self.layer.x, self.layer.offsets

        def torch_perm():
            rows = self.layer.dy[slots]
            torch._grouped_mm(rows, w, offs=offsets)
            torch._grouped_mm(rows.t(), x, offs=offsets)

        both = {name: (lambda a=dx[name], b=dw[name]: (a(), b())) for name in ("dense", "torch")}
        return {**both, "torch_perm": torch_perm}


def bench_both_gradients(bench, model, problem, tokens, weight):
    """The row of op dX+dW."""
    arguments = bench.arguments
    layer = Layer(dataclasses.replace(problem, op="dX"), tokens, arguments.routing, weight, seed=arguments.seed)
    both = BothGradients(bench.default, layer)
    both.prepare()
    measured = copy.copy(layer)
    measured.problem = problem
    kernel = Kernel("default", measured, "", both, both.explain(), both.error())
    if not kernel.error <= row_tolerance(problem.dtype):
        bench.complain(f"{kernel.describe()}: a row is wrong by {kernel.error:.3g}")
        return []
    calls = {**both.peers(), kernel.key: both.run}
    limits = {"warm_up": arguments.warm_up, "most": arguments.rounds, "least": min(15, arguments.rounds)}
    samples = measure_rounds(calls, lambda: bench.evict(EVICT_BYTES), bench.order, seconds=arguments.seconds, **limits)
    sustained = {}
    if arguments.sustained > 0:
        medians = {name: statistics.median(values) for name, values in samples.items()}
        sustained = measure_sustained(calls, medians, bench.order, arguments.sustained)
    return [make_row(bench, kernel, model, samples, sustained, EVICT_BYTES)]


def make_row(bench, kernel, model, samples, sustained, evicted):
    """`samples`: {name: milliseconds of every round}; `sustained`: {name: milliseconds}; both of all that shared the rounds.
    `evicted`: bytes read before every sample."""
    problem = kernel.layer.problem
    fused = bool(problem.fusions)
    median, interval = median_with_interval(samples[kernel.key])

    def milliseconds(name):
        return round(statistics.median(samples[name]), 5) if name in samples else None

    def sustained_milliseconds(name):
        return round(sustained[name], 5) if name in sustained else None

    return {
        "model": model,
        "tokens": kernel.layer.tokens,
        "gemm": problem.gemm,
        "op": problem.op,
        "permuted": problem.permuted,
        "tuned": kernel.kind == "tuned",
        "by_hand": kernel.by_hand,
        "fusions": problem.fusions,
        "dtype": problem.dtype,
        "routing": bench.arguments.routing,
        "ms": round(median, 5),
        "ms_ci95": [round(bound, 5) for bound in interval],
        **{f"{peer}_ms": milliseconds(peer) for peer in PEERS},
        # A fused kernel moves other bytes.
        "stream_ms": None if fused else milliseconds("stream"),
        "plain_ms": milliseconds((kernel.kind, "")) if fused else None,
        "uniform_ms": None if fused else milliseconds((kernel.kind, "uniform")),
        "sustained_ms": sustained_milliseconds(kernel.key),
        **{f"{peer}_sustained_ms": sustained_milliseconds(peer) for peer in PEERS},
        "max_rel_err": round(kernel.error, 6),
        "reruns": 0 if kernel.identical_reruns is None else bench.arguments.reruns,
        "identical_reruns": kernel.identical_reruns,
        "config": kernel.reason,
        "rounds": len(samples[kernel.key]),
        "evict_mib": evicted >> 20,
        **bench.provenance,
    }


def bench_call(bench, model, problem, tokens, weight):
    """The rows of one call, its fusions included."""
    arguments = bench.arguments
    layer = Layer(problem, tokens, arguments.routing, weight, seed=arguments.seed)
    kernels = verify(bench, make_kernels(bench, layer))
    calls = {**peer_calls(bench, layer), **{kernel.key: kernel.call.run for kernel in kernels}}
    limits = {"warm_up": arguments.warm_up, "most": arguments.rounds, "least": min(15, arguments.rounds)}
    # The same for all that share the rounds.
    evicted = EVICT_BYTES_SHORT if measure_once(calls["dense"]) < SHORT_MS else EVICT_BYTES
    samples = measure_rounds(calls, lambda: bench.evict(evicted), bench.order, seconds=arguments.seconds, **limits)
    shown = [kernel for kernel in kernels if kernel.variant != "uniform"]
    sustained = {}
    if arguments.sustained > 0:
        names = {kernel.key for kernel in shown} | set(PEERS)
        medians = {name: statistics.median(values) for name, values in samples.items() if name in names}
        sustained = measure_sustained(calls, medians, bench.order, arguments.sustained)
    rows = [make_row(bench, kernel, model, samples, sustained, evicted) for kernel in shown]
    return sorted(rows, key=lambda row: (row["fusions"], row["by_hand"], row["tuned"], row["ms"]))


def print_row(row):
    def relative(name, peer, own="ms"):
        return f"  {name} {row[peer] / row[own] * 100:.0f}%" if row[peer] and row[own] else ""

    kind = row["config"].split(" ")[0] if row["by_hand"] else "tuned" if row["tuned"] else "default"
    order = " + ".join(["permuted" if row["permuted"] else "sorted", *row["fusions"]])
    low, high = row["ms_ci95"]
    line = f"{row['model']} T={row['tokens']} {row['op']} {row['gemm']} {order:9} {kind:7} {row['ms']:.4f} ms ({low:.4f}-{high:.4f})  of"
    for name in (*PEERS, "stream", "plain", "uniform"):
        line += relative(name, f"{name}_ms")
    if row["sustained_ms"]:
        line += f"  sustained {row['sustained_ms']:.4f} ms"
        for name in PEERS:
            line += relative(name, f"{name}_sustained_ms", "sustained_ms")
    if row["identical_reruns"] is not None:
        line += f"  {row['identical_reruns']}/{row['reruns']} reruns alike"
    print(f"{line}  err {row['max_rel_err']:.4f}", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument("--db", help="tuning database for the tuned rows; default: MOE_TUNE_DB or the user's")
    parser.add_argument("--models", default="qwen3-30b-a3b", help=f"comma-separated, of {', '.join(MODELS)}")
    parser.add_argument("--tokens", default="1,16,64,256,1024,2048,4096,8192", help="comma-separated (default: %(default)s)")
    parser.add_argument("--ops", default="forward", help="comma-separated: forward, dX, dW, dX+dW (default: %(default)s)")
    parser.add_argument("--gemms", default="gate_up,down", help="comma-separated (default: %(default)s)")
    parser.add_argument("--orders", default="permuted,sorted", help="comma-separated: with the permutation fused, without one")
    parser.add_argument("--fusions", default="", help=f"comma-separated, of {', '.join(FUSED_VARIANTS)}: timed too")
    parser.add_argument("--routing", default="uniform", help="uniform, zipf:A, half_empty or one_expert (default: %(default)s)")
    parser.add_argument("--dtype", default="bf16", choices=("bf16", "fp16"))
    parser.add_argument(
        "--config", action="append", default=[], metavar="NAME", help="one of `moe-tune list-configs`, timed too; repeatable"
    )
    parser.add_argument("--rounds", type=int, default=100, help="samples of each at most (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for a call's rounds, 15 at least (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="rounds before them (default: %(default)s)")
    parser.add_argument(
        "--sustained", type=float, default=0, metavar="SECONDS", help="also time each implementation back to back, e.g. for 0.7"
    )
    parser.add_argument("--reruns", type=int, default=0, help="also compare so many further runs with a first one, e.g. 100")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the rows, after each call")
    arguments = parser.parse_args()
    for name in arguments.config:
        parse_config(name)
    if unknown := set(filter(None, arguments.fusions.split(","))) - FUSED_VARIANTS.keys():
        parser.error(f"--fusions: {', '.join(sorted(unknown))} is not one of {', '.join(FUSED_VARIANTS)}")
    return arguments


def main():
    arguments = parse_arguments()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77

    torch.backends.cuda.matmul.allow_tf32 = False
    bench = Bench(arguments)
    rows = []
    for model in arguments.models.split(","):
        for gemm in arguments.gemms.split(","):
            weight = make_weight(make_problem(model, gemm, arguments.dtype))
            for op, tokens in itertools.product(arguments.ops.split(","), map(int, arguments.tokens.split(","))):
                for order in arguments.orders.split(","):
                    problem = make_problem(model, gemm, arguments.dtype, permuted=order == "permuted", op=op)
                    if op == BOTH and not problem.permute_y:
                        continue
                    bench_rows = bench_both_gradients if op == BOTH else bench_call
                    try:
                        new_rows = bench_rows(bench, model, problem, tokens, weight)
                    except MoeTuneError as error:
                        bench.complain(f"{problem.describe()} T={tokens}: {error}")
                        continue
                    for row in new_rows:
                        print_row(row)
                    rows += new_rows
                    if arguments.json:
                        write_rows(arguments.json, rows)
            del weight
            torch.cuda.empty_cache()
    return 1 if bench.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
