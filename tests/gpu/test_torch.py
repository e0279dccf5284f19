#!/usr/bin/env python3
"""Checks the library against products of torch, row by row, through the C API on torch tensors.

Needs a GPU and torch; no pytest. Every output is poisoned first, every row of every expert judged, and NaN fails. Up to 129
tokens torch computes in float64, above in float32.

    python3 tests/gpu/test_torch.py --library build/release/lib/libmoe_tune.so
    python3 tests/gpu/test_torch.py --models odd --configs sm90
"""

import argparse
import concurrent.futures
import json
import sys
import time

import torch

from moe_layer import MODELS, Layer, make_problem, make_weight, route
from moe_tune_ctypes import Library, MoeTuneError, parse_config
from row_tolerance import row_tolerance

TOKENS = (0, 1, 3, 17, 64, 129, 1024, 8192)
FLOAT64_TOKENS = 129
ROUTINGS = ("uniform", "zipf:1.0", "half_empty", "one_expert")
# Of configs by hand: what the library chooses is the one that is tried with everything.
BY_HAND_TOKENS = 1024
BY_HAND_ROUTINGS = ("zipf:1.0",)

CHOICE = "choice"
FAMILIES = {
    "sm80": ("sm80_64x128x64_w4m2_s3_c2_mfast", "sm80_128x256x128_w8m2_s2_c1_nfast"),
    # Clusters with tiles so wide that every GEMM here has an even number of them, down's permute_y included.
    "sm90": (
        "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
        "sm90_128x256x64_weights_coop_w12_s3_c1_x2_static_nfast_dispatch",
        "sm90_128x128x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_inkernel",
        "sm90_64x256x64_tokens_coop_w8_s4_c1_x1_static_mfast_dispatch",
        "sm90_16x64x64_weights_coop_w8_s8_c2_x1_queue_mfast_inkernel",
        "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead",
        "sm90_64x256x64_weights_pingpong_w12_s4_c1_x2_static_mfast_dispatch",
        "sm90_64x256x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_inkernel",
        "sm90_128x192x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
    ),
}

RERUNS = 100
WORKSPACE_GUARD = 256


def problems(model, dtype):
    """Every operation, permutation and fusion of the two GEMMs."""
    for permuted in (False, True):
        for gemm in ("gate_up", "down"):
            for op in ("forward", "dX", "dW"):
                yield make_problem(model, gemm, dtype, permuted, op)
        gate_up = make_problem(model, "gate_up", dtype, permuted)
        yield gate_up.with_fusions(("swiglu",))
        yield gate_up.with_fusions(("swiglu", "keep_pre_activation"))
    gate_up = make_problem(model, "gate_up", dtype)
    yield gate_up.with_fusions(("mul_pre",))
    yield gate_up.with_fusions(("mul_pre", "swiglu"))
    yield gate_up.with_fusions(("mul_pre", "swiglu", "keep_pre_activation"))
    yield make_problem(model, "down", dtype).with_fusions(("mul_post",))
    yield make_problem(model, "gate_up", dtype, op="dW").with_fusions(("float32_dw",))
    yield make_problem(model, "gate_up", dtype, op="dW").with_fusions(("accumulate",))
    yield make_problem(model, "down", dtype, op="dW").with_fusions(("float32_dw", "accumulate"))


def guarded_workspace(call):
    """A poisoned workspace of the size that the call asks for, used by it, and bytes after it; or None."""
    size = call.workspace_bytes()
    if size == 0:
        return None
    memory = torch.full((size + WORKSPACE_GUARD,), 255, device="cuda", dtype=torch.uint8)
    call.use_workspace(memory[:size])
    return memory[size:]


def check(library, config, problem, tokens, routing, weight, number):
    """Runs one call; returns (worst error of a row, complaint or None)."""
    index_dtype = torch.int64 if number % 2 else torch.int32
    layer = Layer(problem, tokens, routing, weight, index_dtype, seed=tokens + 1)
    layer.poison()
    call = library.call(layer, config)
    guard = guarded_workspace(call) if number % 2 else None
    call.run()
    torch.cuda.synchronize()
    status = library.status()
    if status != 0:
        return float("inf"), f"device status {status}"
    if not layer.guard_intact():
        return float("inf"), "wrote past the end of an output"
    if guard is not None and not bool((guard == 255).all()):
        return float("inf"), "wrote past the end of the workspace"
    errors = layer.max_error_per_expert(layer.reference(torch.float64 if tokens <= FLOAT64_TOKENS else torch.float32))
    if not layer.kept_without_rows():
        return float("inf"), "changed dW of an expert without rows"
    tolerance = row_tolerance("fp32" if problem.float32_dw else problem.dtype)
    bad = {expert: error for expert, error in errors.items() if not error <= tolerance}
    worst = max(errors.values(), default=0.0)
    if bad:
        return worst, f"{len(bad)} of {len(errors)} experts wrong, first {min(bad)} with a row error of {bad[min(bad)]:.3g}"
    return worst, None


