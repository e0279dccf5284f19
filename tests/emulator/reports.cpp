// What the emulated device finds wrong, and what it says of it.
#include <catch2/catch.hpp>
#include <string>

#include "runtime/emulator/launch.hpp"
#include "tests/emulator/kernel_source.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using namespace moe_tune::emulator;
using Catch::Matchers::Contains;

namespace {

/// `body` runs as the kernel body; `out` has 64 words, `in` 64 that are read only, `maps` none.
std::string kernel_with(const std::string& body) {
  return with_templates(
      "#include \"ptx/atomics.cuh\"\n#include \"ptx/bulk_copy.cuh\"\n#include \"ptx/cluster.cuh\"\n#include "
      "\"ptx/cp_async.cuh\"\n"
      "#include \"ptx/fence.cuh\"\n#include \"ptx/global.cuh\"\n#include \"ptx/ldmatrix.cuh\"\n#include \"ptx/mbarrier.cuh\"\n"
      "#include \"ptx/registers.cuh\"\n#include \"ptx/shared.cuh\"\n#include \"ptx/sync.cuh\"\n#include \"ptx/wgmma.cuh\"\n"
      "using namespace moe_tune;\nusing namespace moe_tune::ptx;\n"
      "MOE_KERNEL(1024, 1) test_kernel(u32* out, const u32* in) {\n"
      "const u32 t = thread_index();\nconst u32 shared = shared_base();\n" +
      body + "\n}\n");
}

/// What the device says of a kernel; empty when nothing is wrong.
std::string report(const Kernel& kernel, Launch launch) {
  GlobalMemory memory;
  Allocation& out = memory.allocate("out", 256, Use::read_write);
  Allocation& in = memory.allocate("in", 256, Use::read_only);
  try {
    run(memory, launch, kernel, "test_kernel", static_cast<unsigned*>(out.get()), static_cast<const unsigned*>(in.get()));
  } catch (const KernelFault& fault) {
    return fault.what();
  }
  return "";
}

std::string report(const std::string& body, Launch launch = {.threads = 64, .shared_bytes = 4096}) {
  return report(Kernel(kernel_with(body)), launch);
}

/// The report under every kind of schedule; they must agree on whether something is wrong.
std::string report_of_all(const std::string& body, Launch launch = {.threads = 64, .shared_bytes = 4096}) {
  const Kernel kernel(kernel_with(body));
  std::string first;
  for (launch.seed = 0; launch.seed < 4; ++launch.seed) {
    const std::string text = report(kernel, launch);
    INFO("seed " << launch.seed << ": " << text);
    if (launch.seed == 0) first = text;
    CHECK(text.empty() == first.empty());
  }
  return first;
}

}  // namespace

TEST_CASE("reports: global accesses out of bounds, misaligned, or to what is read only, with the owner") {
  CHECK_THAT(report("store(out + 64, t);"),
             Contains("block 0 warp 0 lane 0 st.global of 4 bytes at out + 256, 4 bytes past its end"));
  CHECK_THAT(report("load(in - 1);"), Contains("out + "));
  CHECK_THAT(report("load(reinterpret_cast<const u32*>(u64{16}));"), Contains("in no allocation"));
  CHECK_THAT(report("load_constant_16(in + 1);"), Contains("in + 4, which is not a multiple of 16"));
  CHECK_THAT(report("store(const_cast<u32*>(in), 0u);"), Contains("in + 0, which is read only"));
  CHECK(report("if (t < 64) store(out + t, load_constant(in + t));").empty());
}

TEST_CASE("reports: shared accesses out of bounds, misaligned, or on an mbarrier") {
  CHECK_THAT(report("store_shared(shared + 4096, 1);"), Contains("outside the 4096 bytes"));
  CHECK_THAT(report("load_shared(shared - 4);"), Contains("outside"));
  CHECK_THAT(report("load_shared_16(shared + 8);"), Contains("not a multiple of 16"));
  CHECK_THAT(report("if (t == 0) { mbarrier_init(shared, 1); store_shared(shared + 4, 0); }"),
             Contains("where an mbarrier lives"));
}

