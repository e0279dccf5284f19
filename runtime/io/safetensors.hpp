// safetensors files on disk. safetensors_header.hpp has the format.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/io/host_tensor.hpp"
#include "runtime/io/mapped_file.hpp"

namespace moe_tune {

/// A file, mapped: tensors are read when their bytes are looked at. What it returns points into it, and stays where it is when
/// the object is moved.
class SafetensorsFile {
 public:
  /// Follows links to `path`. Throws EnvironmentError when it is no regular file or cannot be read, UsageError when its header is
  /// not sound.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::span<const HostTensor> tensors() const { return tensors_; }  ///< in the order of their names
  const HostTensor* find(std::string_view name) const;              ///< null when it is not there
  const HostTensor& at(std::string_view name) const;                ///< throws UsageError that says what there is

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::vector<HostTensor> tensors_;
};

/// Writes a file of these tensors, atomically: the largest elements first, then by name, the data aligned to 8 bytes, so that
/// every tensor is aligned to its elements and the same tensors give the same file. Throws UsageError when names repeat or bytes
/// are not what type and shape take, EnvironmentError as write_file_atomic().
void write_safetensors(const std::filesystem::path& path, std::span<const HostTensor> tensors);

}  // namespace moe_tune
