// Device memory and streams, owned.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <span>
#include <utility>

namespace moe_tune {

/// Bytes of device memory of the current context; empty when default-made or of size 0.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Throws EnvironmentError with the size when there is not enough memory.
  explicit DeviceBuffer(std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }

  std::size_t bytes() const { return bytes_; }
  CUdeviceptr address() const { return address_; }
  void* get() const { return reinterpret_cast<void*>(address_); }

  /// Copies from or to the host and waits. `offset` + size is within the buffer.
  void upload(const void* source, std::size_t size, std::size_t offset = 0);
  void download(void* target, std::size_t size, std::size_t offset = 0) const;
  /// Sets every byte, in order on `stream`.
  void fill(unsigned char byte, CUstream stream = nullptr);

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
  }

  CUdeviceptr address_ = 0;
  std::size_t bytes_ = 0;
};

template <class T>
DeviceBuffer upload(std::span<const T> values) {
  DeviceBuffer buffer(values.size_bytes());
  buffer.upload(values.data(), values.size_bytes());
  return buffer;
}

/// A non-blocking stream of the current context.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  CUstream get() const { return stream_; }
  void synchronize() const;

 private:
  CUstream stream_ = nullptr;
};

/// A pair of events around work on a stream.
class StopWatch {
 public:
  StopWatch();
  ~StopWatch();
  StopWatch(const StopWatch&) = delete;
  StopWatch& operator=(const StopWatch&) = delete;

  void start(CUstream stream);
  void stop(CUstream stream);
  /// Waits for the stop and returns the microseconds between the two.
  double microseconds() const;

 private:
  CUevent start_ = nullptr;
  CUevent stop_ = nullptr;
};

}  // namespace moe_tune
