"""What blocks compute: checks of test_blocks.py against float64 and transformers. Each returns what is wrong, or None; what it
measured goes into `facts`."""

import math
import pathlib

import safetensors.torch
import torch

from block_reference import BlockReference, row_errors
from hf_blocks import run_hf_routed
from moe_tune_block import Block
from row_tolerance import row_tolerance

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
SAMPLE = 512
# Of rows outside the sample, against transformers': one swapped expert or missing row is far above.
AGAINST_HF = 0.03
LOGIT_NOISE = 2.0**-13  # above what sums of products of size 1 in float32 differ by


def sample_of(tokens):
    return torch.linspace(0, tokens - 1, min(tokens, SAMPLE), device="cuda").round().long()


def ulp(values, dtype):
    """A unit in the last place of these float64 values."""
    mantissa_bits = {torch.bfloat16: 7, torch.float16: 10}[dtype]
    exponents = torch.floor(torch.log2(values.abs().clamp_min(torch.finfo(dtype).smallest_normal)))
    return torch.exp2(exponents - mantissa_bits)


def max_error_text(errors):
    return f"max {errors.max().item():.5f} p99 {errors.quantile(0.99).item():.5f}"


def check_against_hf(case, facts, tokens, variant):
    """Rows against float64, as transformers' rows are."""
    block = case.blocks[variant]
    x = case.weights.hidden_states(tokens, seed=tokens)
    routed = run_hf_routed(case.hf, x, case.weights.model.top_k)
    outputs = case.run(block, x, routed.selected_experts)
    sample = sample_of(tokens)
    reference = BlockReference(case.weights, x[sample], routed.selected_experts[sample])
    hf_errors = row_errors(routed.out[sample], reference.out(routed.router_logits[sample]))
    errors = row_errors(outputs.out[sample], reference.out(outputs.router_logits[sample]))
    beside_hf = row_errors(outputs.out, routed.out).max().item()
    bound = 1.5 * hf_errors.quantile(0.99).item()
    facts |= {
        "max": errors.max().item(),
        "p99": errors.quantile(0.99).item(),
        "hf_max": hf_errors.max().item(),
        "hf_p99": hf_errors.quantile(0.99).item(),
        "beside_hf": beside_hf,
        "text": f"row error {max_error_text(errors)}; transformers' {max_error_text(hf_errors)}; between them {beside_hf:.4f}",
    }
    if not outputs.untouched_behind(tokens, ("out", "router_logits", "topk_weights")):
        return "wrote behind its outputs"
    if not errors.max().item() <= bound:
        return f"a row is wrong by {errors.max().item():.5f}; {bound:.5f} is allowed"
    if not beside_hf <= AGAINST_HF:
        return f"a row differs from transformers' by {beside_hf:.4f}"
    return weights_complaint(case, facts, outputs, routed)


def weights_complaint(case, facts, outputs, routed):
    """Routing weights against float64 from the block's own logits, and against transformers' where logits are the same."""
    logits = outputs.router_logits.double()
    selected = routed.selected_experts.long()
    if case.weights.kind == "llama4":
        exact = torch.sigmoid(logits.gather(1, selected))
    else:
        exact = torch.softmax(logits, dim=1).gather(1, selected)
        exact = exact / exact.sum(dim=1, keepdim=True)
    error = ((outputs.topk_weights.double() - exact).abs() / exact).max().item()
    same_logits = (outputs.router_logits == routed.router_logits).all(dim=1)
    distance = (outputs.topk_weights.double() - routed.topk_weights.double()).abs() / ulp(exact, case.weights.dtype)
    apart = distance[same_logits].max().item() if bool(same_logits.any()) else 0.0
    facts |= {"weights_max": error, "weights_ulps_from_hf": apart}
    if not error <= row_tolerance(case.dtype):
        return f"a routing weight is wrong by {error:.5f}"
    return None if apart <= 1.001 else f"a routing weight is {apart:.1f} ulp from transformers'"


