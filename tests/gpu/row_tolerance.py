"""The bound of a row's error; apart from moe_layer.py because docs/benchmarks/ needs it where there is no torch."""


def row_tolerance(dtype):
    """As row_tolerance() of runtime/reference/comparison.hpp: half a unit in the last place, but of float32, and what summation
    orders differ by."""
    return {"bf16": 2.0**-8, "fp16": 2.0**-11, "fp32": 0.0}[dtype] + 2.0**-12
