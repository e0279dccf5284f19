#!/usr/bin/env python3
"""Makes the golden fixtures: MoE blocks of Hugging Face transformers, run forward and backward on the CPU.

Needs torch 2.11.0, transformers 5.17.0 and safetensors 0.8.0; no GPU. Tests only read what lies here, so they need none of these.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.11.0 transformers==5.17.0 safetensors==0.8.0
    /tmp/golden/bin/python tests/golden/make_fixtures.py                   # writes every case beside this file
    /tmp/golden/bin/python tests/golden/make_fixtures.py qwen3_bf16 ...    # some cases

Each case is a folder that is also a checkpoint of one layer: config.json and model.safetensors, weights under the keys of real
checkpoints. The same file has, with "golden." before their names:

    hidden_states (B, S, H)           what went in
    router_logits (T, E), selected_experts (T, k) int32, topk_weights (T, k), out (B, S, H)      what came out
    d_out (B, S, H), d_router_logits (T, E)    gradients that came from above; the second of some cases only
    d_hidden_states (B, S, H), d.<checkpoint key>    gradients that came out

Data is drawn from the case's seed. A token is drawn again until the logits that decide its selection are so far apart that no
order of summation could swap two of them; only the cases named "ties" have equal ones, which they get from experts that share a
row of the router.
"""

import dataclasses
import json
import pathlib
import sys

import safetensors.torch
import torch
import transformers
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe
from transformers.models.qwen3_moe.configuration_qwen3_moe import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

FOLDER = pathlib.Path(__file__).parent
VERSIONS = {"torch": "2.11.0", "transformers": "5.17.0"}
MANTISSA_BITS = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}
FLOAT32_MARGIN = 2.0**-16  # far above what float32 sums of H products differ by


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    seed: int
    dtype: torch.dtype
    E: int
    top_k: int
    H: int
    I: int
    batch: int
    sequence: int
    norm_topk_prob: bool = True
    d_router_logits: bool = False
    fused_keys: bool = False  # Qwen3: weights of all experts in one tensor, as transformers has them in memory
    text_only: bool = False  # Llama4: config and keys of the text model, without those of the multimodal one around it
    empty_expert: int | None = None  # no token chooses it
    twins: tuple[tuple[int, int], ...] = ()  # experts whose logits are equal

    @property
    def tokens(self):
        return self.batch * self.sequence


BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32

QWEN3 = [
    Case("qwen3_f32", 1, F32, E=8, top_k=2, H=40, I=24, batch=2, sequence=9, d_router_logits=True),
    Case("qwen3_f32_no_norm_top8", 2, F32, E=11, top_k=8, H=40, I=24, batch=1, sequence=16, norm_topk_prob=False),
    Case("qwen3_f32_top1", 3, F32, E=6, top_k=1, H=64, I=16, batch=3, sequence=4, norm_topk_prob=False, d_router_logits=True),
    Case("qwen3_bf16", 4, BF16, E=8, top_k=2, H=64, I=32, batch=2, sequence=20, d_router_logits=True),
    Case("qwen3_bf16_top8", 5, BF16, E=12, top_k=8, H=64, I=24, batch=2, sequence=8, fused_keys=True),
    Case("qwen3_bf16_top1_empty", 6, BF16, E=6, top_k=1, H=72, I=40, batch=1, sequence=12, norm_topk_prob=False, empty_expert=3),
    Case("qwen3_bf16_ties", 7, BF16, E=8, top_k=2, H=64, I=32, batch=1, sequence=24, twins=((1, 5), (2, 6), (0, 7))),
    Case("qwen3_f16", 8, F16, E=8, top_k=2, H=64, I=32, batch=1, sequence=20, norm_topk_prob=False),
]

LLAMA4 = [
    Case("llama4_f32", 11, F32, E=6, top_k=1, H=40, I=24, batch=2, sequence=9, d_router_logits=True),
    Case("llama4_f32_top2", 12, F32, E=5, top_k=2, H=40, I=24, batch=1, sequence=14, text_only=True),
    Case("llama4_bf16", 13, BF16, E=8, top_k=1, H=64, I=32, batch=2, sequence=16, empty_expert=2),
    Case("llama4_bf16_top2", 14, BF16, E=6, top_k=2, H=96, I=32, batch=1, sequence=20, d_router_logits=True),
    Case("llama4_bf16_ties", 15, BF16, E=4, top_k=1, H=64, I=32, batch=1, sequence=16, twins=((0, 3), (1, 2))),
    Case("llama4_f16", 16, F16, E=4, top_k=2, H=64, I=32, batch=1, sequence=16),
]


