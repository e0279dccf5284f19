"""Gradients of the peers' blocks (hf_blocks.py) by autograd, named and laid out as the library's backward has them."""

import dataclasses

import torch
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from hf_blocks import TorchLlama4, router_of, run_hf, run_hf_llama4_experts, run_hf_routed


def leaf(tensor):
    """Of the same memory, for autograd."""
    return tensor.detach().requires_grad_()


def clear_gradients(block, x):
    block.zero_grad(set_to_none=True)
    x.grad = None


def run_peer(block, x):
    return block(x) if isinstance(block, TorchLlama4) else run_hf(block, x)


def training_step(block, x, d_out):
    """The step of a training, whose gradients are None before."""
    with torch.enable_grad():
        run_peer(block, x).backward(d_out)


def gradients_of(block, x):
    """{name in moe_tune_block_backward_args: gradient} of the last backward; views of transposed ones."""
    is_torch = isinstance(block, TorchLlama4)
    experts = block if is_torch else block.experts
    gate = block.gate if is_torch else router_of(block).weight
    gate_up, down = experts.gate_up_proj.grad, experts.down_proj.grad
    if isinstance(block, Llama4TextMoe):
        gate_up, down = gate_up.transpose(1, 2), down.transpose(1, 2)
    gradients = {"d_hidden_states": x.grad, "d_gate": gate.grad, "d_gate_up_proj": gate_up, "d_down_proj": down}
    shared = getattr(block, "shared_expert", None)
    if shared is not None and shared.down_proj.weight.grad is not None:
        gradients["d_shared_gate_up_proj"] = torch.cat([shared.gate_proj.weight.grad, shared.up_proj.weight.grad])
        gradients["d_shared_down_proj"] = shared.down_proj.weight.grad
    return gradients


def peer_gradients(block, x, d_out):
    """gradients_of() one step; the block keeps none."""
    x = leaf(x)
    training_step(block, x, d_out)
    gradients = gradients_of(block, x)
    clear_gradients(block, x)
    return gradients


def hf_gradients(block, x, d_out, top_k, d_router_logits=None, shared=True):
    """(what transformers' block gives for each token, gradients_of() it), with a gradient of its logits too where there is one, and
    without Llama4's shared expert where it is not wanted."""
    x = leaf(x)
    run = run_hf_llama4_experts if isinstance(block, Llama4TextMoe) and not shared else run_hf
    with torch.enable_grad():
        routed = run_hf_routed(block, x, top_k, run)
        outputs, gradients = [routed.out], [d_out]
        if d_router_logits is not None:
            outputs.append(routed.router_logits)
            gradients.append(d_router_logits)
        torch.autograd.backward(outputs, gradients)
    gradients = gradients_of(block, x)
    clear_gradients(block, x)
    parts = {field.name: getattr(routed, field.name).detach() for field in dataclasses.fields(routed)}
    return dataclasses.replace(routed, **parts), gradients
