// The row operations: every kind of call against the CPU reference, a model's shape, reruns, the public API eager and captured.
#include "moe_tune/row_operations.hpp"

#include <catch2/catch.hpp>

#include "tests/gpu/support/gpu.hpp"
#include "tests/gpu/support/graph.hpp"
#include "tests/gpu/support/row_device.hpp"
#include "tests/support/row_operation_matrix.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Checks cases, each on memory of its own.
template <class Case>
auto check() {
  return [](const CaseSpec& spec, const auto&... options) {
    GpuRowDevice device;
    CHECK(Case(device, spec, options...).run() == "");
  };
}

/// 8192 tokens of qwen3-30b-a3b.
CaseSpec large_case(int columns) {
  return routed_case({.E = 128, .N = 8, .K = columns, .top_k = 8}, 8192, {RoutingSpec::Kind::zipf, 1.0, 3});
}

template <class Case>
void check_reruns(Case&& rows) {
  CHECK(rows.run() == "");
  const std::vector<std::vector<std::byte>> first = rows.memory();
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    rows.run();
    different += rows.memory() != first;
  }
  CHECK(different == 0);
}

// What a case calls, in the terms of the public API.

PermuteRowsArgs api_args(const abi::PermuteRowsArgs& from, const CaseSpec& spec) {
  PermuteRowsArgs args;
  args.x = from.gemm.x;
  args.rows = from.gemm.y;
  args.gather_indices = from.gemm.gather_indices;
  args.m_sizes = from.gemm.m_sizes;
  args.slot_rows = from.slot_rows;
  args.topk_weights = from.gemm.topk_weights;
  args.topk_weights_type = WeightType::float32;
  args.M = spec.M();
  args.E = spec.problem.E;
  args.slots_per_row = from.slots_per_row;
  args.columns = from.columns;
  args.x_row_stride = from.gemm.x_row_bytes / 2;
  args.rows_row_stride = from.gemm.y_row_bytes / 2;
  return args;
}

UnpermuteRowsArgs api_args(const abi::UnpermuteRowsArgs& from, const CaseSpec& spec) {
  UnpermuteRowsArgs args;
  args.rows = from.gemm.x;
  args.out = from.gemm.y;
  args.gather_indices = from.gemm.gather_indices;
  args.m_sizes = from.gemm.m_sizes;
  args.M = spec.M();
  args.E = spec.problem.E;
  args.columns = from.columns;
  args.rows_row_stride = from.gemm.x_row_bytes / 2;
  args.out_row_stride = from.gemm.y_row_bytes / 2;
  return args;
}

ActAndMulArgs api_args(const abi::ActAndMulArgs& from, const CaseSpec& spec) {
  ActAndMulArgs args;
  args.x = from.gemm.x;
  args.out = from.gemm.y;
  args.m_sizes = from.gemm.m_sizes;
  args.M = spec.M();
  args.E = spec.problem.E;
  args.columns = from.columns;
  args.x_row_stride = from.gemm.x_row_bytes / 2;
  args.out_row_stride = from.gemm.y_row_bytes / 2;
  return args;
}

CombineRowsArgs api_args(const abi::CombineRowsArgs& from, const CaseSpec& spec) {
  CombineRowsArgs args;
  args.rows = from.gemm.x;
  args.out = from.gemm.y;
  args.addend = from.addend;
  args.topk_weights = from.gemm.topk_weights;
  args.slot_rows = from.slot_rows;
  args.expert_order = from.expert_order != 0;
  args.token_count = from.token_count;
  args.topk_weights_type = WeightType::float32;
  args.tokens = spec.tokens;
  args.top_k = spec.problem.top_k;
  args.columns = from.columns;
  args.rows_row_stride = from.gemm.x_row_bytes / 2;
  args.out_row_stride = from.gemm.y_row_bytes / 2;
  args.addend_row_stride = from.addend_row_bytes / 2;
  return args;
}

SwigluGradientArgs api_args(const abi::SwigluGradientArgs& from, const CaseSpec& spec) {
  SwigluGradientArgs args;
  args.d_activation = from.gemm.x;
  args.pre_activation = from.gemm.pre_activation;
  args.d_pre_activation = from.gemm.y;
  args.activation = from.activation;
  args.topk_weights = from.gemm.topk_weights;
  args.d_topk_weights = from.d_topk_weights;
  args.gather_indices = from.gemm.gather_indices;
  args.m_sizes = from.gemm.m_sizes;
  args.topk_weights_type = args.d_topk_weights_type = WeightType::float32;
  args.M = spec.M();
  args.E = spec.problem.E;
  args.scaled_input = from.scaled_input != 0;
  args.columns = from.columns;
  args.d_activation_row_stride = from.gemm.x_row_bytes / 2;
  args.pre_activation_row_stride = from.gemm.pre_activation_row_bytes / 2;
  args.d_pre_activation_row_stride = from.gemm.y_row_bytes / 2;
  args.activation_row_stride = from.activation_row_bytes / 2;
  return args;
}

