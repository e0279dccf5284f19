// Twin of templates/ptx/cache_policy.cuh: there is no cache.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE u64 policy_evict_first() { return 0; }
MOE_DEVICE u64 policy_evict_last() { return 0; }
MOE_DEVICE u64 policy_evict_normal() { return 0; }

}  // namespace moe_tune::ptx
