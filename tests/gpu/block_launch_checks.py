"""How blocks are launched: checks of test_blocks.py on reruns, graphs, token counts, workspaces, threads, expert ranges, NaN. Each
returns what is wrong, or None; what it measured goes into `facts`. An eager call of the block itself says which bits are right.
"""

import math
import threading
import time

import torch

from block_case import describe
from block_reference import row_errors
from cuda_graphs import captured
from moe_layer import route
from row_tolerance import row_tolerance

RERUNS = 100


def check_nan(case, facts, tokens):
    """A token that is NaN stays alone."""
    x = case.weights.hidden_states(tokens)
    expected = case.run(case.default, x)
    bad = tokens // 2
    x[bad] = math.nan
    outputs = case.run(case.default, x)
    if not bool(outputs.out[bad].isnan().all()) or not bool(outputs.router_logits[bad].isnan().all()):
        return "the token that is NaN has numbers"
    others = torch.arange(tokens, device="cuda") != bad
    return None if bool(outputs.same(expected, others)) else "other tokens changed"


def check_reruns(case, facts, tokens):
    x = case.weights.hidden_states(tokens)
    for variant, block in case.blocks.items():
        expected = case.run(block, x)
        outputs = case.outputs(tokens)
        call = case.call(block, x, outputs)
        same = torch.zeros((), device="cuda", dtype=torch.int64)
        for _ in range(RERUNS):
            outputs.poison()
            call.run()
            same += outputs.same(expected)
        if same.item() != RERUNS:
            return f"{variant}: {RERUNS - same.item()} of {RERUNS} reruns differ from a first run"
    return None


def random_selection(case, tokens, seed):
    model = case.weights.model
    return route("zipf:1.0", tokens, model.experts, model.top_k, seed).to(torch.int32).contiguous()


