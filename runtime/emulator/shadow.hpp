// Who last wrote and read each word of a piece of memory: finds accesses that nothing orders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/emulator/clock.hpp"

namespace moe_tune::emulator {

/// The instruction that touched a word, for reports.
enum class Touch : std::uint8_t {
  none,
  load,
  store,
  atomic,
  load_matrix,
  store_matrix,
  copy_async,
  bulk_load,
  bulk_store,
  tensor_load,
  tensor_store,
  bulk_reduce,
  tensor_reduce,
  warpgroup_mma,
  store_async,
  mbarrier,
};

const char* to_string(Touch touch);

/// Whether two of them on one word need no order.
bool is_atomic(Touch touch);

/// Whether the copy engine and the tensor cores do it themselves: they see ordinary accesses only through a proxy fence.
bool is_async(Touch touch);

/// An access about to be made: who makes it, and what its thread knows when it issues it.
struct Access {
  Touch touch;
  Agent agent;
  Epoch epoch;
  const ThreadKnowledge* seen;    // what is ordered before it
  const ThreadKnowledge* fenced;  // of that, what a proxy fence has made visible to asynchronous accesses
  // The agents of its block's threads. Asynchronous accesses of one block are of one proxy; those of two blocks are ordered
  // through a proxy fence alone, like ordinary ones.
  Agent block_begin = 0;
  Agent block_end = ~Agent{0};
};

/// An earlier access of the same word that is not ordered before this one.
struct Conflict {
  std::size_t offset;  // of the word
  Touch touch;
  Agent agent;
  bool only_unfenced;  // ordered, but a proxy fence is missing
};

/// Words of four bytes; an access of part of a word counts as one of the word.
class Shadow {
 public:
  explicit Shadow(std::size_t bytes = 0) : cells_((bytes + 3) / 4) {}

  /// Checks the access against all before it and records it. `bytes` from `offset` lie inside.
  std::optional<Conflict> read(std::size_t offset, std::size_t bytes, const Access& access);
  std::optional<Conflict> write(std::size_t offset, std::size_t bytes, const Access& access);
  /// Forgets everything about the bytes.
  void clear(std::size_t offset, std::size_t bytes);

 private:
  static constexpr int most_readers = 4;

  struct Mark {
    Epoch epoch = 0;
    Agent agent : 24 = 0;
    Touch touch : 8 = Touch::none;
  };
  static_assert(sizeof(Mark) == 8, "there is one for every word, and one for every reader of it");
  struct Cell {
    Mark write;
    Mark reads[most_readers];
  };

  /// Whether the access is not ordered after the last write of a cell.
  std::optional<Conflict> conflict_with_write(std::size_t cell, const Access& access) const;

  std::vector<Cell> cells_;
  std::uint32_t replaced_ = 0;
};

}  // namespace moe_tune::emulator
