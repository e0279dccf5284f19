// safetensors files and checkpoints for tests, sound ones and others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "generator/support/file.hpp"
#include "runtime/io/safetensors.hpp"

namespace moe_tune::test {

/// The bytes of a file that has this header, whatever it says, and this data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data = "") {
  std::string file(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(header).append(data);
}

/// Tensors with memory of their own, to be written.
class TensorFile {
 public:
  template <class T>
  TensorFile& add(std::string name, ElementType type, std::vector<std::int64_t> shape, const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    data_.emplace_back(bytes.begin(), bytes.end());
    tensors_.push_back({std::move(name), type, std::move(shape), data_.back()});
    return *this;
  }

  std::span<const HostTensor> tensors() const { return tensors_; }
  void write(const std::filesystem::path& path) const { write_safetensors(path, tensors_); }

 private:
  std::vector<std::vector<std::byte>> data_;
  std::vector<HostTensor> tensors_;
};

inline std::string read_bytes(const std::filesystem::path& path) { return read_file(path, std::size_t{1} << 20); }

}  // namespace moe_tune::test
