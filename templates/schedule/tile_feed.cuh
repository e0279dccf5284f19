// Tiles for the warps of an sm90 block: one warp looks them up and hands them out through slots in shared memory.
// archs: sm_90 sm_90a sm_100 sm_120
//
//     scheduler warp   next id: in turn, or from the queue   Tile of the id ─▶ slot (wait empty, write, arrive at full)
//     reader warps     wait full, read, arrive at empty: every reader warp reads every tile; one that does not exist ends the
//     feed
//
// The queue is one counter in global memory, 0 before the launch. A cluster's first tile is that of its own index; the counter
// gives the next ones, one fetched ahead. Every cluster that has a tile fetches until it gets an id past the last, so the number
// of fetches is known, and whoever makes the last one sets the counter back to 0 for the next launch.
//
// In a cluster the scheduler of the first block serves both: it writes the slots by asynchronous stores that complete at the full
// mbarriers, where each block's own scheduler announces their bytes; all readers of both blocks arrive at the first one's empty.
#pragma once

#include "mainloop/ring.cuh"
#include "ptx/atomics.cuh"
#include "ptx/cluster.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "schedule/expert_tiles.cuh"

namespace moe_tune {

/// Shared memory: [slots][mbarriers]. `Readers`: warps of a block that read. A TileType goes through a slot as four words.
template <class Config, int Readers, class TileType = Tile>
class TileFeed {
  // A ping-pong block works on two tiles and loads a third.
  static constexpr int slots = Config::ping_pong ? 4 : 3;
  static constexpr int most_slots = 4;  // room for as many in any block: the host knows one size
  static constexpr u32 slot_bytes = 16;
  using Barriers = RingBarriers<slots>;

 public:
  static constexpr u32 bytes = most_slots * (slot_bytes + 16);

  /// `shared_address` is 16-byte aligned.
  MOE_DEVICE explicit TileFeed(u32 shared_address)
      : slots_(shared_address), barriers_{shared_address + most_slots * slot_bytes} {}

  /// By one thread, like RingBarriers::init().
  MOE_DEVICE void init() const {
    constexpr int announcers = Config::cluster - 1;
    barriers_.init(1, Readers * Config::cluster + announcers);
  }

  /// By the scheduler warp of every block. `schedule` needs to be of use in the first block of a cluster only.
  template <class Tiles>
  MOE_DEVICE void feed(const Tiles& schedule, u32* queue) {
    if (ptx::lane_index() == 0) {
      if (Config::cluster == 1 || ptx::cluster_rank() == 0) {
        hand_out(schedule, queue);
      } else {
        announce();
      }
    }
    ptx::warp_barrier();
  }

  /// The next tile; when it does not exist, this is the last call. All lanes of a reader warp call it.
  MOE_DEVICE TileType next() {
    barriers_.wait_full(position_);
    // One lane reads and arrives, so that its read is before the arrival; by the shuffles every lane has seen the slot full.
    Words4 words = {};
    if (ptx::lane_index() == 0) words = ptx::load_shared_16(slot(position_.stage));
    MOE_UNROLL
    for (u32& word : words.v) word = static_cast<u32>(ptx::shuffle(static_cast<int>(word), 0));
    if (ptx::lane_index() == 0) release(position_.stage);
    position_.advance();
    return TileType::of(words);
  }

 private:
  MOE_DEVICE u32 slot(u32 stage) const { return slots_ + stage * slot_bytes; }

  MOE_DEVICE void release(u32 stage) const {
    if constexpr (Config::cluster == 1) {
      ptx::mbarrier_arrive(barriers_.empty(stage));
    } else {
      ptx::mbarrier_arrive_cluster_relaxed(ptx::map_to_rank(barriers_.empty(stage), 0));
    }
  }

  template <class Tiles>
  MOE_DEVICE void hand_out(const Tiles& schedule, u32* queue) {
    const u32 clusters = ptx::grid_size() / Config::cluster;
    const u32 count = schedule.count();
    u32 id = ptx::block_index() / Config::cluster;
    while (id < count) {
      const u32 next = clusters + (Config::queue ? fetch(queue, count) : id);
      write(schedule.tile(id));
      id = next;
    }
    write(TileType::none());
  }

  static MOE_DEVICE u32 fetch(u32* queue, u32 count) {
    const u32 before = ptx::atomic_add_relaxed_gpu(queue, 1);
    // As many fetches as tiles: one for each tile that is no cluster's first, and one past the end for each that is.
    if (before + 1 == count) ptx::store_relaxed_gpu(queue, 0);
    return before;
  }

  MOE_DEVICE void write(const TileType& tile) {
    const u32 stage = position_.stage;
    barriers_.wait_empty(position_);
    const Words4 words = tile.words();
    if constexpr (Config::cluster == 1) {
      ptx::store_shared(slot(stage), words);
      ptx::mbarrier_arrive(barriers_.full(stage));
    } else {
      ptx::mbarrier_arrive_expect_tx(barriers_.full(stage), slot_bytes);
      MOE_UNROLL
      for (u32 rank = 0; rank < Config::cluster; ++rank) {
        ptx::st_async_x4(ptx::map_to_rank(slot(stage), rank), words.v, ptx::map_to_rank(barriers_.full(stage), rank));
      }
    }
    position_.advance();
  }

  /// Keeps one slot after the other announced until the end has come.
  MOE_DEVICE void announce() {
    bool more = true;
    while (more) {
      ptx::mbarrier_arrive_expect_tx(barriers_.full(position_.stage), slot_bytes);
      barriers_.wait_full(position_);
      more = TileType::of(ptx::load_shared_16(slot(position_.stage))).exists();
      release(position_.stage);
      position_.advance();
    }
  }

  u32 slots_;
  Barriers barriers_;
  typename Barriers::Position position_;
};

}  // namespace moe_tune
