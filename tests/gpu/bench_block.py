#!/usr/bin/env python3
"""Times the library's whole MoE blocks beside transformers' own in the same rounds (fair_timing.py), medians over the rounds.

    default, tuned             the library without a database, and with --db or the user's; left out where that says nothing
    transformers EXPERTS       transformers' block with these experts (integrations/moe.py); Llama4's own has one way only
    torch                      Llama4: the block on torch._grouped_mm, weights as the library has them (hf_blocks.py)

Up to 64 tokens all are replays of CUDA graphs; what waits for the device cannot be captured and is timed eagerly beside them, which its
row says. Llama4 is timed with the shared expert and without, and with permute_x off (rows are scaled and rounded first, as in
transformers), on, and with overlap_router_shared. The library's outputs are compared with transformers' before; a wrong block has no
row. In rounds of their own: the parts of a forward, by events between its steps; and the host's time to enqueue one. Needs a GPU, torch
2.9 or newer and transformers.

    python3 tests/gpu/bench_block.py --db tuned.json --model qwen3-30b-a3b --json docs/benchmarks/block-qwen3-30b-a3b.json
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import random
import statistics
import sys
import time
import traceback

import torch
import transformers

from bench_support import EVICT_BYTES, EVICT_BYTES_SHORT, is_tuned, provenance, tuned_environment, write_rows
from block_reference import row_errors
from cuda_graphs import captured, synchronises
from fair_timing import measure_once, measure_rounds, median_with_interval
from hf_blocks import EXPERTS, TorchLlama4, hf_block, make_weights, run_hf, run_hf_llama4_experts, run_hf_routed
from moe_tune_block import STEPS
from moe_tune_ctypes import Library
from stream_read import StreamRead

TOKENS = {"qwen3-30b-a3b": (8192, 16, 64), "qwen3-235b-a22b": (16384,), "llama4-scout": (8192,)}
GRAPH_TOKENS = 64  # so many and fewer are replayed
SHORT_MS = 1.0  # of the library's forward: shorter ones get the larger eviction, so that the host stays ahead
# Between transformers' rows and ours, both rounded; where both chose the same experts. A wrong row is far above.
AGAINST_HF = 0.03
ALIKE = 0.5  # of the selections at least: rounded logits of two experts are often equal, and then transformers takes any
PEERS_ALIKE = 0.9  # of the rows of a peer at least
GEMM_STEPS = ("gate_up", "down", "shared_expert")
SLEEP_CYCLES = 2_000_000  # about 1 ms, in which the host enqueues a forward with its events
BATCH = 40  # forwards enqueued before the device is waited for: far fewer kernels than its queue holds


@dataclasses.dataclass(eq=False)
class Ours:
    """A block of the library in the rounds."""

    kind: str  # default or tuned
    options: dict
    block: object
    out: torch.Tensor
    workspace: torch.Tensor | None = None
    call: object = None
    run: object = None  # the call, or its graph's replay
    config: dict = dataclasses.field(default_factory=dict)
    difference: float = 0.0

    @property
    def variant(self):
        return " ".join(f"{name}={int(value)}" for name, value in self.options.items() if name != "no_shared_expert")

    @property
    def name(self):
        return " ".join(filter(None, [self.kind, self.variant]))


class Bench:
    """What all calls share."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.libraries = {
            "default": Library.separate(arguments.library, {"MOE_TUNE_MODE": "off"}),
            "tuned": Library.separate(arguments.library, tuned_environment(arguments.db)),
        }
        self.order = random.Random(arguments.seed)
        self.complaints = []
        self.provenance = {**provenance(), "transformers": transformers.__version__}
        self.provenance["moe_tune"] = self.libraries["default"].version()
        self._stream_read = StreamRead()
        self._evicted = torch.zeros(EVICT_BYTES_SHORT, device="cuda", dtype=torch.uint8)

    def evict(self, size):
        self._stream_read(self._evicted, size)

    def status(self):
        return self.libraries["default"].status() | self.libraries["tuned"].status()

    def complain(self, text):
        self.complaints.append(text)
        print(f"NOT MEASURED: {text}", flush=True)

    def say(self, text):
        print(f"   {text}", flush=True)


def variants(weights, shared):
    """Options of the blocks to time."""
    if weights.kind == "qwen3":
        return [{}]
    without = {} if shared else {"no_shared_expert": 1}
    both = [{**without, "permute_x": False}, {**without, "permute_x": True}]
    return [
        *both,
        *([{"permute_x": False, "overlap_router_shared": 1}, {"permute_x": True, "overlap_router_shared": 1}] if shared else []),
    ]