class Qwen3:
    def __init__(self, case):
        self.case = case
        self.prefix = "model.layers.0.mlp."
        self.config = {
            "architectures": ["Qwen3MoeForCausalLM"],
            "decoder_sparse_step": 1,
            "dtype": str(case.dtype).removeprefix("torch."),
            "hidden_act": "silu",
            "hidden_size": case.H,
            "intermediate_size": 4 * case.I,
            "mlp_only_layers": [],
            "model_type": "qwen3_moe",
            "moe_intermediate_size": case.I,
            "norm_topk_prob": case.norm_topk_prob,
            "num_experts": case.E,
            "num_experts_per_tok": case.top_k,
            "num_hidden_layers": 1,
        }

    def block(self):
        # "eager" is the block's own text; other implementations are kernels with a rounding of their own.
        return Qwen3MoeSparseMoeBlock(Qwen3MoeConfig(**self.config, experts_implementation="eager"))

    @staticmethod
    def router(block):
        return block.gate

    @staticmethod
    def run(block, hidden_states):
        """Output, logits, selection and routing weights; the block itself returns the first only."""
        routed = []
        with block.gate.register_forward_hook(lambda module, args, result: routed.extend(result)):
            out = block(hidden_states)
        logits, weights, selected = routed
        return out, logits, selected, weights

    def checkpoint(self, tensors):
        """Tensors by the block's parameter names, under checkpoint keys."""
        result = {self.prefix + "gate.weight": tensors["gate.weight"]}
        gate_up, down = tensors["experts.gate_up_proj"], tensors["experts.down_proj"]
        if self.case.fused_keys:
            return result | {self.prefix + "experts.gate_up_proj": gate_up, self.prefix + "experts.down_proj": down}
        for expert in range(self.case.E):
            gate, up = gate_up[expert].chunk(2)
            for name, tensor in (("gate_proj", gate), ("up_proj", up), ("down_proj", down[expert])):
                result[f"{self.prefix}experts.{expert}.{name}.weight"] = tensor
        return result


class Llama4:
    def __init__(self, case):
        self.case = case
        text = {
            "hidden_act": "silu",
            "hidden_size": case.H,
            "interleave_moe_layer_step": 1,
            "intermediate_size": case.I,
            "intermediate_size_mlp": 2 * case.I,
            "model_type": "llama4_text",
            "moe_layers": [0],
            "num_experts_per_tok": case.top_k,
            "num_hidden_layers": 1,
            "num_local_experts": case.E,
        }
        dtype = str(case.dtype).removeprefix("torch.")
        if case.text_only:
            self.prefix = "model.layers.0.feed_forward."
            self.config = {"architectures": ["Llama4ForCausalLM"], "dtype": dtype} | text
        else:
            self.prefix = "language_model.model.layers.0.feed_forward."
            self.config = {
                "architectures": ["Llama4ForConditionalGeneration"],
                "dtype": dtype,
                "model_type": "llama4",
                "text_config": text,
            }
        self.text = text

    def block(self):
        return Llama4TextMoe(Llama4TextConfig(**self.text))

    @staticmethod
    def router(block):
        return block.router

    def run(self, block, hidden_states):
        scores = []
        with block.router.register_forward_hook(lambda module, args, result: scores.append(result[0])):
            out, logits = block(hidden_states)
        # The router keeps its selection to itself: the same call on the same values gives it again.
        selected = torch.topk(logits, self.case.top_k, dim=1).indices
        weights = scores[0].gather(1, selected)
        assert (scores[0] != 0).sum() == weights.numel() and (weights != 0).all()
        return out, logits, selected, weights

    def checkpoint(self, tensors):
        return {self.prefix + name: tensor for name, tensor in tensors.items()}


def check(condition, case, what):
    if not condition:
        sys.exit(f"{case.name}: {what}")


def unit_in_last_place(values, dtype):
    exponents = torch.floor(torch.log2(values.abs().clamp_min(2.0**-14)))
    return torch.exp2(exponents - MANTISSA_BITS[dtype])


def settled(case, logits):
    """The tokens whose selection, and its order, rounding and the order of summation cannot change; logits are float64."""
    ranked = logits.sort(dim=1, descending=True).values[:, : case.top_k + 1]
    gaps = ranked[:, :-1] - ranked[:, 1:]
    # Each of two neighbours may be rounded to either side of it.
    margin = 3 * unit_in_last_place(ranked[:, :-1], case.dtype) + FLOAT32_MARGIN
    return ((gaps > margin) | (bool(case.twins) & (gaps == 0))).all(dim=1)


