"""Training steps of the library's blocks, with what they write, beside transformers' gradients: for backward_checks.py and
backward_launch_checks.py."""

import dataclasses

import torch

from block_case import GUARD_ROWS, Outputs
from gradient_reference import float64_gradients, gradient_errors
from hf_blocks import hf_block, make_weights, random_generator
from hf_gradients import hf_gradients

GUARD_BYTES = 256


def bits(tensor):
    return tensor.view(torch.int16)


class Gradients:
    """What a backward writes, with rows behind it."""

    def __init__(self, trained, tokens):
        weights, options = trained.weights, trained.options
        self._guarded, self.tensors = {}, {}
        if not options.get("dW_only"):
            self._add("d_hidden_states", (tokens, weights.model.hidden), weights.dtype)
        if not options.get("dX_only"):
            dtype = torch.float32 if options.get("float32_dW") else weights.dtype
            for name, tensor in trained.weight_tensors().items():
                self._add(f"d_{name}", tensor.shape, dtype)

    def _add(self, name, shape, dtype):
        rows = torch.Size(shape[:-1]).numel()
        self._guarded[name] = torch.empty(rows + GUARD_ROWS, shape[-1], device="cuda", dtype=dtype)
        self.tensors[name] = self._guarded[name][:rows].view(shape)

    def __getitem__(self, name):
        return self.tensors[name]

    @property
    def of_weights(self):
        return {name: tensor for name, tensor in self.tensors.items() if name != "d_hidden_states"}

    def poison(self):
        for tensor in self._guarded.values():
            bits(tensor).fill_(-1)

    def untouched_behind(self, tokens=None):
        """Whether rows behind the gradients still have their poison, of the hidden states those from this token on."""
        rows = {name: tensor.shape[0] - GUARD_ROWS for name, tensor in self._guarded.items()}
        if tokens is not None and "d_hidden_states" in rows:
            rows["d_hidden_states"] = tokens
        return all(bool((bits(tensor)[rows[name] :] == -1).all()) for name, tensor in self._guarded.items())

    def same(self, other, tokens=None):
        """On the device: whether these have the other's bits, of the hidden states those of so many tokens."""
        pairs = [
            (tensor[:tokens], other[name][:tokens]) if name == "d_hidden_states" else (tensor, other[name])
            for name, tensor in self.tensors.items()
        ]
        return torch.stack([(bits(a) == bits(b)).all() for a, b in pairs]).all()


class TrainedBlock:
    """A block of the library, prepared for training with so many tokens. `with` destroys it."""

    def __init__(self, case, tokens, accumulate=False, **options):
        self.weights = case.weights
        self.options = options
        self.accumulate = accumulate
        self.block = case.weights.block(case.library, **options)
        try:
            self.block.prepare_training([max(tokens, 1)], accumulate)
        except Exception:
            self.block.destroy()
            raise

    def weight_tensors(self):
        part = (self.options.get("first_expert", 0), self.options.get("expert_count") or None)
        return self.weights.tensors(*part, shared=not self.options.get("no_shared_expert"))

    def step(self, inputs, **arguments):
        return TrainingStep(self, inputs, **arguments)

    def run(self, inputs, **arguments):
        """A step that has run; waits for it."""
        step = self.step(inputs, **arguments)
        step.poison()
        step.run()
        torch.cuda.synchronize()
        return step

    def __enter__(self):
        return self

    def __exit__(self, *_):
        torch.cuda.synchronize()
        self.block.destroy()


@dataclasses.dataclass
class Inputs:
    """What a step reads besides weights."""

    x: torch.Tensor
    d_out: torch.Tensor
    selected: torch.Tensor | None = None  # the selection that is given
    d_router_logits: torch.Tensor | None = None
    token_count: torch.Tensor | None = None

    @property
    def tokens(self):
        return self.x.shape[0]

    def first(self, count):
        """Of so many tokens, as copies."""
        parts = {name: getattr(self, name) for name in ("x", "d_out", "selected", "d_router_logits")}
        return Inputs(**{name: part if part is None else part[:count].clone() for name, part in parts.items()})


class Memory:
    """So many bytes full of one value, watched behind."""

    def __init__(self, size, byte):
        self._all = torch.full((size + GUARD_BYTES,), byte, device="cuda", dtype=torch.uint8)
        self._byte = byte
        self.tensor = self._all[:size]

    def untouched_behind(self):
        return bool((self._all[self.tensor.shape[0] :] == self._byte).all())