TEST_CASE("reports: a missing barrier is a race in every schedule") {
  const std::string exchange =
      "store_shared(shared + t * 4, static_cast<int>(t)); %s store(out + t, static_cast<u32>(load_shared(shared + (63 - t) * "
      "4)));";
  const auto with = [&](const std::string& between) { return std::string(exchange).replace(exchange.find("%s"), 2, between); };
  CHECK(report_of_all(with("block_barrier();")).empty());
  CHECK_THAT(report_of_all(with("")), Contains("nothing that orders the two"));
  CHECK_THAT(report_of_all(with("warp_barrier();")), Contains("nothing that orders the two"));
  // Reused before all have read.
  CHECK_THAT(
      report_of_all(with("block_barrier(); const int v = load_shared(shared + (63 - t) * 4); store_shared(shared + t * 4, v);")),
      Contains("shared memory at") && Contains("nothing that orders the two"));
}

TEST_CASE("reports: a missing __syncwarp after an earlier one") {
  const auto exchange = [](const std::string& between) {
    return "warp_barrier(); store_shared(shared + t * 4, 1); " + between + " load_shared(shared + (t ^ 1) * 4); warp_barrier();";
  };
  CHECK(report_of_all(exchange("warp_barrier();")).empty());
  CHECK_THAT(report_of_all(exchange("")), Contains("nothing that orders the two"));
}

TEST_CASE("reports: blocks that take turns are not ordered") {
  CHECK_THAT(report_of_all("if (t == 0) store(out, block_index());", {.blocks = 2, .threads = 32, .most_resident_threads = 32}),
             Contains("out + 0 after a store"));
}

TEST_CASE("reports: the source of a copy, overwritten while it is read") {
  const auto copy = [](const std::string& wait) {
    return "if (t == 0) { cp_async_16<0>(shared, reinterpret_cast<u64>(out), true); cp_async_commit(); } " + wait +
           " block_barrier(); if (t == 1) store(out, 1u);";
  };
  CHECK(report_of_all(copy("cp_async_wait<0>();")).empty());
  CHECK_THAT(report_of_all(copy("")), Contains("store: writes out + 0 after a cp.async"));
  const auto bulk = [](const std::string& wait) {
    return "if (t == 0) { mbarrier_init(shared, 1); fence_mbarrier_init(); mbarrier_arrive_expect_tx(shared, 64);"
           " bulk_load(shared + 64, out, 64, shared); } block_barrier(); " +
           wait + " block_barrier(); if (t == 1) store(out, 1u); mbarrier_wait(shared, 0);";
  };
  CHECK(report_of_all(bulk("mbarrier_wait(shared, 0);")).empty());
  CHECK_THAT(report_of_all(bulk("")), Contains("store: writes out + 0 after a cp.async.bulk load"));
}

TEST_CASE("reports: two threads that write one word of global memory") {
  CHECK_THAT(report_of_all("store(out + t / 2, t);"), Contains("out + 0 after a store by block 0 warp 0 lane"));
  CHECK(report_of_all("atomic_add(out + t / 2, t);").empty());
}

TEST_CASE("reports: an asynchronous copy that nobody waits for") {
  const std::string copy =
      "cp_async_16<0>(shared + t * 16, reinterpret_cast<u64>(in), true); cp_async_commit(); %s "
      "store(out + t, static_cast<u32>(load_shared(shared + t * 16)));";
  const auto with = [&](const std::string& between) { return std::string(copy).replace(copy.find("%s"), 2, between); };
  CHECK(report_of_all(with("cp_async_wait<0>();")).empty());
  CHECK_THAT(report_of_all(with("cp_async_wait<1>();")),
             Contains("load: reads shared memory at 0x400 after a cp.async by block 0 warp 0 lane 0"));
}

