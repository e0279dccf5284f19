#include "runtime/blocks/side_streams.hpp"

#include <algorithm>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/relaxed_capture.hpp"

namespace moe_tune {

SideStream::SideStream() {
  driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  driver().cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING);
  driver().cuEventCreate(&join, CU_EVENT_DISABLE_TIMING);
}

// At the end of the process the driver may be gone already.
SideStream::~SideStream() {
  for (const CUevent event : {fork, join}) {
    if (event != nullptr) static_cast<void>(driver().cuEventDestroy.result(event));
  }
  if (stream != nullptr) static_cast<void>(driver().cuStreamDestroy.result(stream));
}

SideStreams::Lease SideStreams::lease(CUstream stream) {
  const bool captured = is_captured(stream);
  const std::lock_guard lock(mutex_);
  if (!captured && !free_.empty()) {
    SideStream* const reused = free_.back();
    free_.pop_back();
    return {reused, {this}};
  }
  const RelaxedCapture relaxed;
  SideStream* const made = all_.emplace_back(std::make_unique<SideStream>()).get();
  if (captured) captured_.push_back(made);
  return {made, {this}};
}

void SideStreams::clear() {
  const std::lock_guard lock(mutex_);
  free_.clear();
  captured_.clear();
  all_.clear();
}

void SideStreams::give_back(SideStream* stream) {
  const std::lock_guard lock(mutex_);
  if (std::find(captured_.begin(), captured_.end(), stream) == captured_.end()) free_.push_back(stream);
}

}  // namespace moe_tune