class TrainingStep:
    """A forward that keeps what its backward reads, and that, with arguments made beforehand."""

    def __init__(self, trained, inputs, own_workspace=False, byte=255, on_step=None):
        """`own_workspace`: not the library's; it and what is kept are full of `byte` before."""
        block, tokens = trained.block, inputs.tokens
        self.outputs = Outputs(trained.weights, tokens)
        self.gradients = Gradients(trained, tokens)
        self._memory = {"saved": Memory(block.saved_bytes(tokens), byte)}
        workspaces = ({}, {})
        if own_workspace:
            for which, arguments in zip(("forward", "backward"), workspaces):
                self._memory[which] = Memory(block.training_workspace_bytes(tokens), byte)
                arguments["workspace"] = self._memory[which].tensor
        saved = self._memory["saved"].tensor
        written = dict(self.outputs.tensors)
        self._selection_written = inputs.selected is None
        if inputs.selected is not None:
            written["selected_experts"] = inputs.selected
        self.forward = block.call(
            inputs.x,
            inject_selection=inputs.selected is not None,
            saved=saved,
            token_count=inputs.token_count,
            **written,
            **workspaces[0],
        )
        self.backward = block.backward_call(
            inputs.x,
            inputs.d_out,
            accumulate=trained.accumulate,
            on_step=on_step,
            d_router_logits=inputs.d_router_logits,
            saved=saved,
            **workspaces[1],
            **self.gradients.tensors,
        )

    def poison(self):
        self.outputs.poison()
        self.gradients.poison()

    def run(self):
        self.forward.run()
        self.backward.run()

    def same(self, other, tokens=None):
        """On the device: whether outputs and gradients have the other's bits."""
        rows = slice(tokens)
        pairs = [(bits(getattr(self.outputs, name))[rows], bits(getattr(other.outputs, name))[rows]) for name in self._written]
        outputs = torch.stack([(a == b).all() for a, b in pairs]).all()
        return outputs & self.gradients.same(other.gradients, tokens)

    @property
    def _written(self):
        return [name for name in self.outputs.tensors if name != "selected_experts" or self._selection_written]

    def complaint(self, tokens=None):
        """What it wrote that it should not have, from this token on."""
        if not self.outputs.untouched_behind(self.outputs.tokens if tokens is None else tokens, self._written):
            return "the forward wrote behind its outputs"
        if not self.gradients.untouched_behind(tokens):
            return "the backward wrote behind its gradients"
        for name, memory in self._memory.items():
            if not memory.untouched_behind():
                return f"wrote behind {name} memory"
        return None


class TrainingCase:
    """A model's weights, transformers' block on them, and blocks of the library as they are asked for."""

    def __init__(self, library, name, dtype, experts):
        self.library = library
        self.name = f"{name} {dtype}"
        self.dtype = dtype
        self.weights = make_weights(name, dtype)
        self.hf = hf_block(self.weights, experts).requires_grad_()
        self._theirs = {}

    @property
    def is_llama(self):
        return self.weights.kind == "llama4"

    def trained(self, tokens, accumulate=False, **options):
        return TrainedBlock(self, tokens, accumulate, **options)

    def inputs(self, tokens, with_logits=False, seed=1):
        model, generator = self.weights.model, random_generator(seed + 2000)

        def random(columns):
            return torch.randn(tokens, columns, device="cuda", generator=generator).to(self.weights.dtype)

        d_out = random(model.hidden)
        return Inputs(self.weights.hidden_states(tokens, seed), d_out, None, random(model.experts) if with_logits else None)

    def theirs(self, inputs, shared=True):
        """(what transformers' block gives for each token, its gradients)"""
        top_k = self.weights.model.top_k
        return hf_gradients(self.hf, inputs.x, inputs.d_out, top_k, inputs.d_router_logits, shared)

    def errors(self, gradients, inputs, selected, logits, shared=True):
        """{name: error of every row} of gradients, judged by float64."""
        judged = float64_gradients(self.weights, inputs.x, selected, logits, inputs.d_out, inputs.d_router_logits, shared)
        return gradient_errors(gradients, judged)

    def their_errors(self, tokens, with_logits, shared):
        """(inputs with transformers' selection, what its block gives for each token, errors of its gradients)"""
        key = (tokens, with_logits, shared)
        if key not in self._theirs:
            inputs = self.inputs(tokens, with_logits, seed=tokens)
            routed, gradients = self.theirs(inputs, shared)
            errors = self.errors(gradients, inputs, routed.selected_experts, routed.router_logits, shared)
            inputs.selected = routed.selected_experts
            self._theirs[key] = (inputs, routed, errors)
        return self._theirs[key]
