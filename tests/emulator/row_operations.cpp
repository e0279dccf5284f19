// The row operations on the emulated device: ragged rows, padded strides, bad data, every optional argument.
#include <catch2/catch.hpp>

#include <limits>

#include "generator/templates.hpp"
#include "runtime/emulator/launch.hpp"
#include "tests/support/ragged_cases.hpp"
#include "tests/support/row_operation_cases.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

class EmulatedRowDevice : public RowDevice {
 public:
  explicit EmulatedRowDevice(std::uint64_t seed) : seed_(seed) {}

  void* allocate(const char* name, std::size_t bytes, bool written) override {
    return memory_.allocate(name, bytes, written ? emulator::Use::read_write : emulator::Use::read_only).get();
  }
  void upload(void* address, std::span<const std::byte> bytes) override {
    std::copy(bytes.begin(), bytes.end(), data_of(address));
  }
  void download(const void* address, std::span<std::byte> bytes) override {
    std::copy_n(data_of(address), bytes.size(), bytes.begin());
  }
  void launch(DType, const abi::PermuteRowsArgs& args) override { run("moe_tune_permute_rows", args); }
  void launch(DType dtype, const abi::CombineRowsArgs& args) override { run(typed("moe_tune_combine_rows_", dtype), args); }
  void launch(DType dtype, const abi::SwigluGradientArgs& args) override { run(typed("moe_tune_swiglu_gradient_", dtype), args); }

 private:
  static std::string typed(const char* name, DType dtype) { return name + std::string(to_string(dtype)); }

  std::byte* data_of(const void* address) { return memory_.find(reinterpret_cast<std::uint64_t>(address))->data; }

  /// Few blocks: each walks over several rows.
  template <class Args>
  void run(const std::string& name, const Args& args) {
    static const emulator::Kernel kernel(inline_template("kernels/row_operations.cuh"));
    if (args.gemm.M == 0) return;
    const emulator::Launch launch{.blocks = 2, .threads = abi::row_operation_threads, .seed = seed_};
    emulator::run(memory_, launch, kernel, name.c_str(), args);
  }

  std::uint64_t seed_;
  emulator::GlobalMemory memory_;
};

/// `columns`: those that the operation reads.
Problem problem_of(int columns, DType dtype, int top_k = 2) {
  return {.dtype = dtype, .E = 12, .N = 8, .K = columns, .top_k = top_k};
}

std::vector<CaseSpec> cases_of(const Problem& problem) {
  std::vector<CaseSpec> cases = ragged_cases(problem, 16);
  const std::vector<CaseSpec> bad = bad_cases(problem);
  cases.insert(cases.end(), bad.begin(), bad.end());
  return cases;
}

/// Runs a case on a device of its own; what is wrong, or nothing.
template <class Case, class... Options>
std::string run_case(std::uint64_t seed, const CaseSpec& spec, const Options&... options) {
  EmulatedRowDevice device(seed);
  return Case(device, spec, options...).run();
}

}  // namespace

TEST_CASE("emulator: permute_rows") {
  // A chunk; a warp's chunks and one more; a piece but one chunk, a piece, one more and two.
  for (const int columns : {8, 264, 2040, 2048, 2056, 4104}) {
    std::uint64_t seed = 0;
    for (const CaseSpec& spec : cases_of(problem_of(columns, DType::bf16, columns == 264 ? 3 : 2))) {
      for (const bool token_order : {true, false}) {
        CHECK(run_case<PermuteRowsCase>(seed, spec, token_order) == "");
        ++seed;
      }
      CHECK(run_case<PermuteRowsCase>(seed, spec, true, true) == "");
    }
  }
}

TEST_CASE("emulator: combine_rows") {
  std::uint64_t seed = 0;
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int top_k : {1, 2, 3, 8, 11}) {
      for (const int columns : {8, 256, 520}) {
        for (const CaseSpec& spec : ragged_cases(problem_of(columns, dtype, top_k), 4)) {
          CHECK(run_case<CombineRowsCase>(seed, spec, seed % 3 != 0) == "");
          ++seed;
        }
      }
    }
  }
}

TEST_CASE("emulator: combine_rows keeps a NaN in its element") {
  const CaseSpec spec = routed_case(problem_of(264, DType::bf16, 3), 7, {});
  EmulatedRowDevice device(1);
  CombineRowsCase rows(device, spec, true);
  rows.spoil(3 * 4 + 2, 259);
  CHECK_THAT(rows.run(), Catch::Contains("out: row 4 has an error of inf"));
  for (int token = 0; token < 7; ++token) {
    for (int column = 0; column < 264; ++column) REQUIRE(rows.is_nan(token, column) == (token == 4 && column == 259));
  }
}

TEST_CASE("emulator: swiglu_gradient") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int columns : {8, 264, 776}) {
      std::uint64_t seed = 0;
      for (const CaseSpec& spec : cases_of(problem_of(columns, dtype))) {
        CHECK(run_case<SwigluGradientCase>(seed, spec, SwigluOptions{.d_topk_weights_f32 = seed % 2 == 0}) == "");
        CHECK(run_case<SwigluGradientCase>(seed, spec, SwigluOptions{.in_place = true}) == "");
        ++seed;
      }
    }
  }
}

TEST_CASE("emulator: swiglu_gradient without what is optional") {
  std::uint64_t seed = 0;
  for (const CaseSpec& spec : cases_of(problem_of(136, DType::bf16))) {
    for (bool SwigluOptions::*part : {&SwigluOptions::gathered, &SwigluOptions::all_rows, &SwigluOptions::weighted,
                                      &SwigluOptions::activation, &SwigluOptions::d_topk_weights}) {
      SwigluOptions options;
      options.*part = !(options.*part);
      CHECK(run_case<SwigluGradientCase>(seed, spec, options) == "");
      ++seed;
    }
  }
  const SwigluOptions nothing{
      .gathered = false, .all_rows = true, .weighted = false, .activation = false, .d_topk_weights = false};
  for (const CaseSpec& spec : ragged_cases(problem_of(136, DType::fp16), 16))
    CHECK(run_case<SwigluGradientCase>(seed, spec, nothing) == "");
}

TEST_CASE("emulator: swiglu_gradient of gates whose exponential overflows or vanishes") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    EmulatedRowDevice device(3);
    SwigluGradientCase rows(device, routed_case(problem_of(72, dtype), 9, {}), {});
    int row = 0;
    for (const float gate : {1e4f, -1e4f, 85.0f, -85.0f, 0.0f, -0.0f, 12.0f, -12.0f, -1.2784645f}) rows.set_gates(row++, gate);
    for (const float value : rows.reference().d_pre_activation) REQUIRE(std::isfinite(value));
    CHECK(rows.run() == "");
  }
}

TEST_CASE("emulator: swiglu_gradient keeps a NaN in its row") {
  EmulatedRowDevice device(2);
  SwigluGradientCase rows(device, routed_case(problem_of(264, DType::bf16), 9, {}),
                          {.activation = false, .d_topk_weights = false});
  CHECK(rows.run() == "");
  rows.spoil(17, 263);
  CHECK_THAT(rows.run(), Catch::Contains("d_pre_activation: row 17 has an error of inf"));
}

TEST_CASE("emulator: reruns of the row operations give the same bits under every schedule") {
  const CaseSpec spec = routed_case(problem_of(776, DType::bf16), 21, {});
  std::vector<std::vector<std::vector<std::byte>>> results;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    EmulatedRowDevice device(seed);
    SwigluGradientCase rows(device, spec, {});
    CHECK(rows.run() == "");
    results.push_back(rows.memory());
    CHECK(results.back() == results.front());
  }
}
