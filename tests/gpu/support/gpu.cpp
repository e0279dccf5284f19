#include "tests/gpu/support/gpu.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/heuristics.hpp"
#include "generator/model.hpp"
#include "generator/routing.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune::test {

const Gpu& Gpu::get() {
  static const Gpu gpu;
  return gpu;
}

Gpu::Gpu()
    : info_(query_device(0)),
      description_(describe_device(info_)),
      arch_(arch_of(info_)),
      primary_(0),
      current_(primary_.get()),
      utilities_(cubin_cache(), arch_, info_.sm_count) {}

void Gpu::compile_ahead(std::span<const KernelSpec> kernels) const {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto worker = [&] {
    for (std::size_t i = next++; i < kernels.size(); i = next++) {
      try {
        compile_kernel(cubin_cache(), kernels[i].problem, kernels[i].config, description_, kernels[i].layout);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) workers.emplace_back(worker);
  }
  if (failure) std::rethrow_exception(failure);
}

GemmKernel Gpu::load(const KernelSpec& kernel) const {
  return GemmKernel(kernel.problem, kernel.config,
                    compile_kernel(cubin_cache(), kernel.problem, kernel.config, description_, kernel.layout), info_.sm_count);
}

KernelSpec Gpu::default_kernel(const Problem& problem, int tokens) const {
  return {problem, default_config(problem, tokens, description_)};
}

KernelSpec Gpu::default_kernel(const Problem& problem, int tokens, Family family) const {
  DeviceDescription device = description_;
  if (family == Family::sm80) device.cc_major = 8, device.cc_minor = 0;  // which knows no other
  KernelConfig config = default_config(problem, tokens, device);
  if (config.family == family) return {problem, config};
  std::vector<KernelConfig> configs = config_space(problem, device);
  std::erase_if(configs, [&](const KernelConfig& c) { return c.family != family; });
  const std::vector<int> m_sizes = route(RoutingSpec{}, tokens, problem.E, problem.top_k).m_sizes;
  return {problem, rank(problem, configs, m_sizes, device).at(0).config};
}

std::vector<Family> Gpu::families(const Problem& problem) const {
  const bool fused = problem.fuse_mul_pre || problem.fuse_swiglu;
  std::vector<Family> result;
  if (!fused) result.push_back(Family::sm80);
  if (runs_on(Family::sm90, description_)) result.push_back(Family::sm90);
  return result;
}

}  // namespace moe_tune::test
