// Capture of streams: whether a stream is captured, and how a thread may do what captures forbid by default.
#pragma once

#include <cuda.h>

#include "runtime/jit/driver.hpp"

namespace moe_tune {

inline bool is_captured(CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  driver().cuStreamIsCapturing(stream, &status);
  return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/// As long as it lives this thread may allocate, and synchronise streams that are not captured, while any thread captures others:
/// nothing of it becomes part of a graph.
class RelaxedCapture {
 public:
  RelaxedCapture() { driver().cuThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { static_cast<void>(driver().cuThreadExchangeStreamCaptureMode.result(&mode_)); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace moe_tune
