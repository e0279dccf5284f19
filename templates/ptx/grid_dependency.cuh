// griddepcontrol: a kernel starts while the one before it in its stream still runs (programmatic dependent launch, sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// The next kernel may start once every block of this one has called it or has ended. Says nothing about memory: what the next
/// kernel sees is up to its wait_for_dependencies().
MOE_DEVICE void launch_dependents() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

/// Waits until the kernels before this one have ended and their writes are visible to the calling thread: before the first access
/// to anything that they write or read. Returns at once in a kernel that was launched without the attribute. Trap: only threads
/// that call it (or meet one that did at a barrier) may rely on it.
MOE_DEVICE void wait_for_dependencies() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

}  // namespace moe_tune::ptx
