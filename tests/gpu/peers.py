"""What bench_forward.py times the library beside: {name: function that enqueues one call} of cuBLAS and torch."""

import torch


def tokens_of_rows(layer):
    return torch.div(layer.gather_indices.long(), layer.problem.top_k, rounding_mode="floor")


def forward_peers(layer):
    problem = layer.problem
    x = layer.sorted_x().contiguous()
    w = layer.w.transpose(1, 2)
    dense_w = layer.w[0].t()
    dense_y = torch.empty(layer.rows, problem.n, device="cuda", dtype=x.dtype)
    slots = layer.gather_indices.long()
    tokens = tokens_of_rows(layer)
    calls = {
        "dense": lambda: torch.mm(x, dense_w, out=dense_y),
        "torch": lambda: torch._grouped_mm(x, w, offs=layer.offsets),
    }
    if problem.permute_x:
        calls["torch_perm"] = lambda: torch._grouped_mm(layer.x[tokens], w, offs=layer.offsets)
    if problem.permute_y:
        # dense_y is as good as another: nobody reads it.
        calls["torch_perm"] = lambda: dense_y.index_put_((slots,), torch._grouped_mm(x, w, offs=layer.offsets))
    return calls


def dx_peers(layer):
    problem = layer.problem
    dy = layer.sorted_dy().contiguous()
    dense_w = layer.w[0]
    dense_dx = torch.empty(layer.rows, problem.k, device="cuda", dtype=dy.dtype)
    slots = layer.gather_indices.long()
    calls = {
        "dense": lambda: torch.mm(dy, dense_w, out=dense_dx),
        "torch": lambda: torch._grouped_mm(dy, layer.w, offs=layer.offsets),
    }
    if problem.permute_x:
        calls["torch_perm"] = lambda: dense_dx.index_put_((slots,), torch._grouped_mm(dy, layer.w, offs=layer.offsets))
    if problem.permute_y:
        calls["torch_perm"] = lambda: torch._grouped_mm(layer.dy[slots], layer.w, offs=layer.offsets)
    return calls


def dw_peers(layer):
    problem = layer.problem
    dy, x = layer.sorted_dy().contiguous(), layer.sorted_x().contiguous()
    slots = layer.gather_indices.long()
    tokens = tokens_of_rows(layer)
    # Dense: as many equal groups as there are experts.
    rows = layer.rows // problem.experts
    grouped_dy = dy[: rows * problem.experts].view(problem.experts, rows, problem.n).transpose(1, 2)
    grouped_x = x[: rows * problem.experts].view(problem.experts, rows, problem.k)
    dense_dw = torch.empty(problem.experts, problem.n, problem.k, device="cuda", dtype=dy.dtype)
    calls = {
        "dense": lambda: torch.bmm(grouped_dy, grouped_x, out=dense_dw),
        "torch": lambda: torch._grouped_mm(dy.t(), x, offs=layer.offsets),
    }
    if problem.permute_x:
        calls["torch_perm"] = lambda: torch._grouped_mm(dy.t(), layer.x[tokens], offs=layer.offsets)
    if problem.permute_y:
        calls["torch_perm"] = lambda: torch._grouped_mm(layer.dy[slots].t(), x, offs=layer.offsets)
    return calls
