// Every micro-test.
#pragma once

#include "tests/ptx/support/micro_test.hpp"

/// X(name): there is a function NAME_family().
#define MOE_TUNE_PTX_FAMILIES(X) \
  X(shared)                      \
  X(global)                      \
  X(numeric)                     \
  X(mma)                         \
  X(stmatrix)                    \
  X(elect)                       \
  X(sync)                        \
  X(reduce)                      \
  X(ldmatrix)                    \
  X(atomics)                     \
  X(atomics_sm90)                \
  X(cp_async)                    \
  X(registers)                   \
  X(grid_dependency)             \
  X(mbarrier)                    \
  X(bulk_copy)                   \
  X(cluster)                     \
  X(tma_load)                    \
  X(tma_store)                   \
  X(multicast)                   \
  X(wgmma_sizes)                 \
  X(wgmma_layouts)               \
  X(wgmma_modes)                 \
  X(wgmma_registers)

namespace moe_tune::test {

#define MOE_TUNE_DECLARE_FAMILY(name) InstructionFamily name##_family();
MOE_TUNE_PTX_FAMILIES(MOE_TUNE_DECLARE_FAMILY)
#undef MOE_TUNE_DECLARE_FAMILY

inline std::vector<InstructionFamily> families() {
#define MOE_TUNE_CALL_FAMILY(name) name##_family(),
  return {MOE_TUNE_PTX_FAMILIES(MOE_TUNE_CALL_FAMILY)};
#undef MOE_TUNE_CALL_FAMILY
}

}  // namespace moe_tune::test
