#include "runtime/launch/queue_counters.hpp"

#include <atomic>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/relaxed_capture.hpp"

namespace moe_tune {

namespace {

constexpr std::size_t counters_of_piece = 16384;

}  // namespace

QueueCounters::QueueCounters(Allocate allocate) : allocate_(std::move(allocate)) { allocate_piece(); }

void QueueCounters::allocate_piece() {
  pieces_.push_back(allocate_());
  left_ = pieces_.back().counters;
}

unsigned* QueueCounters::of_stream(unsigned long long stream, std::uint64_t thread) {
  const std::lock_guard lock(mutex_);
  unsigned*& counter = of_stream_[{stream, thread}];
  if (counter == nullptr) counter = take();
  return counter;
}

unsigned* QueueCounters::fresh() {
  const std::lock_guard lock(mutex_);
  return take();
}

unsigned* QueueCounters::take() {
  if (left_.empty()) allocate_piece();
  unsigned* counter = left_.data();
  left_ = left_.subspan(1);
  return counter;
}

std::uint64_t thread_serial() {
  static std::atomic<std::uint64_t> threads = 0;
  thread_local const std::uint64_t serial = ++threads;
  return serial;
}

unsigned* queue_counter(QueueCounters& counters, CUstream stream) {
  if (is_captured(stream)) return counters.fresh();
  // Not the handle: a new stream may get that of one whose work is still running.
  unsigned long long id = 0;
  driver().cuStreamGetId(stream, &id);
  return stream == CU_STREAM_PER_THREAD ? counters.of_stream(id, thread_serial()) : counters.of_stream(id);
}

QueueCounters::Piece allocate_queue_counters() {
  const RelaxedCapture relaxed;
  const auto memory = std::make_shared<DeviceBuffer>(counters_of_piece * sizeof(unsigned));
  const Stream stream;
  memory->fill(0, stream.get());
  stream.synchronize();
  return {memory, {static_cast<unsigned*>(memory->get()), counters_of_piece}};
}

}  // namespace moe_tune
