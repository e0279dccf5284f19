"""Whole MoE blocks at model shapes on random weights: transformers' own, a formulation on torch._grouped_mm, and the library's. All
of a Weights share its memory, but for Llama4's experts, which transformers holds transposed."""

import dataclasses
import math

import torch
import torch.nn.functional as F
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe
from transformers.models.qwen3_moe.configuration_qwen3_moe import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from moe_layer import DTYPES, MODELS, Model
from moe_tune_block import Block

# Of transformers' experts: what integrations/moe.py has (eager is the block's own text), without the kernels of other packages.
EXPERTS = ("grouped_mm", "batched_mm", "eager")


def random_generator(seed):
    """One of our own: the default one may be left in a bad state by a capture that fails."""
    return torch.Generator(device="cuda").manual_seed(seed)


def random_weight(generator, dtype, *shape):
    """Scaled so that products are about as large as what goes in."""
    weight = torch.empty(shape, device="cuda", dtype=dtype)
    for part in weight if weight.dim() == 3 else [weight]:  # the float32 random numbers of all would need twice the memory
        part.copy_(torch.randn(part.shape, device="cuda", generator=generator) / math.sqrt(shape[-1]))
    return weight


@dataclasses.dataclass(frozen=True)
class Weights:
    """A block's weights in the library's layout."""

    name: str
    model: Model
    kind: str  # qwen3 or llama4
    dtype: torch.dtype
    gate: torch.Tensor  # (E, H)
    gate_up_proj: torch.Tensor  # (E, 2 I, H)
    down_proj: torch.Tensor  # (E, H, I)
    shared_gate_up_proj: torch.Tensor | None  # (2 S, H); Llama4 only
    shared_down_proj: torch.Tensor | None  # (H, S)

    def tensors(self, first=0, count=None, shared=True):
        """{name in moe_tune_block_args: tensor}, of a range of experts."""
        end = None if count is None else first + count
        names = ("shared_gate_up_proj", "shared_down_proj") if self.kind == "llama4" and shared else ()
        return {
            "gate": self.gate,
            "gate_up_proj": self.gate_up_proj[first:end],
            "down_proj": self.down_proj[first:end],
            **{name: getattr(self, name) for name in names},
        }

    def block(self, library, **options):
        """The library's block; options as in moe_tune_block_options."""
        part = (options.get("first_expert", 0), options.get("expert_count") or None)
        tensors = self.tensors(*part, shared=not options.get("no_shared_expert"))
        return Block.create(library, self.kind, self.model.top_k, tensors, **options)

    def hidden_states(self, tokens, seed=1):
        return torch.randn(tokens, self.model.hidden, device="cuda", generator=random_generator(seed)).to(self.dtype)


def make_weights(name, dtype="bf16", seed=1):
    model = MODELS[name]
    kind = "llama4" if name.startswith("llama4") else "qwen3"
    E, H, I = model.experts, model.hidden, model.intermediate
    shapes = {"gate": (E, H), "gate_up_proj": (E, 2 * I, H), "down_proj": (E, H, I)}
    shared = {"shared_gate_up_proj": (2 * I, H), "shared_down_proj": (H, I)}
    generator = random_generator(seed + 1000)  # apart from those of hidden_states()
    made = {
        key: random_weight(generator, DTYPES[dtype], *shape) if key in shapes or kind == "llama4" else None
        for key, shape in {**shapes, **shared}.items()
    }
    return Weights(name, model, kind, DTYPES[dtype], **made)


def set_weight(module, name, tensor):
    setattr(module, name, torch.nn.Parameter(tensor, requires_grad=False))


