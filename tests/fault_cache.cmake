# The cubin cache under damage, races, hostile folders and failing writes.
moe_tune_test(fault_cache FOLDER fault_cache LINK moe_tune_jit LABEL fault)
