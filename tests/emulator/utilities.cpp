// The kernels around the measured one.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "generator/templates.hpp"
#include "runtime/emulator/weights_case.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"
#include "templates/abi/utilities.cuh"
#include "tests/emulator/check_kernel.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using emulator::Allocation;
using emulator::GlobalMemory;
using emulator::Use;

namespace {

const emulator::Kernel& utilities() {
  static const emulator::Kernel kernel(inline_template("kernels/utilities.cuh"));
  return kernel;
}

emulator::Launch shape(unsigned blocks, unsigned threads, std::uint64_t seed) {
  return {.blocks = blocks, .threads = threads, .seed = seed};
}

/// A call whose y is the reference, rounded, and what the comparison kernels need.
struct ComparedCall {
  Problem problem{.gemm = Gemm::down, .E = 5, .N = 72, .K = 16, .top_k = 2, .permute_y = true};
  CaseSpec spec = partial_case(problem, 21);
  emulator::GemmCase forward{spec};
  GlobalMemory memory;
  Allocation& y = memory.allocate("y", forward.reference().size() * 2, Use::read_only);

  ComparedCall() {
    // Rows that the problem does not define are left with their poison.
    std::vector<char> defined(static_cast<std::size_t>(spec.M()));
    std::int64_t rows = 0;
    for (const std::int64_t size : spec.m_sizes) rows += size;
    for (std::int64_t i = 0; i < rows; ++i)
      defined[static_cast<std::size_t>(spec.gather_indices[static_cast<std::size_t>(i)])] = 1;
    for (std::size_t i = 0; i < forward.reference().size(); ++i) {
      const bool is_defined = defined[i / static_cast<std::size_t>(problem.N)] != 0;
      y.as<std::uint16_t>()[i] = is_defined ? from_float(forward.reference()[i], problem.dtype) : std::uint16_t{0xffff};
    }
  }

  std::vector<int> narrow_values(const std::vector<std::int64_t>& values) const { return {values.begin(), values.end()}; }

  /// What both passes of the comparison find.
  abi::ComparisonWords compare() {
    abi::ComparisonArgs args{};
    args.shape = {problem.E, problem.N, problem.K, 0, problem.top_k, 0, 1, 0, 0, 0};
    args.columns = problem.N;
    args.gemm.y = y.get();
    args.gemm.y_row_bytes = problem.N * 2;
    args.gemm.M = spec.M();
    args.gemm.m_sizes = memory.upload<int>("m_sizes", narrow_values(spec.m_sizes)).get();
    args.gemm.gather_indices = memory.upload<int>("gather_indices", narrow_values(spec.gather_indices)).get();
    args.reference = static_cast<const float*>(memory.upload<float>("reference", forward.reference()).get());
    const double tolerance = row_tolerance(problem.dtype);
    args.tolerance_squared = static_cast<float>(tolerance * tolerance);
    args.defined =
        static_cast<unsigned char*>(memory.allocate("defined", static_cast<std::size_t>(spec.M()), Use::read_write).get());
    Allocation& result = memory.allocate("result", sizeof(abi::ComparisonWords), Use::read_write);
    args.result = static_cast<abi::ComparisonWords*>(result.get());
    args.expert_error = static_cast<unsigned*>(
        memory.allocate("expert_error", static_cast<std::size_t>(problem.E) * sizeof(unsigned), Use::read_write).get());
    const auto blocks = static_cast<unsigned>((spec.M() + abi::compare_warps - 1) / abi::compare_warps);
    for (const char* pass : {"moe_tune_judge_defined_bf16", "moe_tune_judge_undefined_bf16"}) {
      emulator::run(memory, shape(blocks, abi::compare_warps * 32, 2), utilities(), pass, args);
    }
    return result.as<abi::ComparisonWords>()[0];
  }
};

}  // namespace

