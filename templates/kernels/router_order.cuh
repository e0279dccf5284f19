// From each slot's expert to its row: a stable counting sort by expert, of which a block has a chunk of slots in shared memory.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// The threads of a block are groups of columns: each group has its part of the chunk's slots, each thread in it an expert. A
// thread goes through its part twice, first to count its expert's slots, then to number them from where the parts and blocks
// before end:
//
//     slots       | part 0        | part 1        | ...
//     thread e    | count, number |               |       rows of expert e: starts[e] + counts[0][e] + ...
//
// Nothing depends on who comes first. Shared memory: [experts of the slots][rows of the slots][counts][starts][totals].
#pragma once

#include "abi/router.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "schedule/router_problem.cuh"

namespace moe_tune {

template <class Problem>
class RouterOrder {
  static constexpr int L = Problem::local_experts;
  static constexpr int columns = L <= 32 ? 32 : L <= 64 ? 64 : L <= 128 ? 128 : L <= 256 ? 256 : 512;
  static constexpr int groups = abi::router_threads / columns;
  static constexpr u32 slots = abi::router_chunk_tokens * Problem::top_k;
  static_assert(groups > 0);

 public:
  static constexpr int shared_bytes = (2 * static_cast<int>(slots) + abi::router_threads + 2 * columns) * 4;

  MOE_DEVICE explicit RouterOrder(const abi::RouterArgs& args)
      : args_(args),
        experts_(ptx::shared_base()),
        rows_(experts_ + slots * 4),
        counts_(rows_ + slots * 4),
        starts_(counts_ + abi::router_threads * 4),
        totals_(starts_ + columns * 4) {}

  /// Slot `slot` of the chunk belongs to a local expert, or -1: to none. All of the chunk's are put before the threads meet.
  MOE_DEVICE void put(int slot, int expert) const { ptx::store_shared(experts_ + static_cast<u32>(slot) * 4, expert); }

  /// Counts the `count` slots of the chunk; the threads meet before and after. This thread's part.
  MOE_DEVICE int count(int count) const {
    int found = 0;
    for_each_of_mine(count, [&](int) { ++found; });
    return found;
  }
  /// Makes it known to the others; the threads meet after it.
  MOE_DEVICE void share_count(int count) const { ptx::store_shared(counts_ + ptx::thread_index() * 4, count); }
  /// What the threads of an expert have shared; `Before`: those of groups before this one's.
  template <bool Before>
  MOE_DEVICE int sum_counts() const {
    int sum = 0;
    MOE_UNROLL
    for (int i = 0; i < groups; ++i) {
      const int more = ptx::load_shared(counts_ + static_cast<u32>(i * columns + expert()) * 4);
      if (!Before || i < group()) sum += more;
    }
    return sum;
  }

  /// Where the rows of every expert start, given its slots in the blocks before this one and in all. Called by all threads, of
  /// which those of the first group give numbers; ends with a barrier. The first block tells the world how many rows there are.
  MOE_DEVICE void find_starts(int before, int total) const {
    if (group() == 0) {
      ptx::store_shared(starts_ + static_cast<u32>(expert()) * 4, before);
      ptx::store_shared(totals_ + static_cast<u32>(expert()) * 4, total);
      if (ptx::block_index() == 0 && expert() < L) ptx::store(args_.m_sizes + expert(), total);
    }
    ptx::block_barrier();
    if (ptx::thread_index() < 32) add_experts_before();
    ptx::block_barrier();
  }
  /// The chunk's slots are placed.
  MOE_DEVICE void advance_starts(int count) const {
    if (group() != 0) return;
    const u32 start = starts_ + static_cast<u32>(expert()) * 4;
    ptx::store_shared(start, ptx::load_shared(start) + count);
  }

  /// Stores the rows of the chunk's slots, of which the first is slot `first` of the call, and the slots of their rows. Counts
  /// are shared, and the threads have met.
  MOE_DEVICE void place(int first, int count) const {
    int row = ptx::load_shared(starts_ + static_cast<u32>(expert()) * 4) + sum_counts<true>();
    for_each_of_mine(count, [&](int slot) { ptx::store_shared(rows_ + static_cast<u32>(slot) * 4, row++); });
    ptx::block_barrier();
    for (int slot = static_cast<int>(ptx::thread_index()); slot < count; slot += abi::router_threads) {
      const bool has_row = ptx::load_shared(experts_ + static_cast<u32>(slot) * 4) >= 0;
      const int sorted = has_row ? ptx::load_shared(rows_ + static_cast<u32>(slot) * 4) : -1;
      ptx::store(args_.slot_rows + first + slot, sorted);
      if (has_row) ptx::store(args_.gather_indices + sorted, first + slot);
    }
  }

  // Which expert a thread counts, if it is below L, and in which part of the slots.
  static MOE_DEVICE int expert() { return static_cast<int>(ptx::thread_index()) % columns; }
  static MOE_DEVICE int group() { return static_cast<int>(ptx::thread_index()) / columns; }
  static constexpr int group_count = groups;

 private:
  /// Calls found(slot) for the slots of this thread's part and expert, in order.
  template <class Found>
  MOE_DEVICE void for_each_of_mine(int count, const Found& found) const {
    const int part = ((count + groups - 1) / groups + 3) / 4 * 4;
    const int begin = group() * part;
    const int end = begin + part < count ? begin + part : count;
    for (int slot = begin; slot < end; slot += 4) {
      const Words4 experts = ptx::load_shared_16(experts_ + static_cast<u32>(slot) * 4);
      MOE_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (slot + i < end && static_cast<int>(experts.v[i]) == expert()) found(slot + i);
      }
    }
  }

  /// By one warp, each of whose lanes has neighbouring experts.
  MOE_DEVICE void add_experts_before() const {
    constexpr int per_lane = columns / 32;
    const int lane = static_cast<int>(ptx::lane_index());
    int totals[per_lane];
    int sum = 0;
    MOE_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      totals[i] = ptx::load_shared(totals_ + static_cast<u32>(lane * per_lane + i) * 4);
      sum += totals[i];
    }
    int rows = sum;
    MOE_UNROLL
    for (u32 delta = 1; delta < 32; delta *= 2) {
      const int more = ptx::shuffle_up(rows, delta);
      if (static_cast<u32>(lane) >= delta) rows += more;
    }
    rows -= sum;
    MOE_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      const u32 start = starts_ + static_cast<u32>(lane * per_lane + i) * 4;
      ptx::store_shared(start, ptx::load_shared(start) + rows);
      rows += totals[i];
    }
  }

  const abi::RouterArgs& args_;
  const u32 experts_;
  const u32 rows_;
  const u32 counts_;
  const u32 starts_;
  const u32 totals_;
};

}  // namespace moe_tune
