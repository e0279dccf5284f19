#!/usr/bin/env python3
"""Checks the library's MoE blocks at full model shapes against transformers' in the same process, through the C API.

Outputs are judged row by row by float64 from the same weights (block_reference.py), for up to 512 tokens of a call, with
transformers' selection injected: each row of ours may err by 1.5 times what 99% of transformers' own rows stay below. All rows are
compared with transformers' too. The router is tested apart, then launching: graphs, token counts, threads, workspaces, NaN, expert
ranges, reruns. Outputs are poisoned before they are written, rows behind them watched, and NaN fails. Needs a GPU, torch 2.9 or newer
and transformers.

Cases that end in "backward" are of training steps: rows of every gradient against float64 (gradient_reference.py), of which 99% may err
by 1.5 times what 99% of transformers' stay below, under every option of a block; sums, token counts, expert ranges; then reruns, graphs,
workspaces and a training.

    python3 tests/gpu/test_blocks.py --library build/release/lib/libmoe_tune.so
    python3 tests/gpu/test_blocks.py --cases qwen3-30b-a3b --soak 10000
    python3 tests/gpu/test_blocks.py --cases backward

Exit code 0 when all passed, 1 when not, 77 without a GPU.
"""

import argparse
import json
import sys
import time
import traceback

import torch

import backward_checks as backward
import backward_launch_checks as trained
import block_launch_checks as launched
from block_case import Case
from block_checks import check_against_hf, check_from_hf, check_router
from moe_tune_ctypes import Library
from training_case import TrainingCase

ALL_VARIANTS = [{"permute_x": x, "permute_y": y} for x in (True, False) for y in (True, False)]


class Results:
    """Runs checks, prints them as they end, and keeps them in the file."""

    def __init__(self, library, path):
        self.rows = []
        self.failures = []
        self._library = library
        self._path = path

    def run(self, check, subject, name, **arguments):
        """`subject` is a Case, or the library."""
        facts = {}
        begin = time.perf_counter()
        label = " ".join([check.__name__.removeprefix("check_"), name, *(f"{key}={value}" for key, value in arguments.items())])
        try:
            complaint = check(subject, facts, **arguments)
            torch.cuda.synchronize()
        except Exception as error:
            traceback.print_exc()
            complaint = f"{type(error).__name__}: {error}"
        try:
            torch.cuda.synchronize()
            if status := self._library.status():
                complaint = complaint or f"device status {status}"
        except Exception as error:
            self._add(check, name, arguments, facts, complaint or str(error), label, begin)
            raise SystemExit(f"the device does not answer any more after {label}: {complaint or error}") from error
        self._add(check, name, arguments, facts, complaint, label, begin)

    def _add(self, check, name, arguments, facts, complaint, label, begin):
        seconds = time.perf_counter() - begin
        text = facts.pop("text", "")
        passed = complaint is None
        print(
            f"{'ok    ' if passed else 'FAILED'} {label} ({seconds:.1f} s) {text if passed else complaint} {'' if passed else text}",
            flush=True,
        )
        if not passed:
            self.failures.append(label)
        row = {"check": check.__name__, "case": name, **arguments, **facts, "passed": passed, "complaint": complaint}
        self.rows.append({**row, "seconds": round(seconds, 2)})
        if self._path:
            with open(self._path, "w", encoding="utf-8") as file:
                json.dump(self.rows, file, indent=1)
                file.write("\n")


# By name: dtype, tokens, transformers' experts, variants beside the default one, tokens of the checks of launching.
CASES = {
    "qwen3-30b-a3b": ("bf16", (1, 16, 257, 8192), "grouped_mm", ALL_VARIANTS, 257),
    "qwen3-30b-a3b fp16": ("fp16", (16, 64), "batched_mm", ALL_VARIANTS[-1:], 64),
    "qwen3-235b-a22b": ("bf16", (512,), "grouped_mm", ALL_VARIANTS[-1:], 0),
    "llama4-scout": ("bf16", (16, 1024), "eager", ALL_VARIANTS, 96),
}


# By name: dtype, tokens of the comparison with float64, transformers' experts, and whether at them every option is tried.
BACKWARD_CASES = {
    "odd backward": ("bf16", 257, "grouped_mm", True),
    "odd fp16 backward": ("fp16", 257, "eager", False),
    "llama4-small backward": ("bf16", 257, "eager", True),
    "qwen3-30b-a3b backward": ("bf16", 4096, "grouped_mm", False),
    "llama4-scout backward": ("bf16", 2048, "eager", False),
}
FEW_TOKENS = 7  # so that there are experts without any
SOAK, SOAK_OF_TRAINING = 1000, 200


def options_of_gradients(is_llama, every):
    """Options of the blocks whose gradients are compared."""
    if not every:
        return [{"permute_x": x} for x in (True, False)] if is_llama else [{}, *ALL_VARIANTS[-1:]]
    options = [*ALL_VARIANTS, {"float32_dW": 1}]
    for permute_x in (True, False):
        options += [{"dW_only": 1, "permute_x": permute_x}, {"dX_only": 1, "permute_x": permute_x}]
    if is_llama:
        without, beside = {"no_shared_expert": 1}, {"overlap_router_shared": 1}
        options += [without, {**without, "dW_only": 1}, beside, {**beside, "dX_only": 1}]
    return options


