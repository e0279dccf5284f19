// Counters that kernels take tiles from (TileSource::queue): one for each launch that may run at the same time as another.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace moe_tune {

/// Hands out words of zeroed memory and never takes one back: launches leave theirs 0. Thread-safe.
class QueueCounters {
 public:
  /// Zeroed memory for counters.
  struct Piece {
    std::shared_ptr<const void> owner;
    std::span<unsigned> counters;
  };
  using Allocate = std::function<Piece()>;
  /// The first piece is allocated now.
  explicit QueueCounters(Allocate allocate);

  /// The counter of the launches on a stream, which follow one another. `stream` is unique in the process and not used again for
  /// another stream; `thread`, where a stream has one name in every thread, is the thread's serial number.
  unsigned* of_stream(unsigned long long stream, std::uint64_t thread = 0);
  /// A counter that nobody else gets.
  unsigned* fresh();

 private:
  void allocate_piece();
  unsigned* take();

  Allocate allocate_;
  std::mutex mutex_;
  std::vector<Piece> pieces_;
  std::span<unsigned> left_;  ///< of the last piece
  std::map<std::pair<unsigned long long, std::uint64_t>, unsigned*> of_stream_;
};

/// A number above 0 that no other thread of the process has or had. A std::thread::id goes to a new thread while work of the one
/// that ended may still run.
std::uint64_t thread_serial();

/// The counter for a launch on `stream` of the current context, now. A launch that is being captured gets one of its own: its
/// graph may be replayed beside anything, but for itself.
unsigned* queue_counter(QueueCounters& counters, CUstream stream);

/// Zeroed memory of the current context for QueueCounters; also while any stream of the process is being captured.
QueueCounters::Piece allocate_queue_counters();

}  // namespace moe_tune
