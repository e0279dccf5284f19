// A model's folder as Hugging Face lays it out: config.json, and weights in one or several safetensors files.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "generator/models.hpp"
#include "runtime/io/host_tensor.hpp"

namespace moe_tune {

/// Weights are in model.safetensors, else in the files that model.safetensors.index.json names, else in the only *.safetensors
/// there is. Files are opened when a tensor of theirs is asked for, and once. For several threads at a time.
class Checkpoint {
 public:
  /// Throws UsageError naming the file when there are no weights, or config.json or the index is not sound; EnvironmentError when
  /// one cannot be read.
  explicit Checkpoint(std::filesystem::path folder);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::filesystem::path& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }

  /// Valid as long as the checkpoint; null when it has no such tensor. Throws as SafetensorsFile for the file that should have
  /// it.
  const HostTensor* find(std::string_view name) const;
  /// Throws UsageError that says what there is when it has no such tensor.
  const HostTensor& tensor(std::string_view name) const;
  /// The file that has or should have a tensor that find() finds, for messages.
  std::filesystem::path file_of(std::string_view name) const;

 private:
  class Weights;

  std::filesystem::path folder_;
  ModelConfig config_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace moe_tune
