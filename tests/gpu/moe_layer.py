"""Models, routing, tensors and the float32 reference of a grouped GEMM, for the Python scripts beside this file."""

import copy
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
    "llama4-small": Model(8, 2, 640, 384),
}

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

GUARD_ROWS = 256
ROWS_AT_ONCE = 16384  # of a comparison, which needs their differences in the reference's dtype

# What fusions are called in the database, and the problem's flags.
FUSIONS = {
    "mul_post": "fuse_mul_post",
    "mul_pre": "fuse_mul_pre",
    "swiglu": "fuse_swiglu",
    "keep_pre_activation": "keep_pre_activation",
    "float32_dw": "float32_dw",
    "accumulate": "accumulate",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One grouped GEMM: Y[r] = X[src(r)] . W[e]^T, W of shape (experts, n, k), or its gradient by X or W (op dX, dW); see
    runtime/include/moe_tune/moe_tune.h."""

    gemm: str
    experts: int
    top_k: int
    n: int
    k: int
    permute_x: bool = False
    permute_y: bool = False
    fuse_mul_post: bool = False
    fuse_mul_pre: bool = False
    fuse_swiglu: bool = False
    keep_pre_activation: bool = False
    float32_dw: bool = False
    accumulate: bool = False
    dtype: str = "bf16"
    op: str = "forward"

    @property
    def gathers(self):
        """Whether rows are read through gather_indices."""
        return {"forward": self.permute_x, "dX": self.permute_y, "dW": self.permuted}[self.op]

    @property
    def scatters(self):
        """Whether rows are written through gather_indices."""
        return {"forward": self.permute_y, "dX": self.permute_x, "dW": False}[self.op]

    @property
    def permuted(self):
        return self.permute_x or self.permute_y

    @property
    def fusions(self):
        return [name for name, flag in FUSIONS.items() if getattr(self, flag)]

    @property
    def output_columns(self):
        return self.n // 2 if self.fuse_swiglu else self.n

    def with_fusions(self, names):
        return dataclasses.replace(self, **{FUSIONS[name]: True for name in names})

    def describe(self):
        return f"{self.op} {self.gemm} {self.dtype} {' + '.join(['permuted' if self.permuted else 'sorted', *self.fusions])}"


def make_problem(model, gemm, dtype="bf16", permuted=True, op="forward"):
    """The first (gate_up) or second (down) GEMM of a model's block, with or without the permutation that belongs to it."""
    m = MODELS[model]
    if gemm == "gate_up":
        return Problem(gemm, m.experts, m.top_k, 2 * m.intermediate, m.hidden, permute_x=permuted, dtype=dtype, op=op)
    return Problem(gemm, m.experts, m.top_k, m.hidden, m.intermediate, permute_y=permuted, dtype=dtype, op=op)


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


def rounding_of_subnormals(output):
    """The norm that rounding may give to the error of a row, however small its values: half of the smallest subnormal each (rows
    with a tiny routing weight, rows of a dW with a tiny dY)."""
    info = torch.finfo(output.dtype)
    return math.sqrt(output.shape[1]) * info.smallest_normal * info.eps / 2


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
        self.dy = None
        if problem.op != "forward":
            self.dy = torch.randn(self.rows, problem.n, device="cuda", dtype=dtype, generator=generator)
        self._make_outputs()

    @property
    def inputs(self):
        """{name: tensor that the operation reads}"""
        names = {"forward": ("x", "w"), "dX": ("dy", "w"), "dW": ("dy", "x")}[self.problem.op]
        return {name: getattr(self, name) for name in names}

    def _make_outputs(self):
        p = self.problem
        shapes = {
            "forward": {"y": (self.rows, p.output_columns)},
            "dX": {"dx": (self.rows, p.k)},
            "dW": {"dw": (p.experts * p.n, p.k)},
        }[p.op]
        if p.keep_pre_activation:
            shapes["pre_activation"] = (self.rows, p.n)
        # Rows after an output catch a store out of bounds.
        dtype = torch.float32 if p.float32_dw else self.x.dtype
        self._guarded = {
            name: torch.empty(rows + GUARD_ROWS, columns, device="cuda", dtype=dtype) for name, (rows, columns) in shapes.items()
        }
        self._old_dw = None
        if p.accumulate:
            generator = torch.Generator(device="cuda").manual_seed(3)
            self._old_dw = torch.randn(p.experts, p.n, p.k, device="cuda", dtype=dtype, generator=generator)
        self.outputs = {name: tensor[:-GUARD_ROWS] for name, tensor in self._guarded.items()}
        if p.op == "dW":
            self.outputs["dw"] = self.outputs["dw"].view(p.experts, p.n, p.k)

    @property
    def y(self):
        return self.outputs["y"]

    def with_problem(self, problem):
        """The same rows and weights under other fusions, with outputs of its own."""
        other = copy.copy(self)
        other.problem = problem
        other._make_outputs()
        return other

    def poison(self):
        """Every byte of the outputs; what is added to has its old values instead."""
        for tensor in self._guarded.values():
            tensor.view(torch.int16).fill_(-1)
        if self._old_dw is not None:
            self.outputs["dw"].copy_(self._old_dw)

    def kept_without_rows(self):
        """Whether experts without rows have the bits that a dW that is added to had before."""
        if self._old_dw is None:
            return True
        without = [expert for expert, count in enumerate(self.row_counts) if count == 0]
        return torch.equal(self.outputs["dw"][without].view(torch.int16), self._old_dw[without].view(torch.int16))

    def guard_intact(self):
        return all(bool((tensor[-GUARD_ROWS:].view(torch.int16) == -1).all()) for tensor in self._guarded.values())

    def sorted_x(self):
        """X in expert order."""
        if not self.problem.permute_x:
            return self.x
        return self.x[torch.div(self.gather_indices, self.problem.top_k, rounding_mode="floor").long()]

    def sorted_dy(self):
        """dY in expert order."""
        return self.dy[self.gather_indices.long()] if self.problem.permute_y else self.dy

    def expert_rows(self):
        """(expert, first row, end row) of every expert with rows."""
        start = 0
        for expert, count in enumerate(self.row_counts):
            if count:
                yield expert, start, start + count
            start += count

    def reference(self, dtype=torch.float32):
        """{output: its rows in expert order}, or {"dw": dW}, computed by torch in `dtype`."""
        return {"forward": self._reference_y, "dX": self._reference_dx, "dW": self._reference_dw}[self.problem.op](dtype)

    def _reference_dx(self, dtype):
        dx = torch.empty(self.rows, self.problem.k, device="cuda", dtype=dtype)
        dy = self.sorted_dy()
        for expert, begin, end in self.expert_rows():
            torch.mm(dy[begin:end].to(dtype), self.w[expert].to(dtype), out=dx[begin:end])
        return {"dx": dx}

    def _reference_dw(self, dtype):
        p = self.problem
        dw = torch.zeros(p.experts, p.n, p.k, device="cuda", dtype=dtype)
        dy, x = self.sorted_dy(), self.sorted_x()
        for expert, begin, end in self.expert_rows():
            torch.mm(dy[begin:end].to(dtype).t(), x[begin:end].to(dtype), out=dw[expert])
        if p.accumulate:
            dw += self._old_dw
        return {"dw": dw}

    def _reference_y(self, dtype):
        p = self.problem
        products = torch.empty(self.rows, p.n, device="cuda", dtype=dtype)
        x = self.sorted_x()
        for expert, begin, end in self.expert_rows():
            torch.mm(x[begin:end].to(dtype), self.w[expert].to(dtype).t(), out=products[begin:end])
        if p.fuse_mul_post or p.fuse_mul_pre:
            products *= self.topk_weights[self.gather_indices.long()][:, None]
        if not p.fuse_swiglu:
            return {"y": products}
        gate, up = products.chunk(2, dim=1)
        y = torch.nn.functional.silu(gate) * up
        return {"y": y, "pre_activation": products} if p.keep_pre_activation else {"y": y}

    def max_error_per_expert(self, reference=None):
        """{expert: worst |y - reference| / |reference| of its rows in any output}; NaN counts as infinite. Of dW every expert has
        rows; those of one without routed rows are zeros, and any difference is infinite."""
        reference = self.reference() if reference is None else reference
        if self.problem.op == "dW":
            return self._max_error_of_dw(reference["dw"])
        counts = self.m_sizes.long()
        experts = torch.repeat_interleave(torch.arange(self.problem.experts, device="cuda"), counts)
        worst = torch.zeros(self.problem.experts, device="cuda", dtype=torch.float64)
        for name, expected in reference.items():
            output = self.outputs[name]
            rounding = rounding_of_subnormals(output)
            for begin in range(0, self.rows, ROWS_AT_ONCE):
                rows = slice(begin, min(begin + ROWS_AT_ONCE, self.rows))
                targets = self.gather_indices[rows].long() if self.problem.scatters else rows
                difference = output[targets].to(expected.dtype) - expected[rows]
                error = (difference.norm(dim=1) - rounding).clamp(min=0) / expected[rows].norm(dim=1)
                error = torch.nan_to_num(error.double(), nan=math.inf, posinf=math.inf)
                worst.scatter_reduce_(0, experts[rows], error, reduce="amax")
        return {expert: error for expert, error in enumerate(worst.tolist()) if self.row_counts[expert]}

    def _max_error_of_dw(self, reference):
        worst = {}
        for expert, expected in enumerate(reference):
            output = self.outputs["dw"][expert]
            difference = ((output.to(expected.dtype) - expected).norm(dim=1) - rounding_of_subnormals(output)).clamp(min=0)
            error = torch.where(difference == 0, torch.zeros_like(difference), difference / expected.norm(dim=1))
            worst[expert] = torch.nan_to_num(error.double(), nan=math.inf, posinf=math.inf).max().item()
        return worst

    def identical_reruns(self, run, count):
        """How many of `count` more calls of run() leave every bit of the outputs as a first one does."""
        self.poison()
        run()
        first = {name: output.clone() for name, output in self.outputs.items()}
        same = torch.zeros((), device="cuda", dtype=torch.int64)
        for _ in range(count):
            self.poison()
            run()
            equal = [(self.outputs[name].view(torch.int16) == kept.view(torch.int16)).all() for name, kept in first.items()]
            same += torch.stack(equal).all()
        return int(same.item())

    def bytes_to_move(self):
        """What any implementation must move: weights of experts with rows, rows and outputs once, indices, routing weights. An
        output that is added to is read as well."""
        p = self.problem
        weights = sum(count > 0 for count in self.row_counts) * p.n * p.k * self.w.element_size() if "w" in self.inputs else 0
        tensors = [tensor for name, tensor in {**self.inputs, **self.outputs}.items() if name != "w"]
        if p.accumulate:
            tensors.append(self._old_dw)
        if p.permuted:
            tensors.append(self.gather_indices)
        if p.fuse_mul_post or p.fuse_mul_pre:
            tensors.append(self.topk_weights)
        return weights + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def make_weight(problem, seed=1):
    """(experts, n, k), scaled so that outputs are about 1."""
    generator = torch.Generator(device="cuda").manual_seed(seed + 1000)
    weight = torch.empty(problem.experts, problem.n, problem.k, device="cuda", dtype=DTYPES[problem.dtype])
    for expert in weight:  # one expert at a time: the float32 random numbers of all would need twice the memory
        expert.copy_(torch.randn(problem.n, problem.k, device="cuda", generator=generator) / math.sqrt(problem.k))
    return weight
