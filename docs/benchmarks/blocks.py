"""Whole blocks (rows of tests/gpu/bench_block.py): what they are to reach, and their tables."""

from target import Target, rest, times

QWEN, BIG_QWEN, SCOUT = "qwen3-30b-a3b", "qwen3-235b-a22b", "llama4-scout"
GEMM_STEPS = ("gate_up", "down", "shared_expert")
STEPS = ("router", "permute", "gate_up", "down", "combine", "shared_expert")
HOST_TIMES = {"host_us": "in the caller's workspace", "host_pooled_us": "in the library's"}


def call_key(row):
    return row["model"], row["tokens"], row["shared_expert"] is not False


class BlockRows:
    """Of each call (model, tokens, whether with the shared expert) the rows of its newest run."""

    def __init__(self, rows):
        self._calls = {}
        for row in sorted(rows, key=lambda row: row.get("date", "")):
            before = self._calls.get(call_key(row), [])
            same_run = before and before[0].get("date") == row.get("date")
            self._calls[call_key(row)] = [*before, row] if same_run else [row]

    def best(self, model, tokens, shared=True):
        """The fastest of the tuned rows, or, where there are none, of the default ones; None without any."""
        rows = self._calls.get((model, tokens, shared), [])
        tuned = [row for row in rows if row["tuned"]]
        return min(tuned or rows, key=lambda row: row["ms"], default=None)


def peer_ms(row, peer):
    """Milliseconds of the fastest peer whose name begins so."""
    return min((ms for name, ms in row["peers_ms"].items() if name.startswith(peer)), default=None)


def fastest_peer(row, peer):
    return min((name for name in row["peers_ms"] if name.startswith(peer)), key=row["peers_ms"].get)


def against(rows, calls, peer, what, **target):
    """The target of these calls' (model, tokens, shared expert) speed against the fastest such peer."""
    ratios, untuned = {}, 0
    for model, tokens, shared in calls:
        row = rows.best(model, tokens, shared)
        name = f"{model} T={tokens}"
        ms = row and peer_ms(row, peer)
        if ms:
            name = ", ".join([name, *filter(None, [row["variant"]]), f"against {fastest_peer(row, peer)}"])
            untuned += not row["tuned"]
        ratios[name] = ms / row["ms"] if ms else None
    return Target(what, ratios, show=times, untuned=untuned, **target)


def gemm_share(rows, model, tokens, what, **target):
    """The target of the part of a forward that is no GEMM."""
    row = rows.best(model, tokens)
    parts = row["parts_share"] if row else {}
    ratio = sum(parts.get(step, 0.0) for step in GEMM_STEPS) if parts else None
    return Target(what, {f"{model} T={tokens}": ratio}, show=rest, untuned=int(bool(parts) and not row["tuned"]), **target)


def block_targets(all_rows):
    rows = BlockRows(all_rows)
    grouped_mm, hf = "transformers grouped_mm", "transformers"
    big, bigger = [(QWEN, 8192, True)], [(BIG_QWEN, 16384, True)]
    small = [(QWEN, tokens, True) for tokens in (16, 64)]
    scout, without = [(SCOUT, 8192, True)], [(SCOUT, 8192, False)]
    return [
        against(rows, big, grouped_mm, "Block, qwen3-30b-a3b T=8192, against transformers", least=3.0, goal_least=3.3),
        against(rows, bigger, grouped_mm, "Block, qwen3-235b-a22b T=16384, against transformers", least=2.1, goal_least=2.2),
        against(rows, small, hf, "Block, T=16, 64, graphs, against transformers' fastest", least=1.5, goal_least=1.7),
        against(rows, scout, "torch", "Block, llama4-scout T=8192, against torch", least=1.12, goal_least=1.2),
        against(rows, without, "torch", "The same without the shared expert", least=1.25, goal_least=1.35),
        gemm_share(rows, QWEN, 8192, "Block, T=8192: all but the GEMMs", least=0.8),
        # What is no target, but belongs beside them.
        against(rows, scout, hf, "Block, llama4-scout T=8192, against transformers"),
    ]


def cells(row, steps, more):
    """{column: text}; `more` gives those of a row that others do not have."""
    low, high = row.get("ms_ci95", [row["ms"], row["ms"]])
    shares = row["parts_share"]
    configs = {gemm: text.split(" ")[0] for gemm, text in row["config"].items()}
    not_captured = row.get("not_captured", {})
    peers = {
        f"{name} ms": f"{ms:.4f}{' (eager)' if name in not_captured else ''}, {ms / row['ms']:.2f}x"
        for name, ms in row["peers_ms"].items()
    }
    return {
        "T": f"{row['tokens']}{' (graph)' if row['graph'] else ''}",
        "shared expert": {None: "-", True: "yes", False: "no"}[row["shared_expert"]],
        "block": " ".join(filter(None, ["tuned" if row["tuned"] else "default", row["variant"]])),
        "ms": f"{row['ms']:.4f} ({low:.4f}-{high:.4f})",
        **peers,
        **more(row),
        **{step: f"{shares[step] * 100:.0f}%" if step in shares else "-" for step in steps},
        "evicted MiB": str(row.get("evict_mib", "-")),
        **{f"{gemm} config": configs.get(gemm, "-") for gemm in ("gate_up", "down")},
    }


def lines_of(rows, steps=STEPS, more=lambda row: {}):
    """{column: text} of each row."""
    in_order = sorted(rows, key=lambda row: (row["tokens"], row["shared_expert"] is False, row["tuned"]))
    return [cells(row, steps, more) for row in in_order]


def table(lines):
    """Columns of which no line has anything are left out."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    columns = [name for name in names if any(line.get(name, "-") != "-" for line in lines)]
    parts = [columns, ["---"] * len(columns), *([line.get(name, "-") for name in columns] for line in lines)]
    return "\n".join(f"| {' | '.join(part)} |" for part in parts)


def section_of(rows, what, lines):
    """The rows of one file, which are of one model and device."""
    first = rows[0]
    versions = ", ".join(f"{name} {first[name]}" for name in ("torch", "transformers") if name in first)
    hosts = [f"{first[key]:.1f} us {what}" for key, what in HOST_TIMES.items() if key in first]
    host = (
        f"\n\nThe host takes {', '.join(hosts)} for a forward of one token; an empty ctypes call {first.get('host_ctypes_us', 0):.1f} us of it."
        if hosts
        else ""
    )
    return (
        f"## {first['file'].removesuffix('.json')}: {first['model']}, whole block, {what}, bf16\n\n"
        f"{first.get('device', 'unknown device')}, driver {first.get('driver', 'unknown')}, {versions}, {first.get('date', 'no date')}; "
        f"`{first['file']}`, made by\n`{first.get('command', 'unknown')}`\n\n{table(lines)}{host}\n"
    )


def sections(all_rows):
    by_file = {}
    for row in all_rows:
        by_file.setdefault((row["file"], row["model"], row.get("device")), []).append(row)
    return [section_of(rows, "forward", lines_of(rows)) for rows in by_file.values()]