def prepare(call, tokens):
    """Compiles the kernels of these token counts; returns what the library says against it, if anything."""
    try:
        call.prepare(tokens)
        return None
    except MoeTuneError as error:
        return error


def check_bad_slot(library, config):
    """A bad slot must be reported through the device status, and must not stop the call."""
    problem = make_problem("odd", "gate_up")
    layer = Layer(problem, 64, "uniform")
    layer.gather_indices[5] = -1
    layer.poison()
    library.status()
    library.call(layer, config).run()
    torch.cuda.synchronize()
    status = library.status()
    rest = torch.cat([layer.y[:5], layer.y[6:]])
    if status != 1:
        return f"device status {status} after a bad slot, 1 was expected"
    if not bool(layer.y[5].float().abs().max() == 0):
        return "the row of a bad slot is not the product of zeros"
    return "a row was not written" if bool(rest.isnan().any()) else None


def check_graph(library, config):
    """A captured call reads new m_sizes when it is replayed, whoever owns its workspace."""
    problem = make_problem("odd", "gate_up")
    for own_workspace in (False, True):
        layer = Layer(problem, 129, "uniform")
        call = library.call(layer, config)
        call.prepare()
        if own_workspace:
            guarded_workspace(call)
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
                return f"replay {seed}, {own_workspace=}: row error {max(errors.values()):.3g}"
    return None


def check_reruns(library, config):
    """Further runs leave the bits of the first."""
    problems_of_ops = [make_problem("odd", gemm, op=op) for gemm in ("gate_up", "down") for op in ("forward", "dX", "dW")]
    down_dw = make_problem("odd", "down", op="dW")
    fused = [make_problem("odd", "down").with_fusions(("mul_post",))]
    fused += [down_dw.with_fusions(names) for names in (("accumulate",), ("float32_dw", "accumulate"))]
    for problem in (*problems_of_ops, *fused):
        layer = Layer(problem, 1024, "zipf:1.0")
        call = library.call(layer, config)
        if config is not None and prepare(call, None):
            continue  # refused, which the matrix has said
        same = layer.identical_reruns(call.run, RERUNS)
        if same != RERUNS:
            return f"{problem.describe()}: {RERUNS - same} of {RERUNS} reruns differ from a first run"
    return None


def check_usage_error(library, config):
    """A bad argument is an error with a message, not a crash."""

    def short_weight(layer):
        layer.w = layer.w[:, :, :-8]

    def narrow_output(layer):
        layer.outputs["y"] = layer.y[:, :-8]

    def other_type(layer):
        layer.outputs["y"] = layer.y.to(torch.float16)

    for spoil in (short_weight, narrow_output, other_type):
        layer = Layer(make_problem("odd", "gate_up"), 3, "uniform")
        spoil(layer)
        try:
            library.call(layer, config).run()
        except MoeTuneError as error:
            if not error.is_usage or len(str(error)) <= 40:
                return f"{spoil.__name__}: an unhelpful message: {error}"
        else:
            return f"{spoil.__name__} was accepted"
    return None


def routed_slots(model, tokens):
    """(slots in expert order, rows of every expert) of a routing."""
    experts = route("zipf:1.0", tokens, model.experts, model.top_k).flatten()
    return torch.argsort(experts, stable=True), torch.bincount(experts, minlength=model.experts)


def random_rows(*shape):
    return torch.randn(*shape, device="cuda").bfloat16()


def poisoned(*shape, dtype=torch.bfloat16):
    return torch.full(shape, float("nan"), device="cuda", dtype=dtype)


def row_error_complaint(**outputs):
    """What is wrong with rows, (found, expected) by name: NaN fails."""
    for name, (found, expected) in outputs.items():
        errors = (found.double() - expected).norm(dim=-1) / expected.norm(dim=-1)
        if not bool((errors <= row_tolerance("bf16")).all()):
            return f"{name}: row error {errors.max().item():.3g}"
    return None