TEST_CASE("reports: a bulk store without a proxy fence") {
  const std::string store =
      "if (t == 0) { for (u32 i = 0; i < 64; ++i) store_shared(shared + i * 4, static_cast<int>(i)); %s bulk_store(out, shared, "
      "256);"
      " bulk_commit(); bulk_wait_read<0>(); }";
  const auto with = [&](const std::string& between) { return std::string(store).replace(store.find("%s"), 2, between); };
  CHECK(report_of_all(with("fence_async_shared();")).empty());
  CHECK_THAT(report_of_all(with("")), Contains("no proxy fence"));
}

TEST_CASE("reports: a reducing bulk copy without a proxy fence for its target") {
  const auto add = [](const std::string& fence) {
    return "if (t == 0) { store(out, 1u); for (u32 i = 0; i < 4; ++i) store_shared(shared + i * 4, 1.0f); "
           "fence_async_shared(); " +
           fence + " bulk_reduce_add_f32(out, shared, 16); bulk_commit(); bulk_wait<0>(); }";
  };
  CHECK(report_of_all(add("fence_async_global();")).empty());
  CHECK_THAT(report_of_all(add("")),
             Contains("reducing cp.async.bulk: writes out + 0 after a store") && Contains("no proxy fence"));
}

TEST_CASE("reports: a block that ends before its bulk store has read") {
  const auto store = [](const std::string& wait) {
    return "if (t == 0) { for (u32 i = 0; i < 4; ++i) store_shared(shared + i * 4, 1.0f); fence_async_shared();"
           " bulk_store(out, shared, 16); bulk_commit(); " +
           wait + " }";
  };
  CHECK(report_of_all(store("bulk_wait_read<0>();")).empty());
  CHECK_THAT(report_of_all(store("")), Contains("ends while a bulk store"));
}

TEST_CASE("reports: mbarriers that are taken away, or that do not wait for their copies") {
  const std::string load =
      "if (t == 0) { mbarrier_init(shared, 1); fence_mbarrier_init(); bulk_load(shared + 64, in, 64, shared); %s }";
  const auto with = [&](const std::string& then) { return std::string(load).replace(load.find("%s"), 2, then); };
  const Launch late{.threads = 32, .shared_bytes = 256, .seed = 0};
  CHECK_THAT(report(with("mbarrier_invalidate(shared);"), late), Contains("copies that will tell it are under way"));
  CHECK_THAT(report(with("mbarrier_arrive(shared); mbarrier_wait(shared, 0);"), late), Contains("announce their bytes"));
}

TEST_CASE("reports: a cluster barrier that is arrived at twice") {
  const Launch launch{.blocks = 2, .threads = 32, .cluster = 2};
  CHECK(report_of_all("cluster_barrier(); cluster_barrier();", launch).empty());
  CHECK_THAT(report_of_all("cluster_arrive(); cluster_arrive();", launch), Contains("twice without a wait"));
  CHECK_THAT(report_of_all("cluster_wait();", launch), Contains("without an arrive"));
}

TEST_CASE("reports: deadlocks name the barrier and what it has seen") {
  CHECK_THAT(report_of_all("if (t < 32) block_barrier();"),
             Contains("no thread can go on") && Contains("block 0 warp 0 waits at barrier 0: 32 of 64 threads have arrived"));
  CHECK_THAT(report_of_all("if (t == 0) { mbarrier_init(shared, 2); fence_mbarrier_init(); } block_barrier(); "
                           "mbarrier_arrive_expect_tx(shared, 16);"
                           "mbarrier_wait(shared, 0);",
                           {.threads = 32, .shared_bytes = 64}),
             Contains("has all its 2 arrivals already"));
  CHECK_THAT(report_of_all("if (t == 0) { mbarrier_init(shared, 3); fence_mbarrier_init(); } block_barrier();"
                           "if (t < 2) mbarrier_arrive_expect_tx(shared, 16); mbarrier_wait(shared, 0);"),
             Contains("phase 0 of the mbarrier at 0x400: 2 of 3 arrivals seen, 32 bytes missing"));
  CHECK_THAT(report_of_all("increase_registers<256>();", {.threads = 512, .shared_bytes = 64}),
             Contains("waits for 256 registers"));
}

