// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

#include <utility>

namespace moe_tune {

/// Owns an open descriptor, or none (-1).
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  /// Gives the descriptor up: whoever must know whether close() failed closes it himself.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace moe_tune
