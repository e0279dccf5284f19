#include "runtime/io/mapped_file.hpp"

#include <sys/mman.h>

#include <utility>

#include "generator/support/file.hpp"

namespace moe_tune {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto [fd, size] = open_regular_file(follow_links(path));
  if (size == 0) return;  // an empty mapping is an error to mmap
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) throw_errno("cannot map", path);
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace moe_tune
