// Streams for work beside a caller's stream.
#pragma once

#include <cuda.h>

#include <memory>
#include <mutex>
#include <vector>

namespace moe_tune {

/// A stream with the events that tie it to the caller's.
struct SideStream {
  CUstream stream = nullptr;
  CUevent fork = nullptr;  ///< recorded in the caller's stream, waited for in this one
  CUevent join = nullptr;  ///< the other way round

  /// In the current context.
  SideStream();
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;
};

/// Side streams of one context, reused by calls one after the other. Thread-safe.
class SideStreams {
 public:
  struct GiveBack {
    SideStreams* owner;
    void operator()(SideStream* stream) const { owner->give_back(stream); }
  };
  /// A side stream for one call, whose work is ordered by its events: the next call may have it as soon as this one has enqueued.
  using Lease = std::unique_ptr<SideStream, GiveBack>;

  /// For a call on `stream`. While that is captured the side stream becomes part of the capture, and stays so until it ends:
  /// nobody else gets such a one.
  Lease lease(CUstream stream);
  /// Destroys them, in the current context. No lease is out.
  void clear();

 private:
  void give_back(SideStream* stream);

  std::mutex mutex_;
  std::vector<std::unique_ptr<SideStream>> all_;
  std::vector<SideStream*> free_;
  std::vector<SideStream*> captured_;  ///< never free again
};

}  // namespace moe_tune
