"""The project's streaming read (templates/kernels/stream_read.cuh), compiled by torch's NVRTC: evicts the L2, and is the floor
that memory-bound calls are compared with."""

import pathlib
import re

import torch

TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "templates"
ENTRY = """
MOE_KERNEL(moe_tune::abi::stream_threads, moe_tune::abi::stream_blocks_per_sm)
bench_stream_read(const moe_tune::Words4* source, int chunks, moe_tune::Words4* sink) {
  moe_tune::StreamRead::run(source, chunks, sink);
}
"""
THREADS = 256
BLOCKS_PER_SM = 4


def inline_template(path, seen):
    """`path` and what it includes, each once: one self-contained source."""
    if path in seen:
        return ""
    seen.add(path)
    text = (TEMPLATES / path).read_text(encoding="utf-8").replace("#pragma once\n", "")
    return re.sub(r'#include "([^"]+)"\n', lambda match: inline_template(match[1], seen), text)


class StreamRead:
    def __init__(self):
        if not hasattr(torch.cuda, "_compile_kernel"):
            raise SystemExit(f"torch {torch.__version__} cannot compile a kernel at run time: use torch 2.9 or newer")
        # Some versions of torch put `extern "C"` before a source that does not begin with it.
        source = 'extern "C" {}\n' + inline_template("kernels/stream_read.cuh", set()) + ENTRY
        self._kernel = torch.cuda._compile_kernel(source, "bench_stream_read")
        self._sink = torch.zeros(16, device="cuda", dtype=torch.uint8)
        self._sms = torch.cuda.get_device_properties(0).multi_processor_count

    def __call__(self, buffer, size):
        """Reads the first `size` bytes of a uint8 tensor on the current stream."""
        chunks = size // 16
        blocks = max(1, min(self._sms * BLOCKS_PER_SM, (chunks + THREADS - 1) // THREADS))
        self._kernel(
            grid=(blocks, 1, 1), block=(THREADS, 1, 1), args=[buffer, chunks, self._sink], stream=torch.cuda.current_stream()
        )