TEST_CASE("reports: a kernel that spins for ever") {
  CHECK_THAT(report("while (load_acquire_gpu(out) == 0) {}", {.threads = 32, .most_steps = 100'000}),
             Contains("still running after 100000 steps"));
  CHECK_THAT(report_of_all("while (load(out) == 0) {}", {.threads = 32, .most_steps = 100'000}),
             Contains("still running after 100000 steps"));
  // A lock that two lanes and two warps spin for is not one of them.
  CHECK(
      report_of_all("if (t % 31 == 0) { while (atomic_cas_acq_rel_gpu(out, 0, 1) != 0) {} store_release_gpu(out, 0); }").empty());
  // Work that a poll waits for goes on, whatever else the loop does.
  CHECK(report_of_all(
            "if (t == 0) { mbarrier_init(shared, 1); fence_mbarrier_init(); mbarrier_arrive_expect_tx(shared, 64);"
            " bulk_load(shared + 64, in, 64, shared); } block_barrier(); while (!warp_any(mbarrier_try_wait(shared, 0))) {}",
            {.threads = 64, .shared_bytes = 256, .most_steps = 1'000'000})
            .empty());
}

TEST_CASE("reports: lanes that part before an instruction of the whole warp") {
  CHECK_THAT(report("if (t < 7) warp_barrier(); else warp_ballot(true);"), Contains("all 32 must come to the same instruction"));
  CHECK_THAT(report("if (t % 32 == 5) return; warp_barrier();"),
             Contains("lanes 0x00000020 have ended") || Contains("ends while other lanes"));
}

TEST_CASE("reports: wgmma without its fence, and threads that disagree") {
  const std::string product =
      "float d[4]; %s wgmma<DType::bf16, 8>(d, matrix_descriptor<SwizzleMode::none>(shared, 128, 256),"
      " matrix_descriptor<SwizzleMode::none>(shared + 2048, 128, 256), %b); warpgroup_commit(); warpgroup_wait<0>(); "
      "if (t == 0) store(out, float_bits(d[0]));";
  const auto with = [&](const std::string& before, const std::string& scale) {
    std::string text = product;
    text.replace(text.find("%s"), 2, before);
    return text.replace(text.find("%b"), 2, scale);
  };
  const Launch launch{.threads = 128, .shared_bytes = 4096};
  CHECK_THAT(report(with("", "false"), launch), Contains("no wgmma.fence"));
  CHECK_THAT(report(with("warpgroup_fence();", "t < 64"), launch), Contains("different instructions"));
}

TEST_CASE("reports: the same seed gives the same run") {
  const Kernel kernel(kernel_with("store_shared(shared + t % 16 * 4, 1); load_shared(shared + (t * 7) % 16 * 4);"));
  for (const std::uint64_t seed : {2, 3, 6, 7, 1234567}) {
    const Launch launch{.threads = 64, .shared_bytes = 64, .seed = seed};
    const std::string first = report(kernel, launch);
    CHECK(first.find("nothing that orders") != std::string::npos);
    for (int i = 0; i < 3; ++i) CHECK(report(kernel, launch) == first);
  }
}

TEST_CASE("reports: launches that no device takes") {
  const Kernel kernel(kernel_with(""));
  CHECK_THROWS_WITH(report(kernel, {.threads = 33}), Contains("a multiple of 32"));
  CHECK_THROWS_WITH(report(kernel, {.threads = 2048}), Contains("2048 threads"));
  CHECK_THROWS_WITH(report(kernel, {.shared_bytes = 232449}), Contains("at most 232448"));
  CHECK_THROWS_WITH(report(kernel, {.blocks = 3, .cluster = 2}), Contains("3 blocks in clusters of 2"));
}
