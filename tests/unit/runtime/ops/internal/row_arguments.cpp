// The arguments of row operations of the C++ API: what is refused, with its message, and what a kernel gets.
#include "runtime/ops/row_arguments.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

/// Device memory that nobody touches.
void* memory(std::uintptr_t offset = 0) { return reinterpret_cast<void*>((std::uintptr_t{1} << 40) + offset); }

PermuteRowsArgs permute() {
  PermuteRowsArgs args;
  args.x = memory();
  args.rows = memory(1 << 20);
  args.gather_indices = memory(4);
  args.M = 12;
  args.slots_per_row = 2;
  args.columns = 32;
  return args;
}

UnpermuteRowsArgs unpermute() {
  UnpermuteRowsArgs args;
  args.rows = memory();
  args.out = memory(1 << 20);
  args.gather_indices = memory(4);
  args.M = 12;
  args.columns = 32;
  return args;
}

ActAndMulArgs activate() {
  ActAndMulArgs args;
  args.x = memory();
  args.out = memory(1 << 20);
  args.M = 12;
  args.columns = 32;
  return args;
}

CombineRowsArgs combine() {
  CombineRowsArgs args;
  args.rows = memory();
  args.out = memory(1 << 20);
  args.tokens = 6;
  args.top_k = 2;
  args.columns = 32;
  return args;
}

SwigluGradientArgs gradient() {
  SwigluGradientArgs args;
  args.d_activation = memory();
  args.pre_activation = memory(1 << 20);
  args.d_pre_activation = memory(1 << 21);
  args.M = 12;
  args.columns = 32;
  return args;
}

template <class Args>
void check_refused(Args args, const char* message, void (*spoil)(Args&)) {
  spoil(args);
  CHECK_THROWS_WITH(convert(args), Contains(message));
}

}  // namespace

TEST_CASE("row arguments: permute_rows") {
  const auto refused = [](const char* message, void (*spoil)(PermuteRowsArgs&)) { check_refused(permute(), message, spoil); };
  refused("permute_rows: M = -1 is out of range", [](auto& a) { a.M = -1; });
  refused("permute_rows: M = 13 is not a multiple of slots_per_row = 2", [](auto& a) { a.M = 13; });
  refused("permute_rows: 36 columns, where a positive multiple of 8 is needed", [](auto& a) { a.columns = 36; });
  refused("permute_rows: x is null", [](auto& a) { a.x = nullptr; });
  refused("permute_rows: rows is not 16-byte aligned", [](auto& a) { a.rows = memory(8); });
  refused("permute_rows: topk_weights is not 2-byte aligned", [](auto& a) { a.topk_weights = memory(1); });
  refused("permute_rows: topk_weights is not 4-byte aligned",
          [](auto& a) { a.topk_weights = memory(2), a.topk_weights_type = WeightType::float32; });
  refused("permute_rows: E = 0", [](auto& a) { a.m_sizes = memory(); });
  PermuteRowsArgs args = permute();
  CHECK(convert(args).gemm.topk_weights == nullptr);
  args.topk_weights = memory(6);
  CHECK(convert(args).gemm.topk_weights == memory(6));
  CHECK(convert(args).gemm.x_row_bytes == 64);
}

TEST_CASE("row arguments: permute_rows by slot_rows") {
  const auto refused = [](const char* message, void (*spoil)(PermuteRowsArgs&)) {
    PermuteRowsArgs args = permute();
    args.gather_indices = nullptr;
    args.slot_rows = memory(12);
    check_refused(args, message, spoil);
  };
  refused("permute_rows: slot_rows is not 4-byte aligned", [](auto& a) { a.slot_rows = memory(2); });
  refused("permute_rows: slot_rows says where every row goes: leave out gather_indices and m_sizes",
          [](auto& a) { a.gather_indices = memory(); });
  refused("permute_rows: slot_rows says where every row goes", [](auto& a) { a.m_sizes = memory(), a.E = 4; });
  refused("permute_rows: slots_per_row = 33, at most 32 with slot_rows", [](auto& a) { a.M = 66, a.slots_per_row = 33; });
  refused("permute_rows: gather_indices is null, and so is slot_rows", [](auto& a) { a.slot_rows = nullptr; });
  PermuteRowsArgs args = permute();
  CHECK(convert(args).slot_rows == nullptr);
  args.gather_indices = nullptr;
  args.slot_rows = memory(12);
  CHECK(convert(args).slot_rows == memory(12));
  args.M = 64;
  args.slots_per_row = 32;
  CHECK(convert(args).slots_per_row == 32);
}

