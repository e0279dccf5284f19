"""What the backward of blocks computes: checks of test_blocks.py against float64, judged beside transformers' gradients. Each returns
what is wrong, or None; what it measured goes into `facts`."""

import dataclasses
import math

import torch

from block_checks import AGAINST_HF
from block_reference import row_errors
from gradient_reference import EXPERTS, gradient_errors, parts_of
from row_tolerance import row_tolerance
from training_case import bits

# Of every row, against float64: a swapped expert is far above. Where transformers' worst row is worse, this many times that; errors of
# gradients that a single token makes are those of single numbers, and vary by chance.
ROW_BOUND, ROW_OF_THEIRS = 0.05, 2.0
ROW_BOUND_FEW, ROW_OF_THEIRS_FEW = 0.1, 3.0
FEW = 64  # tokens, fewer than these
OF_THEIRS = 1.5  # what 99% of the rows stay below


def summary(errors):
    quantiles = torch.quantile(errors, torch.tensor([0.5, 0.99], device=errors.device, dtype=errors.dtype))
    return {"p50": quantiles[0].item(), "p99": quantiles[1].item(), "max": errors.max().item()}


def complaint_of(errors, their_errors, facts, few=False):
    """Of {name: errors of the rows}; the first that is wrong. `few`: of tokens."""
    bound, times = (ROW_BOUND_FEW, ROW_OF_THEIRS_FEW) if few else (ROW_BOUND, ROW_OF_THEIRS)
    complaint, texts = None, []
    for name, of_rows in errors.items():
        ours, theirs = summary(of_rows), summary(their_errors[name])
        facts[name] = {**ours, **{f"hf_{key}": value for key, value in theirs.items()}}
        numbers = " ".join(f"{key} {ours[key]:.4f} ({theirs[key]:.4f})" for key in ours)
        texts.append(f"{name} {numbers}")
        if not few and not ours["p99"] <= OF_THEIRS * theirs["p99"]:
            complaint = complaint or f"{name}: 1% of the rows err by {ours['p99']:.5f}, of transformers' by {theirs['p99']:.5f}"
        if not ours["max"] <= max(bound, times * theirs["max"]):
            complaint = complaint or f"{name}: a row is wrong by {ours['max']:.4f}"
    facts["text"] = f"row errors and transformers': {'; '.join(texts)}"
    return complaint


def check_gradients(case, facts, tokens, with_logits=False, **options):
    """Rows of every gradient against float64, as transformers' rows are; options are those of the block."""
    shared = not options.get("no_shared_expert")
    inputs, routed, their_errors = case.their_errors(tokens, with_logits, shared)
    with case.trained(tokens, **options) as trained:
        step = trained.run(inputs)
    gradients, outputs = step.gradients.tensors, step.outputs
    errors = case.errors(gradients, inputs, inputs.selected, outputs.router_logits, shared)
    complaint = complaint_of(errors, their_errors, facts, few=tokens < FEW)
    beside_hf = row_errors(outputs.out, routed.out).max().item()
    if not beside_hf <= AGAINST_HF:
        return f"a row of the output differs from transformers' by {beside_hf:.4f}"
    return complaint or step.complaint()


def check_float32_dW(case, facts, tokens):
    """Are those of 16 bits before they are rounded."""
    inputs, _, _ = case.their_errors(tokens, False, True)
    with case.trained(tokens) as trained:
        rounded = trained.run(inputs).gradients.of_weights
    with case.trained(tokens, float32_dW=1) as trained:
        exact = trained.run(inputs).gradients.of_weights
    errors = {name: of_rows.max().item() for name, of_rows in gradient_errors(rounded, parts_of(exact)).items()}
    facts |= errors
    for name, tensor in exact.items():
        if not errors[name] <= row_tolerance(case.dtype):
            return f"{name}: a row differs from the rounded one by {errors[name]:.5f}"
        if torch.equal(tensor, tensor.to(case.weights.dtype).float()):
            return f"{name} was rounded"
    return None