def check_permute_rows(library, _):
    """Rows in expert order are torch's, from tokens and from slots."""
    model, tokens = MODELS["odd"], 513
    slots, m_sizes = routed_slots(model, tokens)
    for slots_per_row, index_dtype in ((model.top_k, torch.int64), (1, torch.int32)):
        x = random_rows(slots.numel() // slots_per_row, model.hidden)
        rows = poisoned(slots.numel(), model.hidden)
        indices = slots.to(index_dtype)
        library.row_operation("permute_rows", slots_per_row, x=x, rows=rows, gather_indices=indices, m_sizes=m_sizes)
        if not torch.equal(rows, x[slots // slots_per_row]):
            return f"{slots_per_row=}: rows differ from torch's"
    return None


def check_combine_rows(library, _):
    """Sums over the choices, weighted and plain, against float64."""
    model, tokens = MODELS["odd"], 513
    rows = random_rows(tokens * model.top_k, model.hidden)
    weights = torch.rand(tokens, model.top_k, device="cuda") + 0.25
    choices = rows.double().view(tokens, model.top_k, model.hidden)
    for given, factors in (({"topk_weights": weights}, weights.double()), ({}, torch.ones_like(weights).double())):
        out = poisoned(tokens, model.hidden)
        library.row_operation("combine_rows", model.top_k, rows=rows, out=out, **given)
        if complaint := row_error_complaint(out=(out, (choices * factors[..., None]).sum(1))):
            return f"{'weighted' if given else 'plain'} {complaint}"
    return None


def check_scaled_rows(library, _):
    """Rows in expert order times their weights, and back in the order of slots."""
    model, tokens = MODELS["odd"], 513
    slots, m_sizes = routed_slots(model, tokens)
    x, weights = random_rows(tokens, model.hidden), torch.rand(tokens, model.top_k, device="cuda") + 0.25
    rows, out = poisoned(slots.numel(), model.hidden), poisoned(slots.numel(), model.hidden)
    library.row_operation(
        "permute_rows", model.top_k, x=x, rows=rows, gather_indices=slots, m_sizes=m_sizes, topk_weights=weights
    )
    library.row_operation("unpermute_rows", 0, rows=rows, out=out, gather_indices=slots, m_sizes=m_sizes)
    expected = (x.repeat_interleave(model.top_k, dim=0).float() * weights.flatten()[:, None]).bfloat16()
    return None if torch.equal(out, expected) else "rows differ from torch's"


def check_act_and_mul(library, _):
    """SwiGLU against float64."""
    model, rows = MODELS["odd"], 1027
    x, out = random_rows(rows, 2 * model.intermediate), poisoned(rows, model.intermediate)
    library.row_operation("act_and_mul", 0, x=x, out=out)
    gate, up = x.double().chunk(2, dim=1)
    return row_error_complaint(out=(out, torch.nn.functional.silu(gate) * up))


def check_combine_sorted_rows(library, _):
    """Rows in expert order, some of them somebody else's, are added to what stands in `out`, for the tokens that are there."""
    model, tokens, there = MODELS["odd"], 513, 400
    slots, _ = routed_slots(model, tokens)
    slot_rows = torch.empty_like(slots, dtype=torch.int32)
    slot_rows[slots] = torch.arange(slots.numel(), device="cuda", dtype=torch.int32)
    absent = torch.arange(slots.numel(), device="cuda") % 3 == 1
    by_slot = random_rows(slots.numel(), model.hidden)
    rows = by_slot[slots]
    rows[slot_rows[absent].long()] = float("nan")
    slot_rows[absent] = -1
    addend = random_rows(tokens, model.hidden)
    out = addend.clone()
    library.row_operation(
        "combine_rows",
        model.top_k,
        rows=rows,
        out=out,
        addend=out,
        slot_rows=slot_rows,
        token_count=torch.tensor([there], device="cuda", dtype=torch.int32),
        expert_order=1,
    )
    terms = by_slot.double().masked_fill(absent[:, None], 0).view(tokens, model.top_k, model.hidden)
    if not torch.equal(out[there:], addend[there:]):
        return "a token that is not there was written"
    return row_error_complaint(out=(out[:there], (addend.double() + terms.sum(1))[:there]))


def check_router(library, _):
    """Logits, selection, weights and order of few tokens and of many, against torch on the same logits."""
    model = MODELS["odd"]
    for kind, tokens in (("softmax_norm_topk", 513), ("softmax", 17), ("sigmoid", 129)):
        slots = tokens * model.top_k
        integers = {
            name: torch.full(shape, -9, device="cuda", dtype=torch.int32)
            for name, shape in (
                ("selected_experts", (tokens, model.top_k)),
                ("m_sizes", (model.experts,)),
                ("gather_indices", (slots,)),
                ("slot_rows", (slots,)),
            )
        }
        x, weight = random_rows(tokens, model.hidden), random_rows(model.experts, model.hidden) * model.hidden**-0.5
        logits, weights = poisoned(tokens, model.experts), poisoned(tokens, model.top_k)
        library.router(kind, hidden_states=x, weight=weight, router_logits=logits, topk_weights=weights, **integers)
        if complaint := row_error_complaint(logits=(logits, x.double() @ weight.double().T)):
            return f"{kind}: {complaint}"
        experts = torch.sort(logits.float(), dim=1, descending=True, stable=True).indices[:, : model.top_k]
        if not torch.equal(integers["selected_experts"], experts.int()):
            return f"{kind}: selected_experts differ"
        scores = torch.sigmoid(logits.double()) if kind == "sigmoid" else torch.softmax(logits.double(), dim=1)
        expected = scores.gather(1, experts)
        if kind == "softmax_norm_topk":
            expected = expected / expected.sum(1, keepdim=True)
        if complaint := row_error_complaint(topk_weights=(weights, expected)):
            return f"{kind}: {complaint}"
        gather_indices = torch.argsort(experts.flatten(), stable=True)
        slot_rows = torch.argsort(gather_indices)
        m_sizes = torch.bincount(experts.flatten(), minlength=model.experts)
        for name, wanted in (("gather_indices", gather_indices), ("slot_rows", slot_rows), ("m_sizes", m_sizes)):
            if not torch.equal(integers[name], wanted.int()):
                return f"{kind}: {name} differ"
    return None


def check_swiglu_gradient(library, _):
    """All outputs against torch's gradients in float64."""
    model, tokens = MODELS["odd"], 513
    slots, m_sizes = routed_slots(model, tokens)
    gradient = random_rows(slots.numel(), model.intermediate)
    pre = random_rows(slots.numel(), 2 * model.intermediate)
    weights = torch.rand(tokens, model.top_k, device="cuda") + 0.25
    d_pre, activation, d_weights = poisoned(*pre.shape), poisoned(*gradient.shape), poisoned(*weights.shape, dtype=torch.float32)
    library.row_operation(
        "swiglu_gradient",
        model.top_k,
        d_activation=gradient,
        pre_activation=pre,
        d_pre_activation=d_pre,
        activation=activation,
        topk_weights=weights,
        d_topk_weights=d_weights,
        gather_indices=slots,
        m_sizes=m_sizes,
    )
    pre_64, weights_64 = pre.double().requires_grad_(), weights.double().requires_grad_()
    gate, up = pre_64.chunk(2, dim=1)
    scaled = torch.nn.functional.silu(gate) * up * weights_64.flatten()[slots][:, None]
    scaled.backward(gradient.double())
    complaint = row_error_complaint(d_pre=(d_pre, pre_64.grad), activation=(activation, scaled.detach()))
    # A sum over the columns may cancel: it is judged by the size of its terms.
    bound = 1e-5 * weights_64.grad.abs().max()
    if complaint is None and not bool(((d_weights.double() - weights_64.grad).abs() <= bound).all()):
        return "d_topk_weights differs"
    return complaint


CHECKS = (
    *(check_bad_slot, check_graph, check_reruns, check_usage_error),
    *(check_permute_rows, check_combine_rows, check_swiglu_gradient),
    *(check_scaled_rows, check_act_and_mul, check_combine_sorted_rows, check_router),
)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/lib/libmoe_tune.so", help="libmoe_tune.so (default: %(default)s)")
    parser.add_argument("--models", default="qwen3-30b-a3b,llama4-scout,odd", help=f"comma-separated, of {', '.join(MODELS)}")
    parser.add_argument("--tokens", default=",".join(map(str, TOKENS)), help="comma-separated (default: %(default)s)")
    parser.add_argument("--dtypes", default="bf16,fp16", help="default: %(default)s; fp16 for the odd shape only")
    parser.add_argument(
        "--configs",
        default=f"{CHOICE},{','.join(FAMILIES)}",
        help=f"comma-separated: {CHOICE} (the library's), some of a family, or names (default: %(default)s); but the choice's, "
        f"with up to {BY_HAND_TOKENS} tokens",
    )
    parser.add_argument("--json", metavar="FILE", help="write one row per call")
    arguments = parser.parse_args()
    arguments.tokens = [int(tokens) for tokens in arguments.tokens.split(",")]
    return arguments


def chosen_configs(text):
    """{name of a config, None for the library's choice: None}, in order."""
    configs = {}
    for word in text.split(","):
        if word == "sm90" and torch.cuda.get_device_capability() != (9, 0):
            print("not tried: sm90, which needs compute capability 9.0")
            continue
        for name in FAMILIES.get(word, (word,)):
            if name != CHOICE:
                parse_config(name)
            configs[None if name == CHOICE else name] = None
    return list(configs)


class Results:
    def __init__(self):
        self.rows = []
        self.failures = []
        self.accepted = set()  # configs that some problem takes
        self.refused = {}  # config: problems, of configs by hand

    def fail(self, text):
        self.failures.append(text)
        print("FAILED", text, flush=True)


def run_matrix(library, configs, model, dtype, arguments, results):
    """All problems of one model and dtype under all configs."""
    weights = {gemm: make_weight(make_problem(model, gemm, dtype)) for gemm in ("gate_up", "down")}
    cases = [(config, problem) for config in configs for problem in problems(model, dtype)]
    counts = {config: [count for count in arguments.tokens if config is None or count <= BY_HAND_TOKENS] for config in configs}
    calls = [library.call(Layer(problem, 1, "uniform", weights[problem.gemm]), config) for config, problem in cases]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(prepare, calls, [counts[config] for config, _ in cases]))
    for (config, problem), error in zip(cases, errors):
        name = f"{config or CHOICE}: {model} {problem.describe()}"
        if error:
            results.refused.setdefault(config, []).append(problem)
            if config is None or not error.is_usage:
                results.fail(f"{name}: {error}")
            continue
        results.accepted.add(config)
        for number, tokens in enumerate(counts[config]):
            for routing in ROUTINGS if config is None else BY_HAND_ROUTINGS:
                try:
                    error, complaint = check(library, config, problem, tokens, routing, weights[problem.gemm], number)
                except MoeTuneError as failure:
                    error, complaint = float("inf"), str(failure)
                if complaint:
                    results.fail(f"{name} T={tokens} {routing}: {complaint}")
                results.rows.append(
                    {
                        "config": config or CHOICE,
                        "model": model,
                        "op": problem.op,
                        "gemm": problem.gemm,
                        "permuted": problem.permuted,
                        "fusions": problem.fusions,
                        "dtype": dtype,
                        "tokens": tokens,
                        "routing": routing,
                        "max_rel_err": error,
                        "passed": complaint is None,
                    }
                )


def print_groups(title, rows, name):
    """A line for each group of rows, which `name` says of a row."""
    groups = {}
    for row in rows:
        groups.setdefault((name(row), row["dtype"]), []).append(row)
    print(f"\n{title:70} {'dtype':5} {'calls':>5} {'failed':>6}  worst row error")
    for (group_name, dtype), group in groups.items():
        worst = max(row["max_rel_err"] for row in group)
        failed = sum(not row["passed"] for row in group)
        print(f"{group_name:70} {dtype:5} {len(group):5} {failed:6}  {worst:.5f}")


def print_summary(results):
    print_groups("config", results.rows, lambda row: row["config"])
    print_groups(
        "rows",
        results.rows,
        lambda row: " + ".join([row["op"], row["gemm"], "permuted" if row["permuted"] else "sorted", *row["fusions"]]),
    )
    print()
    for config, refused in results.refused.items():
        print(f"{config or CHOICE}: refused by {len(refused)} problems")


def main():
    arguments = parse_arguments()
    if not torch.cuda.is_available():
        print("no GPU: not tried")
        return 77
    torch.backends.cuda.matmul.allow_tf32 = False

    library = Library(arguments.library)
    configs = chosen_configs(arguments.configs)
    results = Results()
    begin = time.time()
    for model in arguments.models.split(","):
        for dtype in arguments.dtypes.split(","):
            if dtype != "fp16" or model == "odd":
                run_matrix(library, configs, model, dtype, arguments, results)
                torch.cuda.empty_cache()
    others = 0
    for config in configs:
        if config not in results.accepted:
            results.fail(f"{config or CHOICE}: no problem takes it")
            continue
        for test in CHECKS:
            others += 1
            try:
                complaint = test(library, config)
            except MoeTuneError as error:
                complaint = str(error)
            if complaint:
                results.fail(f"{config or CHOICE}: {test.__name__}: {complaint}")

    print_summary(results)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, moe-tune {library.version()}: {len(results.rows)} calls and "
        f"{others} other checks, {len(results.failures)} failed, {time.time() - begin:.0f} s; "
        f"tolerance bf16 {row_tolerance('bf16'):.5f}, fp16 {row_tolerance('fp16'):.5f}"
    )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results.rows, file, indent=1)
            file.write("\n")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