/// A call of each, with strides of its own for every tensor.
struct ApiCalls {
  CaseSpec spec = [] {
    CaseSpec padded = partial_case(row_problem(776, DType::bf16, 3), 101);
    padded.x_padding = 8;
    padded.y_padding = 24;
    padded.pre_activation_padding = 40;
    return padded;
  }();
  GpuRowDevice device;
  PermuteRowsCase permute{device, spec, PermuteOptions{}};
  PermuteRowsCase scaled{device, spec, PermuteOptions{.scaled = true}};
  PermuteRowsCase spread{device, spec, PermuteOptions{.slot_rows = SlotRows::all}};
  PermuteRowsCase spread_scaled{device, spec, PermuteOptions{.scaled = true, .slot_rows = SlotRows::some}};
  UnpermuteRowsCase unpermute{device, spec};
  ActAndMulCase activation{device, spec};
  CombineRowsCase combine{device, spec, CombineOptions{}};
  CombineRowsCase combine_some{
      device, spec, CombineOptions{.addend = true, .slot_rows = SlotRows::some, .expert_order = true, .token_count = 77}};
  SwigluGradientCase gradient{device, spec, SwigluOptions{}};
  SwigluGradientCase scaled_gradient{device, spec, SwigluOptions{.weighted = false, .scaled_input = true}};
  Library library{LibraryOptions{}};
  RowOperations operations{library, 0};

  void restore() {
    permute.restore();
    scaled.restore();
    spread.restore();
    spread_scaled.restore();
    unpermute.restore();
    activation.restore();
    combine.restore();
    combine_some.restore();
    gradient.restore();
    scaled_gradient.restore();
  }
  void enqueue(CUstream stream) {
    operations.permute_rows(api_args(permute.args(), spec), stream);
    operations.permute_rows(api_args(scaled.args(), spec), stream);
    operations.permute_rows(api_args(spread.args(), spec), stream);
    operations.permute_rows(api_args(spread_scaled.args(), spec), stream);
    operations.unpermute_rows(api_args(unpermute.args(), spec), stream);
    operations.act_and_mul(api_args(activation.args(), spec), stream);
    operations.combine_rows(api_args(combine.args(), spec), stream);
    operations.combine_rows(api_args(combine_some.args(), spec), stream);
    operations.swiglu_gradient(api_args(gradient.args(), spec), stream);
    operations.swiglu_gradient(api_args(scaled_gradient.args(), spec), stream);
  }
  void check() const {
    CHECK(permute.check() == "");
    CHECK(scaled.check() == "");
    CHECK(spread.check() == "");
    CHECK(spread_scaled.check() == "");
    CHECK(unpermute.check() == "");
    CHECK(activation.check() == "");
    CHECK(combine.check() == "");
    CHECK(combine_some.check() == "");
    CHECK(gradient.check() == "");
    CHECK(scaled_gradient.check() == "");
  }
};

}  // namespace

TEST_CASE("row operations: permute_rows") { for_each_permutation(check<PermuteRowsCase>()); }
TEST_CASE("row operations: permute_rows by slot_rows") { for_each_spread(check<PermuteRowsCase>()); }
TEST_CASE("row operations: unpermute_rows") { for_each_way_back(check<UnpermuteRowsCase>()); }
TEST_CASE("row operations: act_and_mul") { for_each_activation(check<ActAndMulCase>()); }
TEST_CASE("row operations: combine_rows") { for_each_combination(check<CombineRowsCase>()); }
TEST_CASE("row operations: swiglu_gradient") { for_each_gradient(check<SwigluGradientCase>()); }

TEST_CASE("row operations: gates whose exponential overflows or vanishes") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    GpuRowDevice device;
    for (const bool scaled_input : {false, true}) {
      SwigluGradientCase gradient(device, routed_case(row_problem(72, dtype), 9, {}),
                                  {.weighted = !scaled_input, .scaled_input = scaled_input});
      set_extreme_gates(gradient);
      CHECK(gradient.run() == "");
    }
    ActAndMulCase activation(device, routed_case(row_problem(72, dtype), 9, {}));
    set_extreme_gates(activation);
    CHECK(activation.run() == "");
  }
}

