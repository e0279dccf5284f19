"""CUDA graphs of calls, for the scripts beside this file."""

import torch


def synchronises(call):
    """Whether the call waits for the device, so that it cannot be captured. Told without a capture, which would leave torch's
    allocator and random numbers in a bad state when it fails."""
    call()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def captured(call):
    """A graph of the call, which has been run before."""
    before = torch.cuda.current_stream()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            call()
    finally:
        torch.cuda.set_stream(before)  # which a failing capture leaves to its own
    return graph
