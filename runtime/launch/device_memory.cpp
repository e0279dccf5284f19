#include "runtime/launch/device_memory.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

DeviceBuffer::DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const CUresult result = driver().cuMemAlloc.result(&address_, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    std::size_t free = 0;
    std::size_t total = 0;
    driver().cuMemGetInfo(&free, &total);
    throw EnvironmentError(fmt::format(
        "the GPU has no room for {:.2f} GiB ({:.2f} of {:.2f} GiB are free): use fewer tokens or free memory",
        static_cast<double>(bytes) / (1 << 30), static_cast<double>(free) / (1 << 30), static_cast<double>(total) / (1 << 30)));
  }
  if (result != CUDA_SUCCESS) throw_cuda_error(result, "cuMemAlloc");
}

// A failing release is not an error of whoever happens to be destroying the owner: after a fault in a kernel every call fails.
DeviceBuffer::~DeviceBuffer() {
  if (address_ != 0) static_cast<void>(driver().cuMemFree.result(address_));
}

void DeviceBuffer::upload(const void* source, std::size_t size, std::size_t offset) {
  if (size == 0) return;
  // The copy may be on its way when the driver returns, and streams like Stream do not wait for it.
  driver().cuMemcpyHtoD(address_ + offset, source, size);
  driver().cuStreamSynchronize(CU_STREAM_LEGACY);
}

void DeviceBuffer::download(void* target, std::size_t size, std::size_t offset) const {
  if (size > 0) driver().cuMemcpyDtoH(target, address_ + offset, size);
}

void DeviceBuffer::fill(unsigned char byte, CUstream stream) {
  if (bytes_ > 0) driver().cuMemsetD8Async(address_, byte, bytes_, stream);
}

Stream::Stream() { driver().cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING); }

Stream::~Stream() { static_cast<void>(driver().cuStreamDestroy.result(stream_)); }

void Stream::synchronize() const { driver().cuStreamSynchronize(stream_); }

StopWatch::StopWatch() {
  driver().cuEventCreate(&start_, CU_EVENT_DEFAULT);
  driver().cuEventCreate(&stop_, CU_EVENT_DEFAULT);
}

StopWatch::~StopWatch() {
  static_cast<void>(driver().cuEventDestroy.result(start_));
  static_cast<void>(driver().cuEventDestroy.result(stop_));
}

void StopWatch::start(CUstream stream) { driver().cuEventRecord(start_, stream); }

void StopWatch::stop(CUstream stream) { driver().cuEventRecord(stop_, stream); }

double StopWatch::microseconds() const {
  driver().cuEventSynchronize(stop_);
  float milliseconds = 0;
  driver().cuEventElapsedTime(&milliseconds, start_, stop_);
  return static_cast<double>(milliseconds) * 1e3;
}

}  // namespace moe_tune
