// Lets a thread do what the capture of a stream forbids by default.
#pragma once

#include <cuda.h>

#include "runtime/jit/driver.hpp"

namespace moe_tune {

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
