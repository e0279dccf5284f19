// gpu_sanitize: a few small ragged calls of several configs, once each, for compute-sanitizer: every kernel that the library
// launches runs. Exit code 0: right results; 1: wrong ones; 77: there is no GPU.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "generator/constraints.hpp"
#include "tests/gpu/support/block_on_gpu.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/router_device.hpp"
#include "tests/gpu/support/router_gradient_device.hpp"
#include "tests/gpu/support/row_device.hpp"
#include "tests/gpu/support/weights_case.hpp"
#include "tests/support/row_operation_matrix.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Small tiles and large ones, few stages and many, both orders, tails in every dimension.
std::vector<KernelConfig> sm80_configs() {
  return {
      {.BLOCK_M = 16, .BLOCK_N = 64, .BLOCK_K = 64, .warps = 2, .warps_m = 1, .stages = 4, .ctas_per_sm = 2},
      {.BLOCK_M = 64, .BLOCK_N = 64, .BLOCK_K = 32, .warps = 4, .warps_m = 2, .stages = 4, .tile_order = TileOrder::n_fastest},
      {.BLOCK_M = 64, .BLOCK_N = 128, .BLOCK_K = 128, .warps = 8, .warps_m = 2, .stages = 3},
      {.BLOCK_M = 128, .BLOCK_N = 128, .BLOCK_K = 64, .warps = 4, .warps_m = 2, .stages = 3, .ctas_per_sm = 2},
      {.BLOCK_M = 32, .BLOCK_N = 256, .BLOCK_K = 32, .warps = 8, .warps_m = 1, .stages = 5, .tile_order = TileOrder::n_fastest},
  };
}

std::vector<KernelConfig> weights_configs(const Problem& problem) {
  std::vector<KernelConfig> result;
  for (const char* name : {"sm80_64x128x128_w4m1_s2_c1_nfast", "sm80_128x64x32_w8m4_s4_c2_mfast",
                           "sm90_128x192x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
                           "sm90_64x192x128_tokens_coop_w8_s2_c1_x1_static_nfast_dispatch",
                           "sm90_128x128x64_tokens_coop_w12_s3_c1_x1_queue_nfast_dispatch"}) {
    const KernelConfig config = parse_config(name);
    for (const Family family : Gpu::get().families(problem)) {
      if (config.family == family) result.push_back(config);
    }
  }
  return result;
}

/// Of every family that serves the problem here.
std::vector<KernelConfig> configs(const Problem& problem) {
  if (problem.op == Op::dW) return weights_configs(problem);
  std::vector<KernelConfig> result;
  for (const Family family : Gpu::get().families(problem)) {
    const std::vector<KernelConfig> of_family = family == Family::sm80 ? sm80_configs() : sm90_configs(problem);
    result.insert(result.end(), of_family.begin(), of_family.end());
  }
  return result;
}

std::vector<Problem> problems() {
  const Problem plain = {.E = 7, .N = 208, .K = 392, .top_k = 2};
  std::vector<Problem> result(11, plain);
  result[1].permute_x = true;
  result[1].dtype = DType::fp16;
  result[2].permute_y = result[2].fuse_mul_post = true;
  result[3].permute_x = result[3].fuse_mul_pre = true;
  result[4].permute_x = result[4].fuse_swiglu = result[4].keep_pre_activation = true;
  result[5].op = Op::dX;  // the sum runs over N: three k-blocks of every config
  result[5].N = 456;
  result[5].permute_x = true;
  result[6].op = Op::dX;
  result[6].N = 456;
  result[6].gemm = Gemm::down;
  result[6].permute_y = true;
  result[7].op = Op::dW;
  result[7].permute_x = true;
  result[7].dtype = DType::fp16;
  result[8].op = Op::dW;
  result[8].gemm = Gemm::down;
  result[8].permute_y = true;
  result[9].op = Op::dW;
  result[9].accumulate = true;
  result[10].op = Op::dW;
  result[10].float32_dw = result[10].accumulate = true;
  return result;
}

/// Runs the kernel once; whether all is as it must be.
template <class Case>
bool runs_right(const CaseSpec& spec, const GemmKernel& kernel) {
  Case gemm(spec);
  const unsigned status = gemm.run(kernel);
  const bool good = status == 0 && gemm.compare().pass() && gemm.guards_intact() && gemm.queue() == 0;
  if (!good) fmt::print("wrong: {} {} status {}\n", spec.describe(), to_string(kernel.config()), status);
  return good;
}

