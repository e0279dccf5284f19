// Reductions over the lanes of a warp.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/reduce.cuh"

namespace moe_tune::micro {

/// Every lane stores what it gets.
MOE_DEVICE void largest_of_warp(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  ptx::store(args.output + t, ptx::warp_max(ptx::load_constant(args.input + t)));
}

}  // namespace moe_tune::micro