def make_ours(bench, weights, x, shared):
    """The library's blocks, compiled and loaded; tuned ones where the database says something."""
    tokens = x.shape[0]
    made = []
    for kind, library in bench.libraries.items():
        for options in variants(weights, shared):
            try:
                ours = Ours(kind, options, weights.block(library, **options), torch.empty_like(x))
                ours.config = {gemm: ours.block.explain(gemm, tokens) for gemm in ("gate_up", "down")}
                if kind == "tuned" and not any(map(is_tuned, ours.config.values())):
                    bench.say(f"T={tokens} {ours.name}: the database has neither GEMM; no row")
                    ours.block.destroy()
                    continue
                made.append(ours)
            except (Exception, SystemExit) as error:
                bench.complain(f"T={tokens} {kind} {options}: {error}")

    def prepare(ours):
        try:
            ours.block.prepare([tokens])
            return ours.block.workspace_bytes(tokens)
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sizes = dict(zip(made, pool.map(prepare, made)))
    for ours in made:
        if isinstance(sizes[ours], Exception):
            bench.complain(f"T={tokens} {ours.name}: {sizes[ours]}")
    made = [ours for ours in made if not isinstance(sizes[ours], Exception)]
    # One for all: their calls follow each other on one stream.
    workspace = torch.empty(max((sizes[ours] for ours in made), default=0), device="cuda", dtype=torch.uint8)
    for ours in made:
        ours.workspace = workspace
        ours.call = ours.block.call(x, ours.out, workspace=workspace)
        ours.run = ours.call.run
    return made


def verify(bench, made, x, routed, expected):
    """The blocks whose rows are transformers': those of the timed call where both chose the same experts, and with transformers'
    selection given all of them."""
    their_choice = routed.selected_experts.sort(dim=1).values
    right = []
    for ours in made:
        ours.out.view(torch.int16).fill_(-1)
        ours.call.run()
        again, injected = torch.full_like(x, float("nan")), torch.full_like(x, float("nan"))
        selected = torch.empty_like(routed.selected_experts)
        ours.block.call(x, again, selected_experts=selected).run()
        ours.block.call(x, injected, selected_experts=routed.selected_experts, inject_selection=True).run()
        torch.cuda.synchronize()
        alike = (selected.sort(dim=1).values == their_choice).all(dim=1)
        errors = torch.cat([row_errors(injected, expected), row_errors(ours.out, expected)[alike]])
        ours.difference = errors.max().item()
        if status := bench.status():
            bench.complain(f"{ours.name}: device status {status}")
        elif not torch.equal(again.view(torch.int16), ours.out.view(torch.int16)):
            bench.complain(f"{ours.name}: two runs differ")
        elif not ours.difference <= AGAINST_HF or bool(ours.out.isnan().any()):
            bench.complain(f"{ours.name}: a row differs from transformers' by {ours.difference:.3g}")
        elif alike.double().mean().item() < ALIKE:
            bench.complain(f"{ours.name}: {int((~alike).sum())} of {len(alike)} selections differ from transformers'")
        else:
            right.append(ours)
    return right


def make_peers(bench, weights, x, hf, shared):
    """{name: function that enqueues one forward}"""
    if weights.kind == "llama4":
        torch_block = TorchLlama4(weights, hf.shared_expert if shared else None)
        own = (lambda: run_hf(hf, x)) if shared else (lambda: run_hf_llama4_experts(hf, x))
        return {"torch": lambda: torch_block(x), "transformers": own}
    experts = EXPERTS if x.shape[0] <= GRAPH_TOKENS else ("grouped_mm", *(["eager"] if bench.arguments.eager else []))
    blocks = {f"transformers {name}": hf_block(weights, name) for name in experts}
    return {name: (lambda block=block: run_hf(block, x)) for name, block in blocks.items()}


def working_peers(bench, peers, expected):
    """Those that compute what transformers' block with grouped_mm does, after a first run."""
    working = {}
    for name, call in peers.items():
        try:
            # Rows of tokens whose logits tie may go to other experts.
            alike = (row_errors(call(), expected) <= AGAINST_HF).double().mean().item()
            if alike >= PEERS_ALIKE:
                working[name] = call
            else:
                bench.complain(f"{name}: {(1 - alike) * 100:.1f}% of the rows differ from transformers'")
        except Exception as error:
            traceback.print_exc()
            bench.complain(f"{name}: {error}")
    return working


