#include "runtime/tune/emulated_workbench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/reference/case_spec.hpp"

namespace moe_tune {
namespace {

/// Every group of neighbours leaves its rows to its last expert, whose weights end where something else begins.
std::vector<std::int64_t> shared_among(const std::vector<std::int64_t>& m_sizes, int experts) {
  const auto E = static_cast<std::int64_t>(m_sizes.size());
  std::vector<std::int64_t> shared(m_sizes.size());
  for (std::int64_t expert = 0; expert < E; ++expert) {
    const std::int64_t group = expert * experts / E;
    const std::int64_t last = ((group + 1) * E + experts - 1) / experts - 1;
    shared[static_cast<std::size_t>(last)] += m_sizes[static_cast<std::size_t>(expert)];
  }
  return shared;
}

/// Of dW every expert stores all of its weight: those that have rows, and one that has none where there are such.
CaseSpec with_few_experts(CaseSpec spec) {
  std::vector<std::int64_t>& sizes = spec.m_sizes;
  const std::size_t all = sizes.size();
  sizes.erase(std::remove(sizes.begin(), sizes.end(), 0), sizes.end());
  if (sizes.size() < all) sizes.push_back(0);
  spec.problem.E = static_cast<int>(sizes.size());
  return spec;
}

}  // namespace

EmulatedWorkbench::EmulatedWorkbench(EmitFunction emit) : emit_(emit_or_default(std::move(emit))) {
  try {
    emulator::find_host_compiler();
  } catch (const EnvironmentError& error) {
    throw NoEmulatedDevice(error.what());
  }
}

void EmulatedWorkbench::set_up(const Workload& workload, const Place& place) {
  rows_.reset();
  weights_.reset();
  CaseSpec spec = routed_case(workload.problem, workload.tokens, workload.routing);
  spec.m_sizes = shared_among(spec.m_sizes, std::min(place.experts, workload.problem.E));
  spec.topk_weights_f32 = false;  // as on a GPU
  spec.seed = static_cast<std::uint32_t>(workload.seed);
  if (workload.problem.op == Op::dW) {
    spec = with_few_experts(std::move(spec));
    weights_.emplace(spec);
  } else {
    rows_.emplace(spec);
  }
  if (kernels_of_ != spec.problem) kernels_.clear();
  kernels_of_ = spec.problem;
  schedules_ = place.schedules;
}

const emulator::GemmKernel& EmulatedWorkbench::kernel(const KernelConfig& config) {
  if (const auto found = kernels_.find(config); found != kernels_.end()) return found->second;
  return kernels_.try_emplace(config, kernels_of_, config, emit_(kernels_of_, config)).first->second;
}

VerifyReply EmulatedWorkbench::verify(const KernelConfig& config, const OnLaunch& on_launch) {
  if (!rows_ && !weights_) throw UsageError("no workload is set up: call set_up first");
  const emulator::GemmKernel& candidate = kernel(config);
  return rows_ ? verify(*rows_, candidate, on_launch) : verify(*weights_, candidate, on_launch);
}

template <class Case>
VerifyReply EmulatedWorkbench::verify(Case& tensors, const emulator::GemmKernel& candidate, const OnLaunch& on_launch) const {
  Comparison worst;
  for (int schedule = 0; schedule < schedules_; ++schedule) {
    if (on_launch) on_launch(schedule);
    const unsigned status = tensors.run(candidate, static_cast<std::uint64_t>(schedule));
    if (status != tensors.expected_status()) {
      throw emulator::KernelFault(
          fmt::format("sets status bits {:#x} where the data call for {:#x}", status, tensors.expected_status()));
    }
    Comparison found = tensors.compare();
    if (!found.pass()) return emulated_verify_reply(found, schedule);
    if (schedule == 0 || found.max_row_error > worst.max_row_error) worst = std::move(found);
  }
  return emulated_verify_reply(worst, -1);
}

}  // namespace moe_tune
