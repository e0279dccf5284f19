"""Gradients of blocks in float64, from the same 16-bit weights, and how far others are from them, row by row."""

import math

import torch

# A row whose true gradient is small beside those of the other rows is measured against this part of theirs: what is rounded before
# (activations, their gradients) errs by a part of its own size, not by one of what remains of their sums.
SMALL = 0.25
EXPERTS = ("d_gate_up_proj", "d_down_proj")


class SwigluMlp:
    """y = (silu(x G^T) * (x U^T)) D^T, all float64, and its gradients."""

    def __init__(self, x, gate_up, down):
        self._x, self._gate_up, self._down = x, gate_up, down
        self._gate, self._up = (x @ gate_up.T).chunk(2, dim=1)
        self._sigmoid = torch.sigmoid(self._gate)
        self._activation = self._gate * self._sigmoid * self._up
        self.y = self._activation @ down.T

    def backward(self, dy):
        """(dx, d_gate_up, d_down)"""
        d_activation = dy @ self._down
        d_gate = d_activation * self._up * self._sigmoid * (1 + self._gate * (1 - self._sigmoid))
        d_up = d_activation * self._gate * self._sigmoid
        d_gate_up = torch.cat([d_gate, d_up], dim=1)
        return d_gate_up @ self._gate_up, d_gate_up.T @ self._x, dy.T @ self._activation


def routing_weights(kind, logits, selected):
    chosen = logits.gather(1, selected)
    # Qwen3: softmax over all, then those of the selection by their sum, is softmax over the selection.
    return torch.sigmoid(chosen) if kind == "llama4" else torch.softmax(chosen, dim=1)


def float64_gradients(weights, hidden_states, selected_experts, logits, d_out, d_router_logits=None, shared=True):
    """Yields (name in moe_tune_block_backward_args, expert or None, gradient), those of the experts one after the other, as all would
    not fit. A block is judged by its own rounded logits, as in block_reference.py."""
    x, d_out, selected = hidden_states.double(), d_out.double(), selected_experts.long()
    top_k = selected.shape[1]
    scale_input = weights.kind == "llama4"
    with torch.enable_grad():
        logits = logits.detach().double().requires_grad_()
        scores = routing_weights(weights.kind, logits, selected)
    flat = scores.detach().flatten()
    d_scores = torch.zeros_like(flat)
    dx = torch.zeros_like(x)
    slots = selected.flatten()
    order = torch.argsort(slots, stable=True)
    begin = 0
    for expert, count in enumerate(torch.bincount(slots, minlength=weights.model.experts).tolist()):
        part = order[begin : begin + count]
        begin += count
        tokens, scale = part // top_k, flat[part, None]
        rows = x[tokens] * scale if scale_input else x[tokens]
        mlp = SwigluMlp(rows, weights.gate_up_proj[expert].double(), weights.down_proj[expert].double())
        d_rows, d_gate_up, d_down = mlp.backward(d_out[tokens] if scale_input else d_out[tokens] * scale)
        d_scores[part] = (d_rows * x[tokens]).sum(dim=1) if scale_input else (mlp.y * d_out[tokens]).sum(dim=1)
        dx.index_add_(0, tokens, d_rows * scale if scale_input else d_rows)
        yield "d_gate_up_proj", expert, d_gate_up
        yield "d_down_proj", expert, d_down
    if weights.kind == "llama4" and shared:
        mlp = SwigluMlp(x, weights.shared_gate_up_proj.double(), weights.shared_down_proj.double())
        d_rows, d_gate_up, d_down = mlp.backward(d_out)
        dx += d_rows
        yield "d_shared_gate_up_proj", None, d_gate_up
        yield "d_shared_down_proj", None, d_down
    (d_logits,) = torch.autograd.grad(scores, logits, d_scores.view_as(scores))
    if d_router_logits is not None:
        d_logits = d_logits + d_router_logits.double()
    yield "d_gate", None, d_logits.T @ x
    yield "d_hidden_states", None, dx + d_logits @ weights.gate.double()


def parts_of(gradients):
    """As float64_gradients(), of tensors."""
    for name, gradient in gradients.items():
        if gradient.dim() == 3:
            for expert, part in enumerate(gradient):
                yield name, expert, part
        else:
            yield name, None, gradient


def relative(differences, norms, exact_zeros):
    """Of rows: |difference| / |expected|; NaN counts as infinite, as does, with `exact_zeros`, anything where zeros are expected."""
    there = norms[norms > 0]
    floor = SMALL * there.median() if there.numel() else torch.zeros((), device=norms.device, dtype=norms.dtype)
    errors = differences / torch.maximum(norms, floor)
    if exact_zeros:
        errors = torch.where(norms > 0, errors, math.inf)
    errors = torch.where((norms == 0) & (differences == 0), 0.0, errors)
    return torch.nan_to_num(errors, nan=math.inf, posinf=math.inf)


def gradient_errors(found, expected):
    """{name: error of every row} of found gradients, by what float64_gradients() or parts_of() yields."""
    norms = {}
    for name, expert, part in expected:
        if name in found:
            of_found = found[name] if expert is None else found[name][expert]
            part = part.double()
            norms.setdefault(name, []).append(((of_found.double() - part).norm(dim=1), part.norm(dim=1)))
    missing = found.keys() - norms.keys()
    assert not missing, f"nothing to compare {missing} with"
    # The router's gradient by an expert that nobody chose is what rounding leaves of a sum; that of its matrices is of no rows at all.
    return {name: relative(*map(torch.cat, zip(*parts)), name in EXPERTS) for name, parts in norms.items()}
