#include "runtime/blocks/gpu_executor.hpp"

#include "runtime/jit/driver.hpp"

namespace moe_tune {

void GpuExecutor::route(const RouterArgs& args) { operations_.router.run(args, current_); }

void GpuExecutor::permute_rows(const PermuteRowsArgs& args) { operations_.rows.permute_rows(args, current_); }

void GpuExecutor::multiply(BlockGemm gemm, const GroupedGemmArgs& args) { operations_.gemm(gemm).run(args, current_); }

void GpuExecutor::combine_rows(const CombineRowsArgs& args) { operations_.rows.combine_rows(args, current_); }

void GpuExecutor::store_word(void* address, int value) {
  driver().cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(address), static_cast<unsigned>(value), 1, current_);
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
