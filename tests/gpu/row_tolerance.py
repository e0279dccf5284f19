"""The bound of a row's error; apart from moe_layer.py because docs/benchmarks/ needs it where there is no torch."""


def row_tolerance(dtype):
    """As row_tolerance() of runtime/reference/comparison.hpp: half a unit in the last place, and what summation orders differ by."""
    return (2.0**-8 if dtype == "bf16" else 2.0**-11) + 2.0**-12
