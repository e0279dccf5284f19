"""Training steps of whole blocks (rows of tests/gpu/bench_block_backward.py): what they are to reach, and their tables."""

from blocks import BIG_QWEN, QWEN, SCOUT, BlockRows, against, lines_of, section_of
from target import Target, of_peer

FORWARD = "forward"  # the part of a step
BACKWARD_STEPS = (
    *("permute_d_out", "dX_down", "swiglu", "dW_down", "permute_x", "dW_gate_up", "dX_gate_up"),
    *("router", "combine", "shared_expert"),
)

# Of the page, where there are such rows.
EXPLANATION = """
Of training steps of blocks, `tests/gpu/bench_block_backward.py`: forward and backward of all gradients in one sample; the share of a step
that the forward and each part of the backward take; and the memory that a step needs at its peak above weights, input and gradient of the
output: of everything, and of everything but gradients of weights (which may be another moment), and what part of a peer's the latter is.
"""


def memory(rows, model, tokens, peer, what, **target):
    """The target of a step's memory but for gradients of weights."""
    row = rows.best(model, tokens)
    name = f"{model} T={tokens}"
    if row is None or peer not in row["peers_activations_mib"]:
        return Target(what, {name: None}, show=of_peer, **target)
    return Target(what, {name: row["peers_activations_mib"][peer] / row["activations_mib"]}, show=of_peer, untuned=int(not row["tuned"]), **target)


def backward_targets(all_rows):
    """No targets before there are any rows."""
    if not all_rows:
        return []
    rows = BlockRows(all_rows)
    grouped_mm, hf = "transformers grouped_mm", "transformers"
    big, bigger, scout = [(QWEN, 8192, True)], [(BIG_QWEN, 16384, True)], [(SCOUT, 8192, True)]
    name = "Training step of a block"
    return [
        against(rows, big, grouped_mm, f"{name}, qwen3-30b-a3b T=8192, against transformers", least=2.8, goal_least=3.2),
        against(rows, bigger, grouped_mm, f"{name}, qwen3-235b-a22b T=16384, against transformers", least=1.8, goal_least=1.9),
        against(rows, scout, "torch", f"{name}, llama4-scout T=8192, against torch", least=1.15, goal_least=1.25),
        memory(rows, QWEN, 8192, grouped_mm, f"{name}, qwen3-30b-a3b T=8192: memory, of transformers'", least=1 / 0.6),
        # What is no target, but belongs beside them.
        against(rows, scout, hf, f"{name}, llama4-scout T=8192, against transformers"),
        memory(rows, SCOUT, 8192, "torch", f"{name}, llama4-scout T=8192: memory, of torch's"),
    ]


def memory_cells(row):
    cells = {"peak MiB (without dW)": f"{row['peak_mib']:.0f} ({row['activations_mib']:.0f})"}
    for name, peak in row["peers_peak_mib"].items():
        without = row["peers_activations_mib"][name]
        cells[f"{name} peak MiB"] = f"{peak:.0f} ({without:.0f}), {row['activations_mib'] / without * 100:.0f}% of it"
    return cells


def backward_sections(all_rows):
    by_file = {}
    for row in all_rows:
        by_file.setdefault((row["file"], row["model"], row.get("device")), []).append(row)
    steps = (FORWARD, *BACKWARD_STEPS)
    return [section_of(rows, "forward and backward", lines_of(rows, steps, memory_cells)) for rows in by_file.values()]
