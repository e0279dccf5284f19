// The pipelines of the study with their data: what goes in, and exactly what must come out.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/launch/tensor_map.hpp"
#include "tests/mutation/pipelines/args.cuh"

namespace moe_tune::test {

/// A tensor of a pipeline; empty ones are not passed.
struct Tensor {
  std::string name;
  std::vector<std::byte> data;      ///< at the start; what is to be written is poison
  std::vector<std::byte> expected;  ///< at the end; empty for one that the kernel only reads
};

/// Values are small integers, so that every order of the additions gives the same bits: outputs are compared exactly.
struct PipelineCase {
  std::string name;  ///< of the file in tests/mutation/pipelines/
  unsigned blocks = 1;
  unsigned threads = 32;
  unsigned shared_bytes = 0;
  unsigned cluster = 1;
  int M = 0;
  int N = 0;
  int K = 0;
  int tokens = 0;
  Tensor a, b, x, indices, y, workspace, counters;
  std::optional<TensorMapDescription> a_map, b_map, y_map;  ///< without their addresses

  /// The whole CUDA source, templates and pipeline in one.
  std::string source() const;
  std::vector<const Tensor*> tensors() const { return {&a, &b, &x, &indices, &y, &workspace, &counters}; }
  /// The arguments, given the device address of each tensor and the encoder of tensor maps.
  study::PipelineArgs args(const std::function<void*(const Tensor&)>& address,
                           const std::function<abi::TensorMap(const TensorMapDescription&)>& encode) const;
  /// What of a tensor that was written is not as expected; empty where nothing is.
  static std::string difference(const Tensor& tensor, const std::byte* result);
};

PipelineCase ring_case();
PipelineCase store_case();
PipelineCase cluster_case();
PipelineCase gather_case();
PipelineCase queue_case();
PipelineCase copier_case();
PipelineCase ping_pong_case();
std::vector<PipelineCase> all_pipeline_cases();

}  // namespace moe_tune::test