def draw(case, random, *shape, scale=1.0):
    return (torch.randn(*shape, generator=random, dtype=torch.float64) * scale).to(case.dtype)


def draw_weights(case, model, block, random):
    """Of a size that keeps every stage of the block near 1."""
    block.to(case.dtype)
    router = model.router(block).weight
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            fan_in = case.I if "down_proj" in name else case.H
            scale = 1.5 if parameter is router else 1.0
            parameter.copy_(draw(case, random, *parameter.shape, scale=scale * fan_in**-0.5))
        for one, other in case.twins:
            router[other] = router[one]


def draw_tokens(case, router, random):
    tokens = []
    while len(tokens) < case.tokens:
        token = draw(case, random, 1, case.H)
        logits = token.double() @ router.detach().double().T
        chosen = logits.topk(case.top_k, dim=1).indices.flatten().tolist()
        if settled(case, logits) and case.empty_expert not in chosen:
            tokens.append(token)
    return torch.cat(tokens).reshape(case.batch, case.sequence, case.H)


def describe_selection(case, hidden_states, router, logits, selected):
    """Checks what the case promises of its selection, and says it."""
    counts = torch.bincount(selected.flatten(), minlength=case.E).tolist()
    if case.empty_expert is not None:
        check(counts[case.empty_expert] == 0, case, "the expert that should be without tokens has some")
    ranked = logits.sort(dim=1, descending=True).values
    ties = (ranked[:, case.top_k - 1] == ranked[:, case.top_k]).sum().item()
    check((ties > 0) == bool(case.twins), case, f"{ties} tokens have a tie between the last chosen logit and the next")
    exact = hidden_states.reshape(-1, case.H).double() @ router.detach().double().T
    check(settled(case, exact).all(), case, "a selection hangs on rounding")
    if not case.twins:
        check(torch.equal(exact.topk(case.top_k, dim=1).indices, selected), case, "the selection differs from float64's")
    for one, other in case.twins:
        check(torch.equal(logits[:, one], logits[:, other]), case, "twins have different logits")
    return f"tokens by expert {counts}, ties {ties}"


def make(case, kind):
    random = torch.Generator().manual_seed(case.seed)
    model = kind(case)
    block = model.block()
    draw_weights(case, model, block, random)
    router = model.router(block).weight
    hidden_states = draw_tokens(case, router, random).requires_grad_()

    out, logits, selected, weights = model.run(block, hidden_states)
    out = out.reshape(hidden_states.shape)
    results, upstream = [out], {"d_out": draw(case, random, *out.shape)}
    if case.d_router_logits:
        results.append(logits)
        upstream["d_router_logits"] = draw(case, random, *logits.shape, scale=0.25)
    parameters = dict(block.named_parameters())
    d_hidden_states, *d_parameters = torch.autograd.grad(results, [hidden_states, *parameters.values()], list(upstream.values()))

    golden = {
        "hidden_states": hidden_states,
        "router_logits": logits,
        "selected_experts": selected.to(torch.int32),
        "topk_weights": weights,
        "out": out,
        "d_hidden_states": d_hidden_states,
    }
    golden |= upstream
    golden |= {f"d.{key}": tensor for key, tensor in model.checkpoint(dict(zip(parameters, d_parameters))).items()}
    tensors = model.checkpoint(parameters) | {f"golden.{name}": tensor for name, tensor in golden.items()}
    for name, tensor in tensors.items():
        check(tensor.isfinite().all(), case, f"{name} is not finite")

    folder = FOLDER / case.name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    size = (folder / "model.safetensors").stat().st_size
    print(f"{case.name}: {size} bytes, {describe_selection(case, hidden_states, router, logits, selected)}")


def main():
    for module in (torch, transformers):
        version = module.__version__.split("+")[0]
        if version != VERSIONS[module.__name__]:
            sys.exit(f"{module.__name__} {version}: the fixtures are those of {VERSIONS[module.__name__]}")
    # One thread: the order of sums is then the same on every machine of a kind.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cases = [(case, Qwen3) for case in QWEN3] + [(case, Llama4) for case in LLAMA4]
    names = [case.name for case, _ in cases]
    for name in sys.argv[1:]:
        if name not in names:
            sys.exit(f"no case {name}; there are: {', '.join(names)}")
    for case, kind in cases:
        if not sys.argv[1:] or case.name in sys.argv[1:]:
            make(case, kind)


if __name__ == "__main__":
    main()
