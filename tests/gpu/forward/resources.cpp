// What launches need beside their tensors: queue counters and workspace, eager and captured, on several streams.
#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/queue_counters.hpp"
#include "runtime/launch/workspace_pool.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/graph.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

TEST_CASE("resources: a stream keeps its queue counter, and a new stream does not get that of one that is gone") {
  QueueCounters counters(allocate_queue_counters);
  std::set<unsigned*> seen;
  for (int i = 0; i < 20; ++i) {
    const Stream stream;
    unsigned* counter = queue_counter(counters, stream.get());
    CHECK(queue_counter(counters, stream.get()) == counter);
    CHECK(seen.insert(counter).second);
  }
  CHECK(seen.insert(queue_counter(counters, nullptr)).second);
  unsigned* here = queue_counter(counters, CU_STREAM_PER_THREAD);
  CHECK(queue_counter(counters, CU_STREAM_PER_THREAD) == here);
  CHECK(seen.insert(here).second);
  for (int i = 0; i < 20; ++i) {  // of which the system may take each for the one before
    unsigned* there = nullptr;
    std::thread([&] {
      const CurrentContext current(Gpu::get().context());
      there = queue_counter(counters, CU_STREAM_PER_THREAD);
    }).join();
    CHECK(seen.insert(there).second);
  }
}

TEST_CASE("resources: a captured launch has a queue counter of its own, and memory for it is found while capturing") {
  QueueCounters counters(allocate_queue_counters);
  const Stream stream;
  std::set<unsigned*> seen{queue_counter(counters, stream.get())};
  std::vector<unsigned*> captured;
  const CapturedGraph graph(stream.get(), [&] {
    for (int i = 0; i < 20'000; ++i) captured.push_back(queue_counter(counters, stream.get()));  // more than one piece has
  });
  for (unsigned* counter : captured) REQUIRE(seen.insert(counter).second);
  unsigned last = 1;
  driver().cuMemcpyDtoH(&last, reinterpret_cast<CUdeviceptr>(captured.back()), sizeof last);
  CHECK(last == 0);
}

TEST_CASE("resources: pooled workspace serves calls on several streams, and in graphs beside them") {
  if (!has_sm90()) return;
  const Problem problem = {.E = 24, .N = 392, .K = 456, .top_k = 3, .permute_x = true};
  const KernelConfig config =
      parse_config(GENERATE(as<std::string>(), "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_dispatch",
                            "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead",
                            "sm90_128x128x64_tokens_coop_w12_s4_c1_x2_static_nfast_copyahead",
                            "sm90_64x256x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_inkernel"));
  INFO(to_string(config));
  const GemmKernel kernel = Gpu::get().load({problem, config});
  CUdevice device = 0;
  driver().cuCtxGetDevice(&device);
  const WorkspacePool pool(device);
  QueueCounters counters(allocate_queue_counters);
  const auto launch = [&](const GemmCase& forward, CUstream stream) {
    const PooledWorkspace workspace(pool, kernel.workspace_bytes(forward.args().M), stream);
    kernel.launch(forward.args(), {workspace.get(), queue_counter(counters, stream)}, stream);
  };
  pool.reserve(kernel.workspace_bytes(900));

  std::vector<std::unique_ptr<GemmCase>> cases;
  for (const std::uint64_t seed : {1, 2, 3}) {
    cases.push_back(std::make_unique<GemmCase>(routed_case(problem, 300, {RoutingSpec::Kind::zipf, 1.0, seed})));
  }
  const Stream streams[3];
  const CapturedGraph graph(streams[2].get(), [&] { launch(*cases[2], streams[2].get()); });
  for (int round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < cases.size(); ++i) cases[i]->reset(streams[i].get());
    launch(*cases[0], streams[0].get());
    launch(*cases[1], streams[1].get());
    graph.launch(streams[2].get());
    for (const Stream& stream : streams) stream.synchronize();
    for (const auto& forward : cases) check_result(*forward);
  }
}

TEST_CASE("resources: a launch without what it needs is refused") {
  if (!has_sm90()) return;
  const Problem problem = {.E = 4, .N = 256, .K = 64, .top_k = 1, .permute_x = true};
  const KernelConfig config = parse_config("sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch");
  const GemmKernel kernel = Gpu::get().load({problem, config});
  GemmCase forward(routed_case(problem, 10, {}));
  LaunchResources resources = forward.resources();
  resources.queue = nullptr;
  CHECK_THROWS_WITH(kernel.launch(forward.args(), resources, nullptr), Catch::Contains("needs a queue counter"));
  resources = forward.resources();
  resources.workspace = nullptr;
  CHECK_THROWS_WITH(kernel.launch(forward.args(), resources, nullptr), Catch::Contains("needs 1280 bytes of workspace"));
}
