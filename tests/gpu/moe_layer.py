"""Models, routing, tensors and the float32 reference of a grouped GEMM, for the Python scripts beside this file."""

import dataclasses
import math

import torch


@dataclasses.dataclass(frozen=True)
class Model:
    experts: int
    top_k: int
    hidden: int
    intermediate: int


MODELS = {
    "qwen3-30b-a3b": Model(128, 8, 2048, 768),
    "qwen3-235b-a22b": Model(128, 8, 4096, 1536),
    "llama4-scout": Model(16, 1, 5120, 8192),
    "odd": Model(60, 4, 1408, 1000),
}

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One grouped GEMM: Y[r] = X[src(r)] . W[e]^T, W of shape (experts, n, k)."""

    gemm: str
    experts: int
    top_k: int
    n: int
    k: int
    permute_x: bool = False
    permute_y: bool = False
    fuse_mul_post: bool = False
    dtype: str = "bf16"

    @property
    def fusions(self):
        return ["fuse_mul_post"] if self.fuse_mul_post else []

    def describe(self):
        flags = [name for name in ("permute_x", "permute_y", "fuse_mul_post") if getattr(self, name)]
        return f"{self.gemm} {self.dtype} {' '.join(flags) or 'in order'}"


def make_problem(model, gemm, dtype="bf16", permuted=True, fuse_mul_post=False):
    """The first (gate_up) or second (down) GEMM of a model's block, with or without the permutation that belongs to it."""
    m = MODELS[model]
    if gemm == "gate_up":
        return Problem(gemm, m.experts, m.top_k, 2 * m.intermediate, m.hidden, permute_x=permuted, dtype=dtype)
    return Problem(gemm, m.experts, m.top_k, m.hidden, m.intermediate, permute_y=permuted, fuse_mul_post=fuse_mul_post, dtype=dtype)


def route(kind, tokens, experts, top_k, seed=1):
    """(tokens, top_k) expert of every slot.

    uniform, zipf:A  top_k distinct experts per token; zipf: popularity 1 / rank^A, ranks shuffled by the seed
    half_empty       uniform over the even experts
    one_expert       all slots on one expert
    """
    device = "cuda"
    generator = torch.Generator(device=device).manual_seed(seed)
    if kind == "one_expert":
        return torch.full((tokens, top_k), experts - 1, device=device, dtype=torch.int64)
    log_popularity = torch.zeros(experts, device=device)
    if kind.startswith("zipf:"):
        ranks = torch.randperm(experts, device=device, generator=generator) + 1
        log_popularity = -float(kind[5:]) * torch.log(ranks.float())
    elif kind == "half_empty":
        log_popularity[1::2] = -math.inf
    elif kind != "uniform":
        raise SystemExit(f"unknown routing {kind}: uniform, zipf:A, half_empty or one_expert")
    # The largest of log p + Gumbel noise: draws without replacement with probability p.
    noise = -torch.log(-torch.log(torch.rand(tokens, experts, device=device, generator=generator).clamp(1e-9, 1 - 1e-7)))
    return torch.topk(log_popularity + noise, top_k, dim=1).indices


class Layer:
    """The tensors of one call."""

    def __init__(self, problem, tokens, routing, weight=None, index_dtype=torch.int32, seed=1):
        self.problem = problem
        self.tokens = tokens
        self.rows = tokens * problem.top_k
        dtype = DTYPES[problem.dtype]
        experts = route(routing, tokens, problem.experts, problem.top_k, seed).flatten()
        order = torch.argsort(experts, stable=True)
        self.m_sizes = torch.bincount(experts, minlength=problem.experts).to(index_dtype)
        self.gather_indices = order.to(index_dtype)
        self.row_counts = self.m_sizes.tolist()
        self.offsets = torch.cumsum(self.m_sizes, 0).to(torch.int32)
        generator = torch.Generator(device="cuda").manual_seed(seed)
        x_rows = tokens if problem.permute_x else self.rows
        self.x = torch.randn(x_rows, problem.k, device="cuda", dtype=dtype, generator=generator)
        self.w = make_weight(problem, seed) if weight is None else weight
        self.topk_weights = torch.rand(self.rows, device="cuda", dtype=torch.float32, generator=generator)
        # Rows after y catch a store out of bounds.
        self.guarded_y = torch.empty(self.rows + 256, problem.n, device="cuda", dtype=dtype)
        self.y = self.guarded_y[: self.rows]

    def poison(self):
        self.guarded_y.view(torch.int16).fill_(-1)

    def guard_intact(self):
        return bool((self.guarded_y[self.rows :].view(torch.int16) == -1).all())

    def sorted_x(self):
        """X in expert order."""
        if not self.problem.permute_x:
            return self.x
        return self.x[torch.div(self.gather_indices, self.problem.top_k, rounding_mode="floor").long()]

    def expert_rows(self):
        """(expert, first row, end row) of every expert with rows."""
        start = 0
        for expert, count in enumerate(self.row_counts):
            if count:
                yield expert, start, start + count
            start += count

    def max_error_per_expert(self):
        """{expert: worst |y - reference| / |reference| of its rows}, against float32 products; NaN counts as infinite."""
        errors = {}
        x = self.sorted_x()
        for expert, begin, end in self.expert_rows():
            reference = x[begin:end].float() @ self.w[expert].float().t()
            targets = self.gather_indices[begin:end].long() if self.problem.permute_y else slice(begin, end)
            if self.problem.fuse_mul_post:
                reference *= self.topk_weights[targets][:, None]
            difference = self.y[targets].float() - reference
            # Rounding to a subnormal costs up to half of the smallest one, however small the value (rows with a tiny routing weight).
            rounding = math.sqrt(self.problem.n) * torch.finfo(self.y.dtype).smallest_normal * torch.finfo(self.y.dtype).eps / 2
            error = (difference.norm(dim=1) - rounding).clamp(min=0) / reference.norm(dim=1)
            errors[expert] = torch.nan_to_num(error, nan=math.inf, posinf=math.inf).max().item()
        return errors

    def bytes_to_move(self):
        """What any implementation must move: weights of experts with rows, x and y once, the indices."""
        element = 2
        p = self.problem
        weights = sum(count > 0 for count in self.row_counts) * p.n * p.k * element
        indices = self.gather_indices.numel() * self.gather_indices.element_size() if p.permute_x or p.permute_y else 0
        return weights + (self.x.numel() + self.rows * p.n) * element + indices


def make_weight(problem, seed=1):
    """(experts, n, k), scaled so that outputs are about 1."""
    generator = torch.Generator(device="cuda").manual_seed(seed + 1000)
    weight = torch.empty(problem.experts, problem.n, problem.k, device="cuda", dtype=DTYPES[problem.dtype])
    for expert in weight:  # one expert at a time: the float32 random numbers of all would need twice the memory
        expert.copy_(torch.randn(problem.n, problem.k, device="cuda", generator=generator) / math.sqrt(problem.k))
    return weight


def row_tolerance(dtype):
    """As row_tolerance() of runtime/launch/utility_kernels.hpp: half a unit in the last place, and what summation orders differ by."""
    return (2.0**-8 if dtype == "bf16" else 2.0**-11) + 2.0**-12