TEST_CASE("emulator: random data has the reference's bits") {
  for (const std::int64_t count : {1, 7, 8, 4099}) {
    for (std::uint64_t seed = 0; seed < all_kinds; ++seed) {
      GlobalMemory memory;
      Allocation& target = memory.allocate("target", static_cast<std::size_t>(count) * 2, Use::read_write);
      emulator::run(memory, shape(3, abi::fill_threads, seed), utilities(), "moe_tune_fill_random_fp16",
                    static_cast<unsigned short*>(target.get()), static_cast<long long>(count), 0.5f, 9u);
      for (std::int64_t i = 0; i < count; ++i) {
        REQUIRE(target.as<std::uint16_t>()[static_cast<std::size_t>(i)] ==
                from_float(random_normal(9, static_cast<std::uint64_t>(i)) * 0.5f, DType::fp16));
      }
    }
  }
}

TEST_CASE("emulator: the GPU's reference agrees with the CPU's") {
  Problem problem{.dtype = DType::fp16, .E = 3, .N = 272, .K = 40, .top_k = 2, .permute_x = true};
  for (const bool fused : {false, true}) {
    problem.fuse_mul_pre = problem.fuse_swiglu = fused;
    CaseSpec spec = routed_case(problem, 15, {});
    spec.gather_indices[3] = -1;
    emulator::GemmCase forward(spec);
    Allocation& result = forward.memory().allocate("reference", forward.reference().size() * sizeof(float), Use::read_write);
    const abi::RowsShape forward_shape{problem.E, problem.N, problem.K, 0, problem.top_k, 1, 0, 0, fused, fused};
    const auto column_blocks = (output_columns(problem) + abi::reference_threads - 1) / abi::reference_threads;
    const auto blocks = static_cast<unsigned>((spec.M() / abi::reference_rows + problem.E) * column_blocks);
    emulator::run(forward.memory(), shape(blocks, abi::reference_threads, 3), utilities(), "moe_tune_reference_rows_fp16",
                  forward_shape, forward.args(), static_cast<float*>(result.get()));
    for (std::size_t i = 0; i < forward.reference().size(); ++i) {
      REQUIRE(std::abs(result.as<float>()[i] - forward.reference()[i]) < 1e-5f);
    }
  }
}

TEST_CASE("emulator: the GPU's comparison finds what is planted") {
  ComparedCall call;
  const abi::ComparisonWords clean = call.compare();
  CHECK(clean.bad_rows == 0);
  CHECK(std::bit_cast<float>(clean.row_error) < 1e-4f);

  const auto row = static_cast<std::size_t>(call.spec.gather_indices[3]);
  std::uint16_t& element = call.y.as<std::uint16_t>()[row * static_cast<std::size_t>(call.problem.N) + 5];
  element = 0x7fc0;
  const abi::ComparisonWords nan = call.compare();
  CHECK(nan.bad_rows == 1);
  CHECK(0xffffffffu - nan.first_bad_row == row);
  CHECK(std::isinf(std::bit_cast<float>(nan.row_error)));
  element = 0x4300;  // 128
  CHECK(call.compare().bad_rows == 1);

  // A row that nobody defines and somebody wrote.
  const auto undefined = static_cast<std::size_t>(call.spec.gather_indices.back());
  call.y.as<std::uint16_t>()[undefined * static_cast<std::size_t>(call.problem.N)] = 0;
  CHECK(call.compare().bad_rows == 2);
}

TEST_CASE("emulator: streaming read and MMA ceiling run") {
  GlobalMemory memory;
  Allocation& source = memory.allocate("source", 16 * 5000, Use::read_only);
  Allocation& sink = memory.allocate("sink", 16, Use::read_write);
  emulator::run(memory, shape(2, abi::stream_threads, 2), utilities(), "moe_tune_stream_read",
                static_cast<const void*>(source.get()), 5000ll, sink.get());
  emulator::run(memory, shape(1, abi::mma_threads, 2), utilities(), "moe_tune_mma_ceiling_bf16", 1,
                static_cast<float*>(sink.get()));
  CHECK(std::all_of(sink.data, sink.data + 16, [](std::byte b) { return b == std::byte{0}; }));
}

namespace {

/// A call of dW, and what the utility kernels of its dtype make of it.
struct WeightsCall {
  Problem problem;
  emulator::WeightsCase weights;