def captured_peers(bench, peers):
    """({name: replay, or the call itself where it cannot be captured}, why not by name)"""
    result, reasons = {}, {}
    for name, call in peers.items():
        result[name] = call
        try:
            if synchronises(call):
                reasons[name] = "waits for the device"
            else:
                result[name] = captured(call).replay
        except Exception as error:
            reasons[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if name in reasons:
            bench.say(f"{name} cannot be captured ({reasons[name]}): timed eagerly")
    return result, reasons


def capture_ours(bench, made):
    kept = []
    for ours in made:
        try:
            graph = captured(ours.call.run)
            expected = ours.out.clone()
            ours.out.view(torch.int16).fill_(-1)
            graph.replay()
            torch.cuda.synchronize()
            if not torch.equal(ours.out.view(torch.int16), expected.view(torch.int16)):
                raise RuntimeError("a replay has other bits")
            ours.run = graph.replay
            kept.append(ours)
        except Exception as error:
            bench.complain(f"{ours.name}, captured: {error}")
    return kept


def measure_parts(bench, ours, x):
    """{step: milliseconds, median} of each block, eager, their runs in random order. An event follows what came before it, so that the
    time between two is the step's; the device sleeps first, so that the host stays ahead."""
    samples = {one: {} for one in ours}
    calls = {}

    def make_call(one):
        events = collections.defaultdict(lambda: torch.cuda.Event(enable_timing=True))
        return events, one.block.call(x, one.out, workspace=one.workspace, on_step=lambda name: events[name].record())

    for one in ours:
        if not one.options.get("overlap_router_shared"):  # whose steps run beside each other
            calls[one] = make_call(one)
    order = list(calls)
    for number in range(3 + bench.arguments.part_rounds):
        bench.order.shuffle(order)
        for one in order:
            events, call = calls[one]
            bench.evict(EVICT_BYTES)
            torch.cuda._sleep(SLEEP_CYCLES)
            call.run()
            torch.cuda.synchronize()
            if number < 3:
                continue
            names = list(events)  # in the order of their first run, which is always the same
            for name, following in zip(names, names[1:]):
                samples[one].setdefault(name, []).append(events[name].elapsed_time(events[following]))
    return {one: {name: statistics.median(values) for name, values in parts.items()} for one, parts in samples.items()}


def host_microseconds(call):
    """Median of what the host takes for each of about 1000 calls, the device never so far behind that it would wait."""
    stream = torch.cuda.current_stream().cuda_stream
    for _ in range(BATCH):
        call(stream)
    times = []
    for _ in range(1000 // BATCH):
        torch.cuda.synchronize()
        for _ in range(BATCH):
            begin = time.perf_counter_ns()
            call(stream)
            times.append(time.perf_counter_ns() - begin)
    torch.cuda.synchronize()
    return statistics.median(times) / 1000


def measure_host(bench, weights):
    """Of a forward of one token: host microseconds in the caller's workspace and in the library's, and those of a ctypes call that does
    nothing; permute_x as by default."""
    library = bench.libraries["default"]
    x = weights.hidden_states(1)
    with weights.block(library) as block:
        block.prepare([1])
        workspace = torch.empty(block.workspace_bytes(1), device="cuda", dtype=torch.uint8)
        out = torch.empty_like(x)
        own, pooled = block.call(x, out, workspace=workspace), block.call(x, out)
        return {
            "host_us": round(host_microseconds(own.run_on), 2),
            "host_pooled_us": round(host_microseconds(pooled.run_on), 2),
            "host_ctypes_us": round(host_microseconds(lambda _: library.version()), 2),
        }


def make_row(bench, weights, ours, tokens, shared, samples, peers, evicted, reasons, parts, host):
    median, interval = median_with_interval(samples[ours.name])
    total = sum(parts.values())
    return {
        "block": True,
        "model": weights.name,
        "tokens": tokens,
        "variant": ours.variant,
        "shared_expert": shared if weights.kind == "llama4" else None,
        "graph": tokens <= GRAPH_TOKENS,
        "tuned": ours.kind == "tuned",
        "dtype": "bf16",
        "ms": round(median, 5),
        "ms_ci95": [round(bound, 5) for bound in interval],
        "peers_ms": {name: round(statistics.median(samples[name]), 5) for name in peers},
        "not_captured": reasons,
        "parts_ms": {name: round(value, 5) for name, value in parts.items()},
        "parts_share": {name: round(value / total, 4) for name, value in parts.items()},
        **host,
        "max_difference": round(ours.difference, 5),
        "config": ours.config,
        "rounds": len(samples[ours.name]),
        "evict_mib": evicted >> 20,
        **bench.provenance,
    }


def measure(bench, weights, hf, made, x, shared, host):
    """The rows of these blocks."""
    arguments, tokens = bench.arguments, x.shape[0]
    routed = run_hf_routed(hf, x, weights.model.top_k)
    expected = routed.out if shared else run_hf_llama4_experts(hf, x)
    ours = verify(bench, made, x, routed, expected)
    peers = working_peers(bench, make_peers(bench, weights, x, hf, shared), expected)
    reasons = {}
    if tokens <= GRAPH_TOKENS:
        peers, reasons = captured_peers(bench, peers)
        ours = capture_ours(bench, ours)
    if not ours:
        return []
    calls = {**peers, **{one.name: one.run for one in ours}}
    evicted = EVICT_BYTES_SHORT if measure_once(ours[0].run) < SHORT_MS else EVICT_BYTES
    limits = {"warm_up": arguments.warm_up, "most": arguments.rounds, "least": min(15, arguments.rounds)}
    samples = measure_rounds(calls, lambda: bench.evict(evicted), bench.order, seconds=arguments.seconds, **limits)
    try:
        parts = measure_parts(bench, ours, x)
    except Exception as error:
        traceback.print_exc()
        bench.complain(f"parts of T={tokens}: {error}")
        parts = {}
    return [
        make_row(bench, weights, one, tokens, shared, samples, peers, evicted, reasons, parts.get(one, {}), host) for one in ours
    ]


def bench_call(bench, weights, hf, tokens, shared, host):
    """The rows of one number of tokens."""
    x = weights.hidden_states(tokens, seed=bench.arguments.seed)
    made = make_ours(bench, weights, x, shared)
    rows = measure(bench, weights, hf, made, x, shared, host)
    torch.cuda.synchronize()
    for one in made:
        one.run = one.call = None  # their graphs go before the block
        one.block.destroy()
    if status := bench.status():
        bench.complain(f"T={tokens}: device status {status}")
    return rows


def print_row(row):
    low, high = row["ms_ci95"]
    shared = {None: "", True: "", False: " without shared expert"}[row["shared_expert"]]
    kind = " ".join(filter(None, ["tuned" if row["tuned"] else "default", row["variant"]]))
    line = f"{row['model']} T={row['tokens']}{shared}{' graph' if row['graph'] else ''} {kind}: {row['ms']:.4f} ms ({low:.4f}-{high:.4f})"
    for name, ms in row["peers_ms"].items():
        line += f"  {name} {ms:.4f} ({ms / row['ms']:.2f}x)"
    if row["parts_ms"]:
        rest = 1 - sum(row["parts_share"].get(step, 0) for step in GEMM_STEPS)
        parts = [f"{step} {row['parts_ms'][step] * 1000:.0f}" for step in STEPS if step in row["parts_ms"]]
        line += f"  parts us: {', '.join(parts)}; not GEMM {rest * 100:.0f}%"
    print(f"{line}  difference {row['max_difference']:.4f}", flush=True)


def add_arguments(parser, models):
    """Those of bench_block_backward.py too."""
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument("--db", help="tuning database for the tuned rows; default: MOE_TUNE_DB or the user's")
    parser.add_argument("--model", default="qwen3-30b-a3b", choices=list(models), help="default: %(default)s")
    parser.add_argument("--tokens", help="comma-separated; default: what the model's targets are set at")
    parser.add_argument("--rounds", type=int, default=100, help="samples of each at most (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for a call's rounds, 15 at least (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="rounds before them (default: %(default)s)")
    parser.add_argument("--part-rounds", type=int, default=30, help="samples of the parts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the rows, after each number of tokens")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, TOKENS)
    parser.add_argument("--eager", action="store_true", help="also transformers' eager experts at many tokens")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77
    torch.set_grad_enabled(False)
    bench = Bench(arguments)
    begin = time.perf_counter()
    weights = make_weights(arguments.model, seed=arguments.seed)
    hf = hf_block(weights)
    bench.say(f"{weights.name} on {bench.provenance['device']}: weights made in {time.perf_counter() - begin:.1f} s")
    try:
        host = measure_host(bench, weights)
        bench.say(f"host: {host}")
    except Exception as error:
        traceback.print_exc()
        bench.complain(f"host time: {error}")
        host = {}
    rows = []
    counts = [int(count) for count in arguments.tokens.split(",")] if arguments.tokens else TOKENS[arguments.model]
    for tokens in counts:
        for shared in (True, False) if weights.kind == "llama4" else (True,):
            begin = time.perf_counter()
            try:
                rows += bench_call(bench, weights, hf, tokens, shared, host)
            except Exception as error:
                traceback.print_exc()
                bench.complain(f"T={tokens}: {error}")
            bench.say(f"T={tokens} took {time.perf_counter() - begin:.1f} s")
            if arguments.json:
                write_rows(arguments.json, rows)
            torch.cuda.empty_cache()
    for row in rows:
        print_row(row)
    return 1 if bench.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
