"""A model's block in the library beside transformers' on the same weights, and what its calls write: for test_blocks.py."""

import concurrent.futures

import torch

from hf_blocks import hf_block, make_weights

GUARD_ROWS = 8


def describe(options):
    return " ".join(f"{name}={'on' if value is True else 'off' if value is False else value}" for name, value in options.items())


class Outputs:
    """What a call writes, with rows behind it."""

    def __init__(self, weights, tokens):
        model = weights.model
        self.tokens = tokens
        columns = {
            "out": (model.hidden, weights.dtype),
            "router_logits": (model.experts, weights.dtype),
            "selected_experts": (model.top_k, torch.int32),
            "topk_weights": (model.top_k, weights.dtype),
        }
        self._guarded = {
            name: torch.empty(tokens + GUARD_ROWS, count, device="cuda", dtype=dtype) for name, (count, dtype) in columns.items()
        }
        self.tensors = {name: tensor[:tokens] for name, tensor in self._guarded.items()}

    def __getattr__(self, name):
        try:
            return self.__dict__["tensors"][name]
        except KeyError:
            raise AttributeError(name) from None

    def poison(self):
        for tensor in self._guarded.values():
            tensor.view(torch.int16).fill_(-1)

    def untouched_behind(self, row, names=None):
        """Whether all rows from this one on still have their poison."""
        return all(bool((self._guarded[name].view(torch.int16)[row:] == -1).all()) for name in names or self._guarded)

    def same(self, other, rows=slice(None)):
        """On the device: whether these rows have the other's bits, in everything."""
        pairs = [
            (tensor.view(torch.int16)[rows], other.tensors[name].view(torch.int16)[rows]) for name, tensor in self.tensors.items()
        ]
        return torch.stack([(a == b).all() for a, b in pairs]).all()


class Case:
    """A model's weights, transformers' block on them, and the library's blocks."""

    def __init__(self, library, name, dtype, tokens, experts="grouped_mm", variants=(), launching=0):
        self.library = library
        self.name = f"{name} {dtype}"
        self.dtype = dtype
        self.tokens = tokens
        self.launching = launching  # tokens of the checks of launching; 0: none
        self.weights = make_weights(name, dtype)
        self.hf = hf_block(self.weights, experts)
        self.blocks = {"default": self.block()}
        as_default = {"permute_x": self.weights.kind == "qwen3", "permute_y": True}
        self.blocks |= {describe(options): self.block(**options) for options in variants if options != as_default}
        counts = [*tokens, *([launching] if launching else [])]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda block: block.prepare(counts), self.blocks.values()))

    @property
    def default(self):
        return self.blocks["default"]

    def block(self, **options):
        return self.weights.block(self.library, **options)

    def outputs(self, tokens):
        return Outputs(self.weights, tokens)

    def run(self, block, x, injected=None, outputs=None, **arguments):
        """The outputs of one call, poisoned before; waits for it. `injected`: the selection that is given."""
        outputs = self.outputs(x.shape[0]) if outputs is None else outputs
        outputs.poison()
        call = self.call(block, x, outputs, injected, **arguments)
        call.run()
        torch.cuda.synchronize()
        return outputs

    @staticmethod
    def call(block, x, outputs, injected=None, **arguments):
        tensors = dict(outputs.tensors)
        if injected is not None:
            tensors["selected_experts"] = injected
        return block.call(x, inject_selection=injected is not None, **tensors, **arguments)

    def destroy(self):
        torch.cuda.synchronize()
        for block in self.blocks.values():
            block.destroy()