TEST_CASE("row operations: 65536 rows") {
  check<PermuteRowsCase>()(large_case(2048), PermuteOptions{});
  check<PermuteRowsCase>()(large_case(2048), PermuteOptions{.scaled = true});
  for (const bool scaled : {false, true})
    check<PermuteRowsCase>()(large_case(2048), PermuteOptions{.scaled = scaled, .slot_rows = SlotRows::all});
  check<UnpermuteRowsCase>()(large_case(2048));
  check<ActAndMulCase>()(large_case(768));
  check<CombineRowsCase>()(large_case(2048), CombineOptions{});
  check<CombineRowsCase>()(large_case(2048), CombineOptions{.addend = true, .slot_rows = SlotRows::some, .expert_order = true});
  check<SwigluGradientCase>()(large_case(768), SwigluOptions{});
  check<SwigluGradientCase>()(large_case(768), SwigluOptions{.weighted = false, .scaled_input = true});
}

TEST_CASE("row operations: 100 runs give the same bits") {
  const CaseSpec spec = routed_case(row_problem(776, DType::bf16, 3), 301, {});
  GpuRowDevice device;
  check_reruns(PermuteRowsCase(device, spec, PermuteOptions{.scaled = true}));
  check_reruns(PermuteRowsCase(device, spec, PermuteOptions{.scaled = true, .slot_rows = SlotRows::some}));
  check_reruns(UnpermuteRowsCase(device, spec));
  check_reruns(ActAndMulCase(device, spec));
  check_reruns(CombineRowsCase(device, spec, CombineOptions{.addend = true, .slot_rows = SlotRows::some, .expert_order = true}));
  check_reruns(SwigluGradientCase(device, spec, SwigluOptions{}));
  check_reruns(SwigluGradientCase(device, spec, SwigluOptions{.weighted = false, .scaled_input = true}));
}

TEST_CASE("row operations: the public API, eager and captured") {
  ApiCalls calls;
  const Stream stream;
  calls.operations.prepare();
  calls.restore();
  calls.enqueue(stream.get());
  stream.synchronize();
  calls.check();
  const CapturedGraph graph(stream.get(), [&] { calls.enqueue(stream.get()); });
  for (int replay = 0; replay < 3; ++replay) {
    calls.restore();
    graph.launch(stream.get());
    stream.synchronize();
    calls.check();
  }
  CHECK_FALSE(calls.library.status(0));
}

TEST_CASE("row operations: wrong arguments are refused") {
  ApiCalls calls;
  PermuteRowsArgs permute = api_args(calls.permute.args(), calls.spec);
  permute.columns = 772;
  CHECK_THROWS_WITH(calls.operations.permute_rows(permute, nullptr), Catch::Contains("permute_rows: 772 columns"));
  permute.columns = 776;
  permute.slots_per_row = 2;
  CHECK_THROWS_WITH(calls.operations.permute_rows(permute, nullptr), Catch::Contains("not a multiple of slots_per_row = 2"));
  CombineRowsArgs combine = api_args(calls.combine.args(), calls.spec);
  combine.out_row_stride = 780;
  CHECK_THROWS_WITH(calls.operations.combine_rows(combine, nullptr), Catch::Contains("out row stride 780"));
  combine.out_row_stride = 0;
  combine.rows = nullptr;
  CHECK_THROWS_WITH(calls.operations.combine_rows(combine, nullptr), Catch::Contains("rows is null"));
  SwigluGradientArgs gradient = api_args(calls.gradient.args(), calls.spec);
  gradient.d_pre_activation = const_cast<void*>(gradient.pre_activation);
  CHECK_THROWS_WITH(calls.operations.swiglu_gradient(gradient, nullptr), Catch::Contains("with another row stride"));
  gradient.M = std::int64_t{1} << 31;
  CHECK_THROWS_WITH(calls.operations.swiglu_gradient(gradient, nullptr), Catch::Contains("is out of range"));
}

TEST_CASE("row operations: a bad index is reported, and thrown by careful libraries") {
  for (const bool careful : {false, true}) {
    GpuRowDevice device;
    CaseSpec spec = routed_case(row_problem(264, DType::bf16), 33, {});
    spec.gather_indices[5] = spec.M();
    const PermuteRowsCase permute(device, spec, PermuteOptions{});
    LibraryOptions options;
    options.check_each_call = careful;
    Library library(options);
    RowOperations operations(library, 0);
    const Stream stream;
    if (careful) {
      CHECK_THROWS_WITH(operations.permute_rows(api_args(permute.args(), spec), stream.get()),
                        Catch::Contains("permute_rows: gather_indices holds values outside [0, M)"));
    } else {
      operations.permute_rows(api_args(permute.args(), spec), stream.get());
      stream.synchronize();
      CHECK(library.status(0).bad_gather_index);
    }
  }
}