def check_accumulate(case, facts, tokens, float32_dW):
    """Gradients of weights are added to what was there; experts without tokens keep their bits, and that of the hidden states is
    written."""
    inputs, _, _ = case.their_errors(tokens, False, True)
    with case.trained(tokens, float32_dW=1) as trained:
        fresh = trained.run(inputs).gradients
    generator = torch.Generator(device="cuda").manual_seed(3)
    with case.trained(tokens, accumulate=True, float32_dW=float32_dW) as trained:
        step = trained.step(inputs)
        step.poison()
        old = {}
        for name, tensor in step.gradients.of_weights.items():
            # As large as what is added.
            typical = fresh[name].square().mean().sqrt()
            tensor.copy_(torch.randn(tensor.shape, device="cuda", generator=generator) * typical)
            old[name] = tensor.clone()
        step.run()
        torch.cuda.synchronize()
    tolerance = row_tolerance("fp32" if float32_dW else case.dtype)
    counts = torch.bincount(inputs.selected.flatten().long(), minlength=case.weights.model.experts)
    for name, before in old.items():
        found = step.gradients[name]
        if name in EXPERTS and not torch.equal(bits(found[counts == 0]), bits(before[counts == 0])):
            return f"{name}: an expert without tokens was changed"
        error = gradient_errors({name: found}, parts_of({name: before.double() + fresh[name].double()}))[name].max().item()
        facts[name] = error
        if not error <= tolerance:
            return f"{name}: a row is not the sum, by {error:.6f}"
    facts["experts_without_tokens"] = int((counts == 0).sum())
    error = row_errors(step.gradients["d_hidden_states"], fresh["d_hidden_states"]).max().item()
    if not error <= 2 * row_tolerance(case.dtype):
        return f"d_hidden_states: a row differs from one without sums by {error:.5f}"
    return step.complaint()


def check_gradients_of_ranges(case, facts, tokens, **options):
    """Two processes' shares add up to the whole. Those of hidden states and router are rounded twice, and as large as the whole at
    most by chance; they may err by three times as much."""
    inputs, _, their_errors = case.their_errors(tokens, True, True)
    half = case.weights.model.experts // 2
    shared_once = {"no_shared_expert": 1} if case.is_llama else {}
    shares = []
    for range_of_experts in ({"first_expert": 0}, {"first_expert": half, **shared_once}):
        with case.trained(tokens, expert_count=half, **range_of_experts, **options) as trained:
            step = trained.run(inputs)
        if complaint := step.complaint():
            return complaint
        shares.append(step.gradients.tensors)
        logits = step.outputs.router_logits
        inputs = dataclasses.replace(inputs, d_router_logits=None)  # a gradient of logits comes in once
    first, second = shares
    whole = {name: torch.cat([first[name], second[name]]) for name in EXPERTS}
    whole |= {name: first[name].float() + second[name].float() for name in ("d_hidden_states", "d_gate")}
    whole |= {name: tensor for name, tensor in first.items() if name not in whole}
    errors = case.errors(whole, case.their_errors(tokens, True, True)[0], inputs.selected, logits)
    scale = {name: 3 if name in ("d_hidden_states", "d_gate") else 1 for name in errors}
    return complaint_of({name: of_rows / scale[name] for name, of_rows in errors.items()}, their_errors, facts)


def check_gradients_of_token_count(case, facts, tokens, there, **options):
    """Tokens behind the count neither matter, NaN as they are, nor are written."""
    inputs = case.inputs(tokens, with_logits=True, seed=tokens)
    theirs = case.inputs(tokens, with_logits=True, seed=tokens).first(there)
    for tensor in (inputs.x, inputs.d_out, inputs.d_router_logits):
        tensor[there:] = math.nan
    inputs.token_count = torch.full((1,), there, device="cuda", dtype=torch.int32)
    if there > 0:
        routed, gradients = case.theirs(theirs)
        their_errors = case.errors(gradients, theirs, routed.selected_experts, routed.router_logits)
        inputs.selected = torch.zeros(tokens, case.weights.model.top_k, device="cuda", dtype=torch.int32)
        inputs.selected[:there] = routed.selected_experts
    with case.trained(tokens, **options) as trained:
        step = trained.run(inputs)
    if complaint := step.complaint(there):
        return complaint
    if there == 0:
        return not_zero(step)
    found = {**step.gradients.tensors, "d_hidden_states": step.gradients["d_hidden_states"][:there]}
    errors = case.errors(found, theirs, routed.selected_experts, step.outputs.router_logits[:there])
    return complaint_of(errors, their_errors, facts, few=there < FEW)


def not_zero(step):
    wrong = [name for name, tensor in step.gradients.of_weights.items() if bool((tensor != 0).any())]
    return f"{', '.join(wrong)} of no tokens is not zero" if wrong else None


def check_no_tokens_of_training(case, facts):
    with case.trained(0) as trained:
        step = trained.run(case.inputs(0))
    return not_zero(step) or step.complaint()