/// How many of the row operations go wrong; `tried` counts them.
int failing_row_operations(int& tried) {
  int failed = 0;
  const auto count = [&](auto&& rows) {
    const std::string complaint = rows.run();
    if (!complaint.empty()) fmt::print("wrong: {}\n", complaint);
    failed += !complaint.empty();
    ++tried;
  };
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const CaseSpec& spec : row_cases(row_problem(2312, dtype, 3))) {
      GpuRowDevice device;
      for (const bool scaled : {false, true}) count(PermuteRowsCase(device, spec, {.scaled = scaled}));
      count(UnpermuteRowsCase(device, spec));
      count(ActAndMulCase(device, spec));
      for (const bool in_place : {false, true}) count(SwigluGradientCase(device, spec, SwigluOptions{.in_place = in_place}));
    }
    // Their slots are those of a sound call.
    for (const CaseSpec& spec : ragged_cases(row_problem(2312, dtype, 3), 16)) {
      GpuRowDevice device;
      for (const bool scaled : {false, true}) count(PermuteRowsCase(device, spec, {.scaled = scaled, .slot_rows = SlotRows::some}));
      count(SwigluGradientCase(device, spec, SwigluOptions{.weighted = false, .scaled_input = true}));
      count(CombineRowsCase(device, spec, {.addend = true, .slot_rows = SlotRows::some, .expert_order = true}));
    }
  }
  return failed;
}

/// The same of whole blocks, router included.
int failing_blocks(int& tried) {
  int failed = 0;
  for (const std::string name : {"qwen3_bf16_top8", "llama4_f16"}) {
    const GoldenCase golden(name);
    for (const bool permuted : {true, false}) {
      BlockCall call;
      call.options.permute_x = call.options.permute_y = permuted;
      call.options.overlap_router_shared = permuted && golden.shape().shared_expert_I > 0;
      BlockOnGpu block(golden, call.options);
      const std::string complaint = judge_block(golden, name, call, block.run(call));
      if (!complaint.empty()) fmt::print("wrong: {} {}: {}\n", name, call.describe(), complaint);
      failed += !complaint.empty();
      ++tried;
    }
  }
  return failed;
}

/// Their trainings, with all that a backward can make.
int failing_trainings(int& tried) {
  int failed = 0;
  for (const std::string name : {"qwen3_bf16_top8", "llama4_f16"}) {
    const GoldenCase golden(name);
    for (const bool float32 : {true, false}) {
      TrainingCall call;
      call.forward.options.float32_dW = float32;
      call.forward.token_count = float32 ? static_cast<int>(golden.tokens()) - 5 : -1;
      call.d_router_logits = float32;
      call.steps = 2;
      BlockOnGpu block(golden, call.forward.options);
      // Poison, as everywhere here: initcheck does not see all that tensor copies store.
      const GradientBytes gradients = block.train(call, /*own_workspace*/ true);
      const std::string complaint = judge_gradients(golden, call, block.outputs().selected_experts, gradients);
      if (!complaint.empty()) fmt::print("wrong: {} {}: {}\n", name, call.describe(), complaint);
      failed += !complaint.empty();
      ++tried;
    }
  }
  return failed;
}

/// Routers by themselves, and their gradients: few tokens and many.
int failing_routers(int& tried) {
  int failed = 0;
  for (const int tokens : {17, 300}) {
    const RouterProblem problem{.kind = RouterKind::softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 136, .top_k = 8};
    GpuRouterDevice device;
    const std::string complaint =
        RouterCase(device, {.problem = problem, .tokens = tokens, .sm_count = Gpu::get().sm_count()}).run();
    if (!complaint.empty()) fmt::print("wrong: {}\n", complaint);
    failed += !complaint.empty();
    ++tried;
    GpuRouterGradientDevice gradient_device;
    const std::string of_gradient =
        RouterGradientCase(gradient_device, {.problem = problem, .tokens = tokens, .d_router_logits = true, .accumulate = true}).run();
    if (!of_gradient.empty()) fmt::print("wrong: {}\n", of_gradient);
    failed += !of_gradient.empty();
    ++tried;
  }
  return failed;
}

int run() {
  int failed = 0;
  int tried = 0;
  for (const Problem& problem : problems()) {
    for (const KernelConfig& config : configs(problem)) {
      if (const auto reason = reject(problem, config, Gpu::get().description())) {
        fmt::print("{} cannot serve {}: {}\n", to_string(config), describe(problem), *reason);
        ++failed;
        continue;
      }
      const GemmKernel kernel = Gpu::get().load({problem, config});
      for (const CaseSpec& spec : {routed_case(problem, 45, {RoutingSpec::Kind::zipf, 1.0, 4}), partial_case(problem, 9)}) {
        const bool good = problem.op == Op::dW ? runs_right<WeightsCase>(spec, kernel) : runs_right<GemmCase>(spec, kernel);
        failed += !good;
        ++tried;
      }
    }
  }
  failed += failing_row_operations(tried);
  failed += failing_routers(tried);
  failed += failing_blocks(tried);
  failed += failing_trainings(tried);
  const DeviceBuffer buffer(1 << 20);
  Gpu::get().utilities().fill_random(buffer.address(), 1 << 19, DType::bf16, 1.0f, 1, nullptr);
  Gpu::get().utilities().stream_read(buffer.address(), 1 << 20, nullptr);
  Gpu::get().utilities().mma_ceiling(DType::bf16, 2, nullptr);
  fmt::print("{} calls, {} failed\n", tried, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    if (device_count() == 0) {
      fmt::print("no GPU: not tried\n");
      return 77;
    }
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
