#!/usr/bin/env python3
"""Times training steps of the library's MoE blocks, forward and backward, beside transformers' own in the same rounds (fair_timing.py),
medians over the rounds.

    default, tuned             the library without a database, and with --db or the user's; left out where that says nothing
    transformers grouped_mm    transformers' block with these experts; Llama4's own has one way only
    torch                      Llama4: the block on torch._grouped_mm, weights as the library has them (hf_blocks.py)

A step of a peer is out = block(x); out.backward(d_out), where x and all weights require gradients, which are None before. A step of the
library is a forward that keeps what the backward reads, and that, which writes all gradients. Llama4's variants are those of
bench_block.py, with the shared expert. Gradients are compared with transformers' before; a wrong block has no row. Then the parts of a
step, by events between the backward's; and the memory that a step needs at its peak above weights, x and d_out, where the library's
outputs, gradients and workspaces are allocated by torch as the peers' are. Needs a GPU, torch 2.9 or newer and transformers.

    python3 tests/gpu/bench_block_backward.py --db tuned.json --model qwen3-30b-a3b --json docs/benchmarks/block-backward-qwen3-30b-a3b.json
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import gc
import statistics
import sys
import time
import traceback

import torch

from bench_block import ALIKE, PEERS_ALIKE, SLEEP_CYCLES, Bench, Ours, add_arguments, variants
from bench_support import EVICT_BYTES, is_tuned, write_rows
from fair_timing import measure_rounds, median_with_interval
from gradient_reference import gradient_errors, parts_of
from hf_blocks import TorchLlama4, hf_block, make_weights, random_generator
from hf_gradients import clear_gradients, hf_gradients, leaf, peer_gradients, training_step

TOKENS = {"qwen3-30b-a3b": (8192,), "qwen3-235b-a22b": (16384,), "llama4-scout": (8192,)}
# Between transformers' rows and ours, both rounded: what 99% stay below, and all. Rows of weights whose numbers cancel err by more.
MOST_AGAINST_HF, AGAINST_HF = 0.03, 0.1
MIB = 1 << 20


def bits(tensor):
    return tensor.view(torch.int16)


def empty_bytes(size):
    return torch.empty(size, device="cuda", dtype=torch.uint8)


def empty_gradients(weights, x):
    of_weights = {f"d_{name}": torch.empty_like(tensor) for name, tensor in weights.tensors().items()}
    return {"d_hidden_states": torch.empty_like(x), **of_weights}


class Buffers:
    """What steps of any of the blocks write: they follow each other on one stream."""

    def __init__(self, weights, x, blocks):
        tokens = x.shape[0]
        self.out = torch.empty_like(x)
        self.gradients = empty_gradients(weights, x)
        self.saved = empty_bytes(max(block.saved_bytes(tokens) for block in blocks))
        self.workspace = empty_bytes(max(block.training_workspace_bytes(tokens) for block in blocks))

    def poison(self):
        for tensor in (self.out, *self.gradients.values()):
            bits(tensor).fill_(-1)


@dataclasses.dataclass(eq=False)
class Peer:
    """A block of torch's or transformers', all of which requires gradients."""

    block: object
    x: torch.Tensor
    d_out: torch.Tensor

    def run(self):
        training_step(self.block, self.x, self.d_out)

    def clear(self):
        clear_gradients(self.block, self.x)


@dataclasses.dataclass(eq=False)
class TrainedOurs(Ours):
    """A block of the library; `call` is a step."""

    buffers: Buffers | None = None


def make_step(ours, buffers, x, d_out, on_step=None, **forward):
    """(forward, backward), made beforehand."""
    memory = {"saved": buffers.saved, "workspace": buffers.workspace}
    return (
        ours.block.call(x, buffers.out, **memory, **forward),
        ours.block.backward_call(x, d_out, on_step=on_step, **memory, **buffers.gradients),
    )


def run_step(step):
    for call in step:
        call.run()


def make_ours(bench, weights, x):
    """The library's blocks, compiled and loaded; tuned ones where there is a database."""
    tokens = x.shape[0]
    made = []
    for kind, library in bench.libraries.items():
        for options in variants(weights, shared=True):
            try:
                ours = TrainedOurs(kind, options, weights.block(library, **options), out=None)
                ours.config = {gemm: ours.block.explain(gemm, tokens) for gemm in ("gate_up", "down")}
                if kind == "tuned" and not bench.arguments.db and not any(map(is_tuned, ours.config.values())):
                    bench.say(f"T={tokens} {ours.name}: no database has these GEMMs; no row")
                    ours.block.destroy()
                    continue
                made.append(ours)
            except (Exception, SystemExit) as error:
                bench.complain(f"T={tokens} {kind} {options}: {error}")

    def prepare(ours):
        try:
            ours.block.prepare_training([tokens])
        except Exception as error:
            return error
        return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        errors = dict(zip(made, pool.map(prepare, made)))
    for ours, error in errors.items():
        if error is not None:
            bench.complain(f"T={tokens} {ours.name}: {error}")
            ours.block.destroy()
    return [ours for ours in made if errors[ours] is None]