def run_backward_case(library, results, name, soak):
    dtype, tokens, experts, every = BACKWARD_CASES[name]
    begin = time.perf_counter()
    case = TrainingCase(library, name.split(" ")[0], dtype, experts)
    print(f"-- {case.name} backward: made in {time.perf_counter() - begin:.1f} s", flush=True)

    def run(check, **arguments):
        results.run(check, case, f"{case.name} backward", **arguments)

    for options in options_of_gradients(case.is_llama, every):
        run(backward.check_gradients, tokens=tokens, **options)
    run(backward.check_gradients, tokens=tokens, with_logits=True)
    if not every:
        run(trained.check_training_reruns, tokens=tokens)
        return
    run(backward.check_gradients, tokens=FEW_TOKENS, with_logits=True)
    run(backward.check_float32_dW, tokens=tokens)
    for float32_dW in (0, 1):
        for count in (FEW_TOKENS, tokens):
            run(backward.check_accumulate, tokens=count, float32_dW=float32_dW)
    for options in ({}, {"permute_x": case.is_llama, "permute_y": False}):
        run(backward.check_gradients_of_ranges, tokens=tokens, **options)
        for there in (tokens, tokens // 3, 1, 0):
            run(backward.check_gradients_of_token_count, tokens=tokens, there=there, **options)
    run(backward.check_no_tokens_of_training)
    for options in (*ALL_VARIANTS, {"dW_only": 1}, {"dX_only": 1}):
        run(trained.check_backward_steps, tokens=tokens, **options)
        run(trained.check_training_reruns, tokens=tokens, **options)
        run(trained.check_training_graph, tokens=tokens, **options)
    if case.is_llama:
        for permute_x in (True, False):
            run(trained.check_training_overlap, tokens=tokens, permute_x=permute_x)
        run(trained.check_training_graph, tokens=tokens, overlap_router_shared=1)
    if soak:
        run(trained.check_training_soak, steps=soak, tokens=tokens)


def run_case(library, results, name, soak):
    dtype, tokens, experts, variants, launching = CASES[name]
    begin = time.perf_counter()
    case = Case(library, name.split(" ")[0], dtype, tokens, experts, variants, launching)
    print(f"-- {case.name}: made and prepared in {time.perf_counter() - begin:.1f} s", flush=True)
    for count in tokens:
        print(
            f"   T={count}: " + "; ".join(f"{gemm}: {case.default.explain(gemm, count)}" for gemm in ("gate_up", "down")),
            flush=True,
        )
    for count in tokens:
        for variant in case.blocks:
            results.run(check_against_hf, case, case.name, tokens=count, variant=variant)
    results.run(check_router, case, case.name, tokens=max(tokens))
    for count in {*tokens, launching} - {0}:
        results.run(launched.check_reruns, case, case.name, tokens=count)
    if launching:
        results.run(launched.check_steps, case, case.name, tokens=launching)
        results.run(launched.check_no_tokens, case, case.name)
        for check in (launched.check_nan, launched.check_workspace, launched.check_graph, launched.check_threads):
            results.run(check, case, case.name, tokens=launching)
        if dtype == "bf16":
            results.run(launched.check_ranges, case, case.name, tokens=launching)
        if case.weights.kind == "llama4":
            results.run(launched.check_overlap, case, case.name, tokens=launching)
        if soak:
            results.run(launched.check_soak, case, case.name, steps=soak)
    case.destroy()


def parse_arguments():
    all_cases = [*CASES, *BACKWARD_CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument(
        "--cases",
        default=",".join(all_cases),
        help="comma-separated; a word stands for all cases that have it (default: %(default)s)",
    )
    parser.add_argument(
        "--soak", type=int, help=f"steps of the soak of each case; 0: none (default: {SOAK}, of trainings {SOAK_OF_TRAINING})"
    )
    parser.add_argument("--json", metavar="FILE", help="write one row per check, after each")
    arguments = parser.parse_args()
    chosen = []
    for word in arguments.cases.split(","):
        cases = [word] if word in all_cases else [name for name in all_cases if word in name.split(" ")]
        if not cases:
            parser.error(f"--cases: {word} is not one of {', '.join(all_cases)}")
        chosen += cases
    arguments.cases = list(dict.fromkeys(chosen))
    return arguments


def main():
    arguments = parse_arguments()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77
    torch.set_grad_enabled(False)
    # What transformers is compared by should sum in float32.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False

    begin = time.time()
    library = Library(arguments.library)
    results = Results(library, arguments.json)
    for folder in ("qwen3_bf16_top8", "qwen3_f16", "llama4_bf16_top2"):
        results.run(check_from_hf, library, "checkpoint", folder=folder)
    for name in arguments.cases:
        run, soak = (run_backward_case, SOAK_OF_TRAINING) if name in BACKWARD_CASES else (run_case, SOAK)
        try:
            run(library, results, name, soak if arguments.soak is None else arguments.soak)
        except Exception as error:
            traceback.print_exc()
            results.failures.append(f"{name}: {type(error).__name__}: {error}")
        torch.cuda.empty_cache()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, moe-tune {library.version()}: {len(results.rows)} checks, "
        f"{len(results.failures)} failed, {time.time() - begin:.0f} s"
    )
    for failure in results.failures:
        print(f"failed: {failure}")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
