// L2 policies for the instructions that take one as their last argument: bulk copies and TMA (sm_80).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// A policy is a hint: it changes no result. The compiler makes it once where one is asked for in a loop.

/// For data that is read once, such as weights when there are few tokens.
MOE_DEVICE u64 policy_evict_first() {
  u64 policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

/// For data that other blocks read soon.
MOE_DEVICE u64 policy_evict_last() {
  u64 policy;
  asm("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

/// As without a policy.
MOE_DEVICE u64 policy_evict_normal() {
  u64 policy;
  asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

}  // namespace moe_tune::ptx