def worst(errors):
    """(what 99% of the rows stay below, the worst row), of the gradient where that is most."""
    return max(of_rows.quantile(0.99).item() for of_rows in errors.values()), max(
        of_rows.max().item() for of_rows in errors.values()
    )


def verify(bench, weights, made, hf, x, d_out):
    """Those whose gradients are transformers' when its selection is given, and whose timed call has these of hidden states wherever both
    chose the same experts."""
    routed, theirs = hf_gradients(hf, x, d_out, weights.model.top_k)
    their_choice = routed.selected_experts.sort(dim=1).values
    right = []
    for ours in made:
        buffers = ours.buffers
        buffers.poison()
        run_step(make_step(ours, buffers, x, d_out, selected_experts=routed.selected_experts, inject_selection=True))
        most, ours.difference = worst(gradient_errors(buffers.gradients, parts_of(theirs)))
        buffers.poison()
        run_step(ours.call)
        first = {name: tensor.clone() for name, tensor in buffers.gradients.items()}
        buffers.poison()
        selected = torch.empty_like(routed.selected_experts)
        run_step(make_step(ours, buffers, x, d_out, selected_experts=selected))
        same = all(torch.equal(bits(first[name]), bits(tensor)) for name, tensor in buffers.gradients.items())
        finite = all(bool(tensor.isfinite().all()) for tensor in first.values())
        alike = (selected.sort(dim=1).values == their_choice).all(dim=1)
        of_tokens = {"d_hidden_states": first["d_hidden_states"][alike]}
        _, of_alike = worst(gradient_errors(of_tokens, parts_of({"d_hidden_states": theirs["d_hidden_states"][alike]})))
        del first
        if status := bench.status():
            bench.complain(f"{ours.name}: device status {status}")
        elif not same:
            bench.complain(f"{ours.name}: two runs differ")
        elif not finite or not most <= MOST_AGAINST_HF or not max(ours.difference, of_alike) <= AGAINST_HF:
            bench.complain(
                f"{ours.name}: a row differs from transformers' by {max(ours.difference, of_alike):.3g}, 99% by {most:.3g}"
            )
        elif alike.double().mean().item() < ALIKE:
            bench.complain(f"{ours.name}: {int((~alike).sum())} of {len(alike)} selections differ from transformers'")
        else:
            right.append(ours)
    return right, theirs


def working_peers(bench, blocks, x, d_out, theirs):
    """Those whose gradients are transformers' but for tokens whose logits tie, which may go to other experts."""
    working = {}
    for name, block in blocks.items():
        try:
            found = peer_gradients(block, x, d_out)
            alike = {key: of_rows <= AGAINST_HF for key, of_rows in gradient_errors(found, parts_of(theirs)).items()}
            shares = {key: rows.double().mean().item() for key, rows in alike.items()}
            if min(shares.values()) >= PEERS_ALIKE:
                working[name] = Peer(block, leaf(x), d_out)
            else:
                bench.complain(f"{name}: rows like transformers': {shares}")
        except Exception as error:
            traceback.print_exc()
            bench.complain(f"{name}: {error}")
    return working


def make_peer_blocks(weights, hf):
    if weights.kind == "llama4":
        return {"torch": TorchLlama4(weights, hf.shared_expert).requires_grad_(), "transformers": hf}
    return {"transformers grouped_mm": hf}


