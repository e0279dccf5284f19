"""How the backward of blocks is launched: checks of test_blocks.py on reruns, graphs, workspaces, steps, long trainings. Each returns
what is wrong, or None; what it measured goes into `facts`. An eager call of the block itself says which bits are right."""

import dataclasses
import time

import torch

from block_launch_checks import random_selection
from cuda_graphs import captured
from moe_tune_block import BACKWARD_STEPS
from training_case import bits

RERUNS = 30
CYCLE = 10  # steps of a training until its weights are as at first again
RATE = 0.01  # of a weight's size, so large is a step's change


def check_training_reruns(case, facts, tokens, **options):
    """Always the same bits, and in the caller's workspace, whatever it holds, those of the library's."""
    inputs = case.inputs(tokens)
    with case.trained(tokens, **options) as trained:
        expected = trained.run(inputs)
        if not all(bool(tensor.isfinite().all()) for tensor in expected.gradients.tensors.values()):
            return "a gradient is not finite"
        for byte in (255, 0, 127):
            step = trained.run(inputs, own_workspace=True, byte=byte)
            if not bool(step.same(expected)):
                return f"other bits from memory full of {byte}"
            if complaint := step.complaint():
                return complaint
        same = torch.zeros((), device="cuda", dtype=torch.int64)
        step = trained.step(inputs)
        for _ in range(RERUNS):
            step.poison()
            step.run()
            same += step.same(expected)
        return None if same.item() == RERUNS else f"{RERUNS - same.item()} of {RERUNS} reruns differ from a first run"


def check_training_graph(case, facts, tokens, **options):
    """A graph of forward and backward, replayed with other data, selections and token counts, has an eager step's bits; rows behind the
    count keep theirs."""
    with case.trained(tokens, **options) as trained:
        for own_workspace in (False, True):
            for inject in (False, True):
                if complaint := replays_complaint(case, trained, tokens, own_workspace, inject):
                    return complaint
    return None


def replays_complaint(case, trained, tokens, own_workspace, inject):
    static = case.inputs(tokens, with_logits=True)
    static.token_count = torch.full((1,), tokens, device="cuda", dtype=torch.int32)
    if inject:
        static.selected = random_selection(case, tokens, 1)
    step = trained.step(static, own_workspace=own_workspace)
    step.poison()
    step.run()
    torch.cuda.synchronize()
    graph = captured(step.run)
    for seed, there in enumerate((tokens, tokens // 3, 0, 1, tokens)):
        fresh = case.inputs(tokens, with_logits=True, seed=seed)
        if inject:
            fresh.selected = random_selection(case, tokens, seed)
        fresh.token_count = torch.full((1,), there, device="cuda", dtype=torch.int32)
        for field in dataclasses.fields(fresh):
            if getattr(fresh, field.name) is not None:
                getattr(static, field.name).copy_(getattr(fresh, field.name))
        expected = trained.run(fresh)
        step.poison()
        graph.replay()
        torch.cuda.synchronize()
        name = f"{own_workspace=} {inject=}, replay {seed} with {there} of {tokens} tokens"
        if not bool(step.same(expected, there)):
            return f"{name}: not an eager step's bits"
        if complaint := step.complaint(there):
            return f"{name}: {complaint}"
    return None


def check_training_overlap(case, facts, tokens, **options):
    """The shared expert beside router and experts changes nothing."""
    inputs = case.inputs(tokens)
    with case.trained(tokens, **options) as trained:
        expected = trained.run(inputs)
    with case.trained(tokens, overlap_router_shared=1, **options) as trained:
        same = torch.zeros((), device="cuda", dtype=torch.int64)
        step = trained.step(inputs)
        for _ in range(RERUNS):
            step.poison()
            step.run()
            same += step.same(expected)
        return None if same.item() == RERUNS else f"{RERUNS - same.item()} of {RERUNS} steps have other bits"


def check_backward_steps(case, facts, tokens, **options):
    """The names that on_step gets."""
    names = []
    with case.trained(tokens, **options) as trained:
        trained.run(case.inputs(tokens), on_step=names.append)
    facts["steps"] = names
    wanted = {"dX_down", "swiglu", "end"}
    wanted |= set() if options.get("dX_only") else {"dW_down", "dW_gate_up"}
    wanted |= set() if options.get("dW_only") else {"dX_gate_up"}
    never = {"dW_down", "dW_gate_up", "dX_gate_up"} - wanted
    wrong = len(set(names)) < len(names) or names[-1:] != ["end"] or set(names) - {*BACKWARD_STEPS, "end"}
    return f"steps are {names}" if wrong or wanted - set(names) or never & set(names) else None


def memory_used():
    """Bytes of the device, those of the library among them, and those of torch's tensors."""
    free, total = torch.cuda.mem_get_info()
    return {"device": total - free, "torch": torch.cuda.memory_allocated()}


def check_training_soak(case, facts, steps, tokens):
    """A training whose weights are set back every few steps: these always have the same bits, and no memory grows."""
    inputs = case.inputs(tokens)
    with case.trained(tokens) as trained:
        weights = trained.weight_tensors()
        start = {name: tensor.clone() for name, tensor in weights.items()}
        step = trained.run(inputs)

        def cycle():
            for name, tensor in weights.items():
                tensor.copy_(start[name])
            for _ in range(CYCLE):
                step.poison()
                step.run()
                for name, tensor in weights.items():
                    gradient = step.gradients[f"d_{name}"].float()
                    # Of the step's own gradient: one that grows cannot make the steps grow.
                    tensor.sub_((gradient * (RATE * tensor.float().norm() / gradient.norm())).to(tensor.dtype))

        try:
            cycle()
            last = {name: tensor.clone() for name, tensor in weights.items()}
            d_hidden = step.gradients["d_hidden_states"].clone()

            def as_at_first():
                pairs = [(weights[name], last[name]) for name in weights] + [(step.gradients["d_hidden_states"], d_hidden)]
                return torch.stack([(bits(a) == bits(b)).all() for a, b in pairs]).all()

            same = torch.zeros((), device="cuda", dtype=torch.int64)
            cycles = max(1, steps // CYCLE)
            cycle()
            as_at_first()
            torch.cuda.synchronize()
            before, begin = memory_used(), time.perf_counter()
            for _ in range(cycles):
                cycle()
                same += as_at_first()
                torch.cuda.synchronize()
            grown = {name: used - before[name] for name, used in memory_used().items()}
        finally:
            for name, tensor in weights.items():
                tensor.copy_(start[name])
    moved = all(bool((last[name] != start[name]).any()) for name in weights)
    facts |= {
        "steps": cycles * CYCLE,
        "grown": grown,
        "text": f"{cycles * CYCLE} steps in {time.perf_counter() - begin:.1f} s, bytes grown: {grown}",
    }
    if not moved or not bool(d_hidden.isfinite().all()):
        return "the training changes nothing, or diverges"
    if same.item() != cycles:
        return f"{cycles - same.item()} of {cycles} cycles have other bits than a first one"
    return f"memory grew: {grown}" if max(grown.values()) > 0 else None
