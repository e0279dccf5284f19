#include "runtime/blocks/gpu_executor.hpp"

#include "runtime/jit/driver.hpp"

namespace moe_tune {

void GpuExecutor::route(const RouterArgs& args) { operations_.router().run(args, current_); }

void GpuExecutor::route_gradient(const RouterGradientArgs& args) { operations_.router_gradient().run(args, current_); }

void GpuExecutor::permute_rows(const PermuteRowsArgs& args) { operations_.rows().permute_rows(args, current_); }

void GpuExecutor::multiply(BlockGemm gemm, BlockPass pass, const GroupedGemmArgs& args) {
  operations_.gemm(gemm, pass).run(args, current_);
}

void GpuExecutor::swiglu_gradient(const SwigluGradientArgs& args) { operations_.rows().swiglu_gradient(args, current_); }

void GpuExecutor::combine_rows(const CombineRowsArgs& args) { operations_.rows().combine_rows(args, current_); }

void GpuExecutor::store_word(void* address, int value) {
  driver().cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(address), static_cast<unsigned>(value), 1, current_);
}

void GpuExecutor::copy(void* to, const void* from, std::size_t bytes) {
  driver().cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from), bytes, current_);
}

void GpuExecutor::clear(void* address, std::size_t bytes) {
  driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(address), 0, bytes, current_);
}

void GpuExecutor::begin_branch() {
  branch_ = side_streams_.lease(stream_);
  driver().cuEventRecord(branch_->fork, stream_);
  driver().cuStreamWaitEvent(branch_->stream, branch_->fork, 0);
  current_ = branch_->stream;
}

void GpuExecutor::end_branch() {
  driver().cuEventRecord(branch_->join, branch_->stream);
  current_ = stream_;
}

void GpuExecutor::join_branch() { driver().cuStreamWaitEvent(stream_, branch_->join, 0); }

}  // namespace moe_tune