def check_router(case, facts, tokens):
    """Logits and selection without injection; a selection may differ from transformers' where logits nearly tie."""
    weights, dtype = case.weights, case.weights.dtype
    x = weights.hidden_states(tokens, seed=tokens)
    routed = run_hf_routed(case.hf, x, weights.model.top_k)
    outputs = case.run(case.default, x)
    exact = x.double() @ weights.gate.double().T
    ours, theirs = outputs.router_logits.double(), routed.router_logits.double()
    step = ulp(torch.maximum(ours.abs(), theirs.abs()), dtype)
    facts["logits_equal"] = (ours == theirs).double().mean().item()
    # Next to zero a unit is smaller than what sums in another order differ by.
    facts["logits_max_ulp"] = ((ours - theirs).abs() / step)[exact.abs() >= 0.125].max().item()
    facts["logits_excess"] = ((ours - exact).abs() - ulp(exact, dtype) / 2).max().item()
    chosen, chosen_by_hf = (
        torch.zeros_like(exact, dtype=torch.bool).scatter_(1, selection.long(), True)
        for selection in (outputs.selected_experts, routed.selected_experts)
    )
    mine, hfs = chosen & ~chosen_by_hf, chosen_by_hf & ~chosen
    differing = mine.any(dim=1)
    facts["selections_differ"] = int(differing.sum())
    facts["text"] = (
        f"{facts['logits_equal'] * 100:.2f}% of the logits are transformers', others within {facts['logits_max_ulp']:.1f} ulp; "
        f"{facts['selections_differ']} of {tokens} selections differ"
    )
    if not facts["logits_excess"] <= LOGIT_NOISE:  # NaN too
        return f"a logit is {facts['logits_excess']:.2g} further from float64's than rounding explains"
    if not bool(((ours - theirs).abs() <= step + LOGIT_NOISE).all()):
        return "a logit is more than one ulp from transformers'"
    in_order = ours.sort(dim=1, descending=True, stable=True).indices[:, : weights.model.top_k]
    if not torch.equal(in_order.int(), outputs.selected_experts):
        return "a selection is not that of the largest logits, of equal ones the lowest id first"
    if bool(differing.any()):
        mine, hfs, exact = mine[differing], hfs[differing], exact[differing]
        low, high = math.inf, -math.inf

        def extremes(mask):
            return exact.masked_fill(~mask, low).amin(dim=1), exact.masked_fill(~mask, high).amax(dim=1)

        (mine_min, mine_max), (hf_min, hf_max) = extremes(mine), extremes(hfs)
        gap = torch.maximum((mine_max - hf_min).abs(), (hf_max - mine_min).abs())
        largest = torch.maximum(mine_max.abs(), hf_max.abs())
        facts["largest_gap"] = gap.max().item()
        if not bool((gap <= ulp(largest, dtype) + 2 * LOGIT_NOISE).all()):
            return f"a selection differs from transformers' though logits are {facts['largest_gap']:.3g} apart"
    # The same selection given from outside changes nothing.
    again = case.run(case.default, x, outputs.selected_experts.clone())
    again.selected_experts.copy_(outputs.selected_experts)
    return None if bool(again.same(outputs)) else "its own selection, injected, gives other bits"


def check_from_hf(library, facts, folder):
    """A checkpoint of one layer, against what transformers computed from it (tests/golden)."""
    tensors = safetensors.torch.load_file(GOLDEN / folder / "model.safetensors")
    golden = {key.removeprefix("golden."): tensor.cuda() for key, tensor in tensors.items() if key.startswith("golden.")}
    x = golden["hidden_states"].flatten(0, 1).contiguous()
    out = torch.full_like(x, math.nan)
    with Block.from_hf(library, GOLDEN / folder, 0) as block:
        block.call(x, out, selected_experts=golden["selected_experts"].int().contiguous(), inject_selection=True).run()
        torch.cuda.synchronize()
    error = row_errors(out, golden["out"].flatten(0, 1)).max().item()
    facts |= {"max": error, "text": f"a row differs from transformers' by at most {error:.4f}"}
    return None if error <= AGAINST_HF else f"a row differs by {error:.4f}"