def check_graph(case, facts, tokens):
    """Replays with other inputs, selections and token counts have an eager call's bits; rows behind the count keep theirs."""
    for variant, block in case.blocks.items():
        for own_workspace in (False, True):
            for inject in (False, True):
                x, count = case.weights.hidden_states(tokens), torch.full((1,), tokens, device="cuda", dtype=torch.int32)
                selected = random_selection(case, tokens, 1) if inject else None
                outputs = case.outputs(tokens)
                outputs.poison()
                size = block.workspace_bytes(tokens)
                workspace = {"workspace": torch.full((size,), 255, device="cuda", dtype=torch.uint8)} if own_workspace else {}
                call = case.call(block, x, outputs, selected, token_count=count, **workspace)
                graph = captured(call.run)
                for seed, there in enumerate((tokens, tokens // 3, 0, 1, tokens)):
                    x.copy_(case.weights.hidden_states(tokens, seed))
                    if inject:
                        selected.copy_(random_selection(case, tokens, seed))
                    expected = case.run(block, x, selected)
                    count.fill_(there)
                    outputs.poison()
                    graph.replay()
                    torch.cuda.synchronize()
                    if inject:  # which nobody writes: for the comparison
                        outputs.selected_experts.copy_(expected.selected_experts)
                    name = f"{variant} {own_workspace=} {inject=}, replay {seed} with {there} of {tokens} tokens"
                    if not bool(outputs.same(expected, slice(there))):
                        return f"{name}: not an eager call's bits"
                    written = [key for key in outputs.tensors if key != "selected_experts" or not inject]
                    if not outputs.untouched_behind(there, written):
                        return f"{name}: touched tokens that are not there"
                del graph
    return None


def check_workspace(case, facts, tokens):
    """What the caller's workspace holds does not matter, and nothing behind it is written."""
    x = case.weights.hidden_states(tokens)
    for variant, block in case.blocks.items():
        expected = case.run(block, x)
        size = block.workspace_bytes(tokens)
        for byte in (255, 0, 127):
            memory = torch.full((size + 256,), byte, device="cuda", dtype=torch.uint8)
            outputs = case.run(block, x, workspace=memory[:size])
            if not bool(outputs.same(expected)):
                return f"{variant}: other bits from a workspace full of {byte}"
            if not bool((memory[size:] == byte).all()):
                return f"{variant}: wrote behind its workspace"
    return None


def check_threads(case, facts, tokens):
    """Two threads on two streams with one block."""
    steps = 50
    inputs = [case.weights.hidden_states(tokens, seed) for seed in (1, 2)]
    for variant, block in case.blocks.items():
        expected = [case.run(block, x) for x in inputs]
        outputs = [case.outputs(tokens) for _ in inputs]
        same, errors = [0, 0], []

        def work(number):
            try:
                stream = torch.cuda.Stream()
                with torch.cuda.stream(stream):
                    right = torch.zeros((), device="cuda", dtype=torch.int64)
                    call = case.call(block, inputs[number], outputs[number])
                    for _ in range(steps):
                        outputs[number].poison()
                        call.run()
                        right += outputs[number].same(expected[number])
                    same[number] = right.item()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        if same != [steps, steps]:
            return f"{variant}: {same} of {steps} steps have a lone call's bits"
    return None


def check_ranges(case, facts, tokens):
    """Two processes' shares add up to the whole."""
    x = case.weights.hidden_states(tokens)
    half = case.weights.model.experts // 2
    whole = case.run(case.default, x)
    shared_once = {"no_shared_expert": 1} if case.weights.kind == "llama4" else {}
    for permutes in ({}, {"permute_y": False}):
        parts = []
        for options in ({"first_expert": 0, "expert_count": half}, {"first_expert": half, "expert_count": half, **shared_once}):
            with case.block(**options, **permutes) as block:
                part = case.run(block, x)
            if not torch.equal(part.selected_experts, whole.selected_experts):
                return f"{describe(options)}: another selection"
            parts.append(part.out.float())
        # Each part is rounded, and as large as the whole at most by chance.
        error = row_errors(parts[0] + parts[1], whole.out).max().item()
        facts[f"error {describe(permutes)}"] = error
        if not error <= 3 * row_tolerance(case.dtype):
            return f"{describe(permutes)}: the halves differ from the whole by {error:.4f}"
    return None


def check_overlap(case, facts, tokens):
    """The shared expert beside router and experts changes nothing."""
    x = case.weights.hidden_states(tokens)
    with case.block(overlap_router_shared=1) as block:
        block.prepare([tokens])
        expected = case.run(case.default, x)
        outputs = case.outputs(tokens)
        call = case.call(block, x, outputs)
        same = torch.zeros((), device="cuda", dtype=torch.int64)
        for _ in range(RERUNS):
            outputs.poison()
            call.run()
            same += outputs.same(expected)
        if same.item() != RERUNS:
            return f"{RERUNS - same.item()} of {RERUNS} runs have other bits"
        graph = captured(call.run)
        outputs.poison()
        graph.replay()
        torch.cuda.synchronize()
        return None if bool(outputs.same(expected)) else "captured: other bits"


def check_no_tokens(case, facts):
    outputs = case.run(case.default, case.weights.hidden_states(0))
    return None if outputs.untouched_behind(0) else "wrote without tokens"


def check_steps(case, facts, tokens):
    """The names that on_step gets."""
    names = []
    case.run(case.default, case.weights.hidden_states(tokens), on_step=names.append)
    expected = ["shared_expert", "router", "permute", "gate_up", "down", "combine", "end"]
    if case.weights.kind == "qwen3":
        expected = [name for name in expected if name not in ("shared_expert", "permute")]
    return None if names == expected else f"steps are {names}"


def check_soak(case, facts, steps):
    """Many steps at few tokens: always the same bits, and no memory that grows."""
    calls = []
    for tokens in (1, 7, 16):
        x = case.weights.hidden_states(tokens, seed=tokens)
        outputs = case.outputs(tokens)
        calls.append((outputs, case.call(case.default, x, outputs), case.run(case.default, x)))
    same = torch.zeros((), device="cuda", dtype=torch.int64)

    def step(number):
        outputs, call, expected = calls[number % len(calls)]
        outputs.poison()
        call.run()
        return outputs.same(expected)

    for number in range(50):
        step(number)
    torch.cuda.synchronize()
    free = torch.cuda.mem_get_info()[0]
    begin = time.perf_counter()
    for number in range(steps):
        same += step(number)
        if number % 500 == 499:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    lost = free - torch.cuda.mem_get_info()[0]
    facts |= {
        "steps": steps,
        "bytes_lost": lost,
        "text": f"{steps} steps in {time.perf_counter() - begin:.1f} s, {lost} bytes lost",
    }
    if same.item() != steps:
        return f"{steps - same.item()} of {steps} steps have other bits than a first one"
    return f"{lost} bytes were not given back" if lost > 0 else None
