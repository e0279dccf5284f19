#include "runtime/blocks/gpu_steps.hpp"

#include <utility>

#include "runtime/jit/driver.hpp"

namespace moe_tune {

namespace {

BlockShape plain_shape(const ModelShape& config, DType dtype) {
  BlockShape shape;
  shape.model = config;
  shape.dtype = dtype;
  shape.experts = {0, config.E};
  shape.permute_x = shape.permute_y = false;
  return shape;
}

GroupedGemmArgs arguments_of(const ExpertRows& rows) {
  GroupedGemmArgs args;
  args.m_sizes = rows.m_sizes;
  args.tokens = rows.tokens;
  return args;
}

}  // namespace

GpuSteps::GpuSteps(const ModelShape& config, TensorType type, int device)
    : type_(type),
      device_(device),
      shape_(plain_shape(config, storage_dtype(type))),
      context_(device),
      rows_(Library::instance(), device) {}

OwnedTensor GpuSteps::count_of_all(std::int64_t tokens) const {
  OwnedTensor count = indices({1});
  driver().cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(count.data()), static_cast<unsigned>(tokens), 1, nullptr);
  return count;
}

GroupedGemm GpuSteps::gemm(BlockGemm which, Op op) const {
  Problem problem = problem_of(shape_, which);
  problem.op = op;
  problem.fuse_swiglu = false;
  return {Library::instance(), problem, device_};
}

OwnedTensor GpuSteps::product(GroupedGemm& gemm, const void* x, const void* w, std::int64_t M, std::int64_t N,
                              const ExpertRows& rows) const {
  OwnedTensor y = tensor({M, N});
  GroupedGemmArgs args = arguments_of(rows);
  args.x = x;
  args.w = w;
  args.y = y.data();
  gemm.run(args, nullptr);
  return y;
}

OwnedTensor GpuSteps::gradient_of_rows(GroupedGemm& gemm, const void* dy, const void* w, std::int64_t M, std::int64_t K,
                                       const ExpertRows& rows) const {
  OwnedTensor dx = tensor({M, K});
  GroupedGemmArgs args = arguments_of(rows);
  args.dy = dy;
  args.w = w;
  args.dx = dx.data();
  gemm.run(args, nullptr);
  return dx;
}

OwnedTensor GpuSteps::gradient_of_weights(GroupedGemm& gemm, const void* dy, const void* x, std::vector<std::int64_t> shape,
                                          const ExpertRows& rows) const {
  OwnedTensor dw = tensor(std::move(shape));
  GroupedGemmArgs args = arguments_of(rows);
  args.dy = dy;
  args.x = x;
  args.dw = dw.data();
  gemm.run(args, nullptr);
  return dw;
}

OwnedTensor GpuSteps::permuted(const void* x, const GroupedGemmResult& routing, const void* topk_weights) {
  OwnedTensor rows = tensor({routing.gather_indices.size(0), shape_.model.H});
  PermuteRowsArgs args;
  args.x = x;
  args.rows = rows.data();
  args.gather_indices = routing.gather_indices.data();
  args.m_sizes = routing.token_counts_by_expert.data();
  args.topk_weights = topk_weights;
  args.dtype = shape_.dtype;
  args.M = rows.size(0);
  args.E = shape_.model.E;
  args.slots_per_row = shape_.model.top_k;
  args.columns = shape_.model.H;
  rows_.permute_rows(args, nullptr);
  return rows;
}

OwnedTensor GpuSteps::unpermuted(const OwnedTensor& rows, const GroupedGemmResult& routing) {
  OwnedTensor slots = tensor(rows.shape());
  if (slots.bytes() > 0) {
    driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(slots.data()), 0, slots.bytes(), nullptr);
  }
  UnpermuteRowsArgs args;
  args.rows = rows.data();
  args.out = slots.data();
  args.gather_indices = routing.gather_indices.data();
  args.m_sizes = routing.token_counts_by_expert.data();
  args.M = rows.size(0);
  args.E = shape_.model.E;
  args.columns = shape_.model.H;
  rows_.unpermute_rows(args, nullptr);
  return slots;
}

OwnedTensor GpuSteps::activated(const OwnedTensor& x, const ExpertRows& rows) {
  OwnedTensor out = tensor({x.size(0), x.size(1) / 2});
  ActAndMulArgs args;
  args.x = x.data();
  args.out = out.data();
  args.m_sizes = rows.m_sizes;
  args.dtype = shape_.dtype;
  args.M = x.size(0);
  args.E = rows.experts;
  args.columns = out.size(1);
  rows_.act_and_mul(args, nullptr);
  return out;
}

OwnedTensor GpuSteps::gradient_of_activated(const OwnedTensor& d_activation, const OwnedTensor& x, const ExpertRows& rows) {
  OwnedTensor gradient = tensor(x.shape());
  SwigluGradientArgs args;
  args.d_activation = d_activation.data();
  args.pre_activation = x.data();
  args.d_pre_activation = gradient.data();
  args.m_sizes = rows.m_sizes;
  args.dtype = shape_.dtype;
  args.M = x.size(0);
  args.E = rows.experts;
  args.columns = d_activation.size(1);
  rows_.swiglu_gradient(args, nullptr);
  return gradient;
}

OwnedTensor GpuSteps::combined(const OwnedTensor& slots, int top_k, const void* topk_weights, const void* addend) {
  OwnedTensor out = tensor({slots.size(0) / top_k, slots.size(1)});
  CombineRowsArgs args;
  args.rows = slots.data();
  args.out = out.data();
  args.addend = addend;
  args.topk_weights = topk_weights;
  args.dtype = shape_.dtype;
  args.tokens = out.size(0);
  args.top_k = top_k;
  args.columns = out.size(1);
  rows_.combine_rows(args, nullptr);
  return out;
}

}  // namespace moe_tune
