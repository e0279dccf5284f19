"""Blocks in float64, from the same 16-bit weights: what errors of rows are measured against."""

import math

import torch
import torch.nn.functional as F


def swiglu_mlp(x, gate_up, down):
    """All float64."""
    gate, up = (x @ gate_up.T).chunk(2, dim=1)
    return (F.silu(gate) * up) @ down.T


class BlockReference:
    """Of some tokens (float64 hidden states, their selected experts): their outputs, given logits. These are an argument so that a
    block is judged by its own rounded ones: of the routing weights they make up most of the error, and are tested apart."""

    def __init__(self, weights, hidden_states, selected_experts):
        self._weights = weights
        self._x = hidden_states.double()
        self._selected = selected_experts.long()
        self._choices = None
        self._shared = None
        if weights.kind == "qwen3":
            self._choices = self._expert_outputs(torch.ones_like(self._selected, dtype=torch.float64))
        else:
            self._shared = swiglu_mlp(self._x, weights.shared_gate_up_proj.double(), weights.shared_down_proj.double())

    def _expert_outputs(self, scales):
        """(T, top_k, H): of scaled tokens, through every expert that they chose."""
        tokens, top_k = self._selected.shape
        slots = self._selected.flatten()
        order = torch.argsort(slots, stable=True)
        rows = torch.empty(tokens * top_k, self._x.shape[1], device=self._x.device, dtype=torch.float64)
        begin = 0
        for expert, count in enumerate(torch.bincount(slots, minlength=self._weights.model.experts).tolist()):
            if count:
                part = order[begin : begin + count]
                x = self._x[part // top_k] * scales.flatten()[part, None]
                gate_up, down = self._weights.gate_up_proj[expert].double(), self._weights.down_proj[expert].double()
                rows[part] = swiglu_mlp(x, gate_up, down)
                begin += count
        return rows.view(tokens, top_k, -1)

    def out(self, logits):
        """(T, H) float64."""
        if self._weights.kind == "llama4":
            scores = torch.sigmoid(logits.double().gather(1, self._selected))
            return self._shared + self._expert_outputs(scores).sum(dim=1)
        scores = torch.softmax(logits.double(), dim=1).gather(1, self._selected)
        return ((scores / scores.sum(dim=1, keepdim=True))[..., None] * self._choices).sum(dim=1)


def row_errors(found, expected):
    """|found - expected| / |expected| of every row; NaN counts as infinite."""
    difference = (found.double() - expected.double()).norm(dim=1)
    return torch.nan_to_num(difference / expected.double().norm(dim=1), nan=math.inf, posinf=math.inf)