  explicit WeightsCall(const Problem& p) : problem(p), weights(partial_case(p, 21)) {}

  std::string kernel(std::string_view name) const { return fmt::format("moe_tune_{}_{}", name, to_string(problem.dtype)); }

  /// The reference that the GPU would compute.
  Allocation& reference() {
    Allocation& result = weights.memory().allocate("reference", weights.reference().size() * sizeof(float), Use::read_write);
    const int blocks =
        problem.E * (problem.N / abi::reference_rows) * ((problem.K + abi::reference_threads - 1) / abi::reference_threads);
    const abi::WeightsShape of = {problem.E,         problem.N,         problem.K,          problem.top_k,
                                  problem.permute_x, problem.permute_y, problem.float32_dw, problem.accumulate};
    emulator::run(weights.memory(), shape(static_cast<unsigned>(blocks), abi::reference_threads, 1), utilities(),
                  kernel("reference_weights").c_str(), of, weights.args(), static_cast<float*>(result.get()));
    return result;
  }

  abi::ComparisonWords compare(Allocation& reference) {
    emulator::GlobalMemory& memory = weights.memory();
    abi::ComparisonArgs args{};
    args.shape.E = problem.E;
    args.shape.N = problem.N;
    args.gemm = weights.args();
    args.columns = problem.K;
    args.reference = static_cast<const float*>(reference.get());
    const double tolerance = row_tolerance(problem);
    args.tolerance_squared = static_cast<float>(tolerance * tolerance);
    args.float32 = problem.float32_dw;
    Allocation& result = memory.allocate("result", sizeof(abi::ComparisonWords), Use::read_write);
    args.result = static_cast<abi::ComparisonWords*>(result.get());
    args.expert_error = static_cast<unsigned*>(
        memory.allocate("expert_error", static_cast<std::size_t>(problem.E) * sizeof(unsigned), Use::read_write).get());
    const auto blocks = static_cast<unsigned>((problem.E * problem.N + abi::compare_warps - 1) / abi::compare_warps);
    emulator::run(memory, shape(blocks, abi::compare_warps * 32, 2), utilities(), kernel("judge_weights").c_str(), args);
    return result.as<abi::ComparisonWords>()[0];
  }
};

}  // namespace

TEST_CASE("emulator: the reference of dW agrees with the CPU's") {
  for (const int kind : {0, 1, 2, 3}) {
    Problem problem{.op = Op::dW, .E = 5, .N = 24, .K = 136, .top_k = 2};
    problem.permute_x = kind == 1;
    problem.permute_y = kind == 2;
    problem.dtype = kind == 1 ? DType::fp16 : DType::bf16;
    problem.accumulate = kind != 0;
    problem.float32_dw = kind == 3;
    WeightsCall call(problem);
    call.weights.set_back();
    const std::span<const float> found = call.reference().as<float>();
    const std::vector<float>& expected = call.weights.reference();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      REQUIRE(std::abs(found[i] - expected[i]) <= 1e-4f * (1 + std::abs(expected[i])));
    }
  }
}

TEST_CASE("emulator: the comparison of dW sees one wrong row and one NaN") {
  for (const bool float32_dw : {false, true}) {
    WeightsCall call({.op = Op::dW, .E = 5, .N = 72, .K = 136, .top_k = 2, .float32_dw = float32_dw});
    const emulator::GemmKernel kernel(call.problem,
                                      parse_config("sm90_64x64x64_tokens_pingpong_w12_s4_c1_x1_static_nfast_dispatch"));
    call.weights.run(kernel, 0);
    Allocation& reference = call.reference();
    CHECK(call.compare(reference).bad_rows == 0);
    float& element = reference.as<float>()[(3 * 72 + 7) * 136 + 135];
    element += float32_dw ? 0.1f : 100.0f;
    const abi::ComparisonWords wrong = call.compare(reference);
    CHECK(wrong.bad_rows == 1);
    CHECK(wrong.first_bad_row == 0xffffffffu - (3 * 72 + 7));
    reference.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    CHECK(call.compare(reference).bad_rows == 2);
  }
}
