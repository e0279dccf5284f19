#include "tests/mutation/support/run_pipeline.hpp"

#include <map>
#include <memory>
#include <span>

#include "runtime/emulator/launch.hpp"
#include "runtime/emulator/tensor_map.hpp"

namespace moe_tune::test {

namespace {

/// Of the scheduler: many times what a pipeline needs; a mutant that polls for ever is given up after a second or two.
constexpr std::uint64_t most_steps = 50'000'000;

}  // namespace

std::vector<std::vector<std::byte>> run_emulated(const PipelineCase& pipeline, const emulator::Kernel& kernel,
                                                 std::uint64_t seed) {
  emulator::GlobalMemory memory;
  std::map<const Tensor*, emulator::Allocation*> allocations;
  for (const Tensor* tensor : pipeline.tensors()) {
    if (tensor->data.empty()) continue;
    const auto use = tensor->expected.empty() ? emulator::Use::read_only : emulator::Use::read_write;
    allocations[tensor] = &memory.upload(tensor->name, std::span<const std::byte>(tensor->data), use);
  }
  const auto address = [&](const Tensor& tensor) -> void* {
    const auto found = allocations.find(&tensor);
    return found == allocations.end() ? nullptr : found->second->get();
  };
  const emulator::Launch launch{.blocks = pipeline.blocks,
                                .threads = pipeline.threads,
                                .shared_bytes = pipeline.shared_bytes,
                                .cluster = pipeline.cluster,
                                .seed = seed,
                                .most_steps = most_steps};
  emulator::run(memory, launch, kernel, "pipeline", pipeline.args(address, emulator::encode_emulated));
  std::vector<std::vector<std::byte>> results;
  for (const Tensor* tensor : pipeline.tensors()) {
    if (tensor->expected.empty()) continue;
    const std::span<std::byte> bytes = allocations.at(tensor)->as<std::byte>();
    results.emplace_back(bytes.begin(), bytes.end());
  }
  return results;
}

std::string difference(const PipelineCase& pipeline, const std::vector<std::vector<std::byte>>& results) {
  auto result = results.begin();
  for (const Tensor* tensor : pipeline.tensors()) {
    if (tensor->expected.empty()) continue;
    if (std::string found = PipelineCase::difference(*tensor, (result++)->data()); !found.empty()) return found;
  }
  return "";
}

Subject pipeline_subject(const PipelineCase& pipeline) {
  const auto shared_case = std::make_shared<const PipelineCase>(pipeline);
  return {pipeline.name, pipeline.source(), [shared_case](const std::string& source) {
            return [shared_case, kernel = std::make_shared<const emulator::Kernel>(source)](std::uint64_t seed) {
              return difference(*shared_case, run_emulated(*shared_case, *kernel, seed));
            };
          }};
}

}  // namespace moe_tune::test