def measure_parts(bench, ours, x, d_out):
    """{part: milliseconds, median}: the forward, and each step of the backward. As in bench_block.py."""
    events = collections.defaultdict(lambda: torch.cuda.Event(enable_timing=True))
    step = make_step(ours, ours.buffers, x, d_out, on_step=lambda name: events[name].record())
    samples = collections.defaultdict(list)
    for number in range(3 + bench.arguments.part_rounds):
        bench.evict(EVICT_BYTES)
        torch.cuda._sleep(SLEEP_CYCLES)
        events["forward"].record()
        run_step(step)
        torch.cuda.synchronize()
        if number < 3:
            continue
        names = list(events)
        for name, following in zip(names, names[1:]):
            samples[name].append(events[name].elapsed_time(events[following]))
    return {name: statistics.median(values) for name, values in samples.items()}


@dataclasses.dataclass(frozen=True)
class Peak:
    """Bytes that a step has of torch's allocator at most, above what there was before."""

    all: int
    activations: int  # at most of all but gradients of weights: whenever that is


def measure_peak(step):
    """Of a step that returns the gradients of weights that it made; by the allocator's own record."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.memory._record_memory_history(context=None, max_entries=1 << 20)
    try:
        gradients = step()
        torch.cuda.synchronize()
        events = torch.cuda.memory._snapshot()["device_traces"][torch.cuda.current_device()]
    finally:
        torch.cuda.memory._record_memory_history(enabled=None)
    events = [event for event in events if event["action"] in ("alloc", "free_completed")]
    # What lies at an address now is what was allocated there last.
    last = {event["addr"]: number for number, event in enumerate(events) if event["action"] == "alloc"}
    of_weights = {last[tensor.untyped_storage().data_ptr()] for tensor in gradients}
    living = {}
    peak = {True: 0, False: 0}
    used = {True: 0, False: 0}
    for number, event in enumerate(events):
        if event["action"] == "alloc":
            living[event["addr"]] = (event["size"], number in of_weights)
            size, is_weight = living[event["addr"]]
        else:
            size, is_weight = living.pop(event["addr"], (0, False))  # of before the step
            size = -size
        used[True] += size
        used[False] += 0 if is_weight else size
        peak = {key: max(peak[key], used[key]) for key in peak}
    return Peak(peak[True], peak[False])


def step_in_fresh_memory(weights, block, x, d_out):
    """Allocates what a training would where it would; returns the gradients of weights."""
    tokens = x.shape[0]
    out, saved = torch.empty_like(x), empty_bytes(block.saved_bytes(tokens))
    block.call(x, out, saved=saved, workspace=empty_bytes(block.training_workspace_bytes(tokens))).run()
    gradients = empty_gradients(weights, x)
    workspace = empty_bytes(block.training_workspace_bytes(tokens))
    block.backward_call(x, d_out, saved=saved, workspace=workspace, **gradients).run()
    return [tensor for name, tensor in gradients.items() if name != "d_hidden_states"]


def peer_step(peer):
    peer.run()
    return [parameter.grad for parameter in peer.block.parameters()]


def measure_peaks(weights, ours, peers, x, d_out):
    """({ours: Peak}, {name of a peer: Peak})"""
    of_peers = {}
    for name, peer in peers.items():
        peer.clear()
        of_peers[name] = measure_peak(lambda peer=peer: peer_step(peer))
        peer.clear()
    return {one: measure_peak(lambda one=one: step_in_fresh_memory(weights, one.block, x, d_out)) for one in ours}, of_peers


def make_row(bench, weights, ours, x, samples, peers, parts, peaks):
    median, interval = median_with_interval(samples[ours.name])
    of_ours, of_peers = peaks
    total = sum(parts.values())
    return {
        "block": True,
        "backward": True,
        "model": weights.name,
        "tokens": x.shape[0],
        "variant": ours.variant,
        "shared_expert": True if weights.kind == "llama4" else None,
        "graph": False,
        "tuned": ours.kind == "tuned",
        "dtype": "bf16",
        "ms": round(median, 5),
        "ms_ci95": [round(bound, 5) for bound in interval],
        "peers_ms": {name: round(statistics.median(samples[name]), 5) for name in peers},
        "parts_ms": {name: round(value, 5) for name, value in parts.items()},
        "parts_share": {name: round(value / total, 4) for name, value in parts.items()},
        "peak_mib": round(of_ours[ours].all / MIB, 1),
        "peers_peak_mib": {name: round(peak.all / MIB, 1) for name, peak in of_peers.items()},
        "activations_mib": round(of_ours[ours].activations / MIB, 1),
        "peers_activations_mib": {name: round(peak.activations / MIB, 1) for name, peak in of_peers.items()},
        "max_difference": round(ours.difference, 5),
        "config": ours.config,
        "rounds": len(samples[ours.name]),
        "evict_mib": EVICT_BYTES >> 20,
        **bench.provenance,
    }


def measure(bench, weights, hf, made, x, d_out):
    """The rows of these blocks."""
    ours, theirs = verify(bench, weights, made, hf, x, d_out)
    peers = working_peers(bench, make_peer_blocks(weights, hf), x, d_out, theirs)
    del theirs
    torch.cuda.empty_cache()
    if not ours:
        return []

    def before_sample():
        for peer in peers.values():
            peer.clear()
        bench.evict(EVICT_BYTES)

    calls = {name: peer.run for name, peer in peers.items()}
    calls |= {one.name: (lambda one=one: run_step(one.call)) for one in ours}
    limits = {"warm_up": bench.arguments.warm_up, "most": bench.arguments.rounds, "least": min(15, bench.arguments.rounds)}
    samples = measure_rounds(calls, before_sample, bench.order, seconds=bench.arguments.seconds, **limits)
    for peer in peers.values():
        peer.clear()
    parts = {}
    for one in ours:
        if not one.options.get("overlap_router_shared"):  # whose steps run beside each other
            parts[one] = measure_parts(bench, one, x, d_out)
    for one in ours:
        one.call = one.buffers = None
    peaks = measure_peaks(weights, ours, peers, x, d_out)
    return [make_row(bench, weights, one, x, samples, peers, parts.get(one, {}), peaks) for one in ours]


def bench_call(bench, weights, hf, tokens):
    """The rows of one number of tokens."""
    x = weights.hidden_states(tokens, seed=bench.arguments.seed)
    generator = random_generator(bench.arguments.seed + 2000)
    d_out = torch.randn(x.shape, device="cuda", generator=generator).to(x.dtype)
    made = make_ours(bench, weights, x)
    try:
        buffers = Buffers(weights, x, [ours.block for ours in made]) if made else None
        for ours in made:
            ours.buffers = buffers
            ours.call = make_step(ours, buffers, x, d_out)
        del buffers
        rows = measure(bench, weights, hf, made, x, d_out)
    finally:
        torch.cuda.synchronize()
        for ours in made:
            ours.call = ours.buffers = None
            ours.block.destroy()
    if status := bench.status():
        bench.complain(f"T={tokens}: device status {status}")
    return rows


def print_row(row):
    low, high = row["ms_ci95"]
    kind = " ".join(filter(None, ["tuned" if row["tuned"] else "default", row["variant"]]))
    print(
        f"{row['model']} T={row['tokens']} {kind}: {row['ms']:.4f} ms ({low:.4f}-{high:.4f}), difference {row['max_difference']:.4f}"
    )
    for name, ms in row["peers_ms"].items():
        print(f"    {name} {ms:.4f} ms, {ms / row['ms']:.2f}x")
    print(f"    parts us: {', '.join(f'{name} {ms * 1000:.0f}' for name, ms in row['parts_ms'].items()) or '-'}")
    print(f"    peak MiB: {row['peak_mib']:.0f}, {row['activations_mib']:.0f} without gradients of weights")
    for name, peak in row["peers_peak_mib"].items():
        without = row["peers_activations_mib"][name]
        print(
            f"    peak MiB, {name}: {peak:.0f}, {without:.0f} without gradients of weights; ours {row['peak_mib'] / peak:.2f} and "
            f"{row['activations_mib'] / without:.2f} of it"
        )
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, TOKENS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77
    torch.set_grad_enabled(False)
    bench = Bench(arguments)
    weights = make_weights(arguments.model, seed=arguments.seed)
    hf = hf_block(weights).requires_grad_()
    bench.say(f"{weights.name} on {bench.provenance['device']}")
    rows = []
    for tokens in [int(count) for count in arguments.tokens.split(",")] if arguments.tokens else TOKENS[arguments.model]:
        begin = time.perf_counter()
        try:
            rows += bench_call(bench, weights, hf, tokens)
        except Exception as error:
            traceback.print_exc()
            bench.complain(f"T={tokens}: {error}")
        bench.say(f"T={tokens} took {time.perf_counter() - begin:.1f} s")
        if arguments.json:
            write_rows(arguments.json, rows)
        gc.collect()
        torch.cuda.empty_cache()
    for row in rows:
        print_row(row)
    return 1 if bench.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