TEST_CASE("row arguments: unpermute_rows") {
  const auto refused = [](const char* message, void (*spoil)(UnpermuteRowsArgs&)) { check_refused(unpermute(), message, spoil); };
  refused("unpermute_rows: M = 2147483647 is out of range", [](auto& a) { a.M = INT32_MAX; });
  refused("unpermute_rows: 0 columns", [](auto& a) { a.columns = 0; });
  refused("unpermute_rows: rows is null", [](auto& a) { a.rows = nullptr; });
  refused("unpermute_rows: out is null", [](auto& a) { a.out = nullptr; });
  refused("unpermute_rows: gather_indices is null", [](auto& a) { a.gather_indices = nullptr; });
  refused("unpermute_rows: gather_indices is not 8-byte aligned", [](auto& a) { a.gather_indices_type = IndexType::int64; });
  refused("unpermute_rows: out row stride 36 is not a multiple of 8 elements", [](auto& a) { a.out_row_stride = 36; });
  refused("unpermute_rows: rows row stride 24 is less than", [](auto& a) { a.rows_row_stride = 24; });
  CHECK(convert(unpermute()).columns == 32);
}

TEST_CASE("row arguments: act_and_mul") {
  const auto refused = [](const char* message, void (*spoil)(ActAndMulArgs&)) { check_refused(activate(), message, spoil); };
  refused("act_and_mul: x is null", [](auto& a) { a.x = nullptr; });
  refused("act_and_mul: out is not 16-byte aligned", [](auto& a) { a.out = memory(4); });
  refused("act_and_mul: x row stride 56 is less than the row's 64 elements", [](auto& a) { a.x_row_stride = 56; });
  refused("act_and_mul: 12 columns", [](auto& a) { a.columns = 12; });
  CHECK(convert(activate()).gemm.x_row_bytes == 128);
  CHECK(convert(activate()).gemm.y_row_bytes == 64);
}

TEST_CASE("row arguments: combine_rows") {
  const auto refused = [](const char* message, void (*spoil)(CombineRowsArgs&)) { check_refused(combine(), message, spoil); };
  refused("combine_rows: slot_rows is null, and rows are in expert order", [](auto& a) { a.expert_order = true; });
  refused("combine_rows: slot_rows is not 4-byte aligned", [](auto& a) { a.slot_rows = memory(2); });
  refused("combine_rows: token_count is not 4-byte aligned", [](auto& a) { a.token_count = memory(2); });
  refused("combine_rows: addend is not 16-byte aligned", [](auto& a) { a.addend = memory(8); });
  refused("combine_rows: addend row stride 16 is less than", [](auto& a) { a.addend = memory(), a.addend_row_stride = 16; });
  refused("combine_rows: out takes the place of addend with another row stride",
          [](auto& a) { a.addend = a.out, a.addend_row_stride = 40; });
  CombineRowsArgs args = combine();
  args.addend = args.out;
  args.slot_rows = memory(12);
  args.expert_order = true;
  const abi::CombineRowsArgs converted = convert(args);
  CHECK((converted.expert_order == 1 && converted.slot_rows == memory(12) && converted.addend == args.out));
  CHECK(converted.gemm.M == 12);
}

TEST_CASE("row arguments: swiglu_gradient") {
  const auto refused = [](const char* message, void (*spoil)(SwigluGradientArgs&)) { check_refused(gradient(), message, spoil); };
  refused("swiglu_gradient: d_activation is null", [](auto& a) { a.d_activation = nullptr; });
  refused("swiglu_gradient: d_topk_weights is not 2-byte aligned", [](auto& a) { a.d_topk_weights = memory(1); });
  refused("swiglu_gradient: d_pre_activation takes the place of pre_activation with another row stride",
          [](auto& a) { a.d_pre_activation = memory(1 << 20), a.d_pre_activation_row_stride = 72; });
  refused("swiglu_gradient: with scaled_input pre_activation has the weights in it: leave out topk_weights",
          [](auto& a) { a.scaled_input = true, a.topk_weights = memory(4); });
  SwigluGradientArgs args = gradient();
  args.topk_weights = memory(4);
  CHECK(convert(args).scaled_input == 0);
  args.topk_weights = nullptr;
  args.scaled_input = true;
  CHECK(convert(args).scaled_input == 1);
}

TEST_CASE("row arguments: without rows no tensor is needed") {
  PermuteRowsArgs permuted;
  permuted.columns = 8;
  CHECK_NOTHROW(convert(permuted));
  UnpermuteRowsArgs back;
  back.columns = 8;
  CHECK_NOTHROW(convert(back));
  ActAndMulArgs activated;
  activated.columns = 8;
  CHECK_NOTHROW(convert(activated));
  CombineRowsArgs combined;
  combined.columns = 8;
  combined.expert_order = true;
  CHECK_NOTHROW(convert(combined));
}
