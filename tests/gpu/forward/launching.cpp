// How kernels may be launched: again and again, in graphs, on part of the GPU, on several streams and threads at once.
#include <atomic>
#include <catch2/catch.hpp>
#include <numeric>
#include <thread>
#include <vector>

#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/graph.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in every dimension, and an even number of tiles of 128 columns for clusters.
constexpr Problem gather = {.E = 24, .N = 392, .K = 456, .top_k = 3, .permute_x = true};

}  // namespace

TEST_CASE("launching: 100 runs give the same bits") {
  const Problem scatter = {.gemm = Gemm::down, .E = 24, .N = 392, .K = 456, .top_k = 3, .permute_y = true};
  std::vector<KernelSpec> kernels;
  for (const Problem& problem : {gather, scatter}) {
    for (const Family family : Gpu::get().families(problem)) kernels.push_back(Gpu::get().default_kernel(problem, 300, family));
    if (!has_sm90()) continue;
    for (const KernelConfig& config : sm90_configs(problem)) kernels.push_back({problem, config});
  }
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    INFO(describe(spec.problem) << " " << to_string(spec.config));
    const GemmKernel kernel = Gpu::get().load(spec);
    GemmCase forward(routed_case(spec.problem, 300, {RoutingSpec::Kind::zipf, 1.0, 2}));
    CHECK(forward.run(kernel) == 0);
    check_result(forward);
    const std::vector<std::uint16_t> first = forward.download_y();
    int different = 0;
    for (int i = 1; i < 100; ++i) {
      forward.run(kernel);
      different += forward.download_y() != first;
    }
    CHECK(different == 0);
    CHECK(forward.queue() == 0);
  }
}

TEST_CASE("launching: a captured launch reads m_sizes when it is replayed") {
  const Family family = GENERATE(Family::sm80, Family::sm90);
  if (family == Family::sm90 && !has_sm90()) return;
  const GemmKernel kernel = Gpu::get().load(Gpu::get().default_kernel(gather, 200, family));
  GemmCase forward(one_expert_case(gather, 200, 5));
  const Stream stream;
  const CapturedGraph graph(stream.get(), [&] { kernel.launch(forward.args(), forward.resources(), stream.get()); });
  forward.reset(stream.get());
  graph.launch(stream.get());
  stream.synchronize();
  check_result(forward);

  std::vector<std::int64_t> sizes(gather.E, 0);
  for (int round = 0; round < 5; ++round) {
    for (int expert = 0; expert < gather.E; ++expert) sizes[expert] = (expert * 7 + round * 11) % 24;
    forward.set_m_sizes(sizes);
    forward.refresh_reference();
    forward.reset(stream.get());
    graph.launch(stream.get());
    stream.synchronize();
    INFO("round " << round);
    CHECK(forward.status() == 0);
    check_result(forward);
  }
}

TEST_CASE("launching: part of the GPU, or more of it than there is, gives the same result") {
  std::vector<KernelSpec> kernels;
  for (const Family family : Gpu::get().families(gather)) kernels.push_back(Gpu::get().default_kernel(gather, 300, family));
  if (has_sm90()) {
    for (const KernelConfig& config : sm90_configs(gather)) kernels.push_back({gather, config});
  }
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    for (const int max_sms : {1, 2, 7, Gpu::get().sm_count(), 100000}) {
      INFO("max_sms " << max_sms);
      check_kernel(routed_case(gather, 300, {}), kernel, max_sms);
    }
  }
}

TEST_CASE("launching: no tokens launch nothing") {
  const GemmKernel kernel = Gpu::get().load(Gpu::get().default_kernel(gather, 1));
  abi::GroupedGemmArgs args = {};
  kernel.launch(args, {}, nullptr);  // null pointers would fault
  driver().cuStreamSynchronize(nullptr);
}

TEST_CASE("launching: two threads share a kernel, each on its stream") {
  const Family family = GENERATE(Family::sm80, Family::sm90);
  if (family == Family::sm90 && !has_sm90()) return;
  const GemmKernel kernel = Gpu::get().load(Gpu::get().default_kernel(gather, 300, family));
  GemmCase cases[] = {GemmCase(routed_case(gather, 300, {})),
                      GemmCase(routed_case(gather, 300, {RoutingSpec::Kind::zipf, 1.0, 8}))};
  std::atomic<int> failures = 0;
  {
    std::vector<std::jthread> threads;
    for (GemmCase& forward : cases) {
      threads.emplace_back([&] {
        const CurrentContext current(Gpu::get().context());
        const Stream stream;
        for (int i = 0; i < 50; ++i) {
          const bool good = forward.run(kernel, stream.get()) == 0 && forward.compare().pass();
          failures += !good;
        }
      });
    }
  }
  CHECK(failures == 0);
  for (const GemmCase& forward : cases) CHECK(forward.guards_intact());
}