def hf_block(weights, experts="grouped_mm"):
    """Qwen3MoeSparseMoeBlock or Llama4TextMoe on these weights. `experts` is one of EXPERTS; Llama4's has no choice."""
    model = weights.model
    with torch.device("meta"):  # the weights come below
        if weights.kind == "qwen3":
            config = Qwen3MoeConfig(
                hidden_size=model.hidden,
                moe_intermediate_size=model.intermediate,
                num_experts=model.experts,
                num_experts_per_tok=model.top_k,
                norm_topk_prob=True,
                experts_implementation=experts,
            )
            block = Qwen3MoeSparseMoeBlock(config)
        else:
            config = Llama4TextConfig(
                hidden_size=model.hidden,
                intermediate_size=model.intermediate,
                num_local_experts=model.experts,
                num_experts_per_tok=model.top_k,
            )
            block = Llama4TextMoe(config)
    set_weight(router_of(block), "weight", weights.gate)
    if weights.kind == "qwen3":
        set_weight(block.experts, "gate_up_proj", weights.gate_up_proj)
        set_weight(block.experts, "down_proj", weights.down_proj)
    else:
        set_weight(block.experts, "gate_up_proj", weights.gate_up_proj.transpose(1, 2).contiguous())
        set_weight(block.experts, "down_proj", weights.down_proj.transpose(1, 2).contiguous())
        gate, up = weights.shared_gate_up_proj.chunk(2)
        set_weight(block.shared_expert.gate_proj, "weight", gate)
        set_weight(block.shared_expert.up_proj, "weight", up)
        set_weight(block.shared_expert.down_proj, "weight", weights.shared_down_proj)
    missing = [name for name, parameter in block.named_parameters() if parameter.is_meta]
    assert not missing, f"{missing} of transformers' block got no weights"
    return block


def router_of(block):
    return block.gate if hasattr(block, "gate") else block.router


def run_hf(block, hidden_states):
    """(tokens, H) output of the block."""
    out = block(hidden_states[None])
    out = out[0] if isinstance(out, tuple) else out
    return out.reshape(hidden_states.shape)


def run_hf_llama4_experts(block, hidden_states):
    """As Llama4TextMoe.forward, without the shared expert."""
    scores, _ = block.router(hidden_states)
    experts = scores.shape[1]
    routed_in = hidden_states.repeat(experts, 1) * scores.transpose(0, 1).reshape(-1, 1)
    return block.experts(routed_in).reshape(experts, *hidden_states.shape).sum(dim=0)


@dataclasses.dataclass
class Routed:
    """What a block gives for each token."""

    out: torch.Tensor  # (T, H)
    router_logits: torch.Tensor  # (T, E)
    selected_experts: torch.Tensor  # (T, top_k) int32
    topk_weights: torch.Tensor  # (T, top_k)


def run_hf_routed(block, hidden_states, top_k, run=run_hf):
    """`run` is how the block is run: run_hf or run_hf_llama4_experts."""
    results = []
    with router_of(block).register_forward_hook(lambda module, inputs, result: results.append(result)):
        out = run(block, hidden_states)
    if len(results[0]) == 3:
        logits, weights, selected = results[0]
    else:
        scores, logits = results[0]
        # The router keeps its selection to itself: scores of others are 0.
        selected = torch.topk(scores, top_k, dim=1).indices
        weights = scores.gather(1, selected)
    return Routed(out, logits, selected.to(torch.int32).contiguous(), weights)


class TorchLlama4(torch.nn.Module):
    """Llama4's block as unsloth's torch-native reference has it (weights [E, N, K], rows in expert order), on torch._grouped_mm."""

    def __init__(self, weights, shared_expert):
        super().__init__()
        self._model = weights.model
        self.shared_expert = shared_expert  # transformers' module, or None
        set_weight(self, "gate", weights.gate)
        set_weight(self, "gate_up_proj", weights.gate_up_proj)
        set_weight(self, "down_proj", weights.down_proj)

    def forward(self, x):
        top_k, experts = self._model.top_k, self._model.experts
        logits = F.linear(x, self.gate)
        values, selected = torch.topk(logits, top_k, dim=1)
        scores = torch.sigmoid(values.float()).to(x.dtype).flatten()
        slots = selected.flatten()
        order = torch.argsort(slots, stable=True)
        # Not bincount, which waits for the device.
        counts = torch.histc(slots.int(), bins=experts, min=0, max=experts - 1)
        offsets = torch.cumsum(counts, dim=0, dtype=torch.int32)
        rows = x[order // top_k] * scores[order, None]
        gate, up = torch._grouped_mm(rows, self.gate_up_proj.transpose(1, 2), offs=offsets).chunk(2, dim=1)
        rows = torch._grouped_mm(F.silu(gate) * up, self.down_proj.transpose(1, 2), offs=offsets)
        unpermuted = torch.empty_like(rows)
        unpermuted[order] = rows
        out = unpermuted.view(-1, top_k, x.shape[1]).sum(dim=1) if top_k > 1 else unpermuted
        return out if self.shared_expert is None else self.shared_expert(x).add_(out)
