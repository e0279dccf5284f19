// A file as memory, read page by page when it is looked at.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace moe_tune {

/// Read-only. A file that another process cuts short while it is mapped ends this one with SIGBUS when a page behind the new end
/// is read: files that are replaced are to be replaced by rename().
class MappedFile {
 public:
  /// Follows links to `path`. Throws EnvironmentError naming the path when it is no regular file or cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace moe_tune
