// The copies of dW of the sm80 family: rows of dY and X, in expert order or gathered, from global memory to the ring.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "mainloop/sm80_multistage.cuh"
#include "schedule/slots.cuh"
#include "schedule/weight_tiles.cuh"
#include "schedule/weights_problem.cuh"

namespace moe_tune {

/// Walks the k-blocks of this block's tiles, STAGES - 1 k-blocks ahead of the multiplication. A k-block is BLOCK_K rows of an
/// expert, the same of dY and of X; tiles of experts without rows have none. The slots of a k-block's rows are loaded while the
/// one before it is copied.
template <class Problem, class Config, class Tiles>
class Sm80WeightsProducer {
  using YCopy = SlabCopy<Config, Config::block_m>;
  using XCopy = SlabCopy<Config, Config::block_n>;
  static constexpr int k_rows = YCopy::k_rows;  // of a k-block, this thread's
  static constexpr bool gathers = Problem::gather_x || Problem::gather_y;
  static constexpr int rows_per_iteration = 32 / YCopy::chunks_per_row;  // of one warp

 public:
  /// Every thread of the block makes one.
  MOE_DEVICE Sm80WeightsProducer(const abi::GroupedGemmArgs& args, const Tiles& tiles)
      : args_(args),
        tiles_(tiles),
        y_offset_(YCopy::first_offset()),
        x_offset_(Config::a_stage_bytes + XCopy::first_offset()),
        ahead_id_(ptx::block_index()) {
    find_tile();
    load_slots();
    advance();
  }

  /// Issues part `Part` of `Parts` of this thread's copies of the current k-block; zeros when no k-block is left.
  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 stage_address) const {
    copy_rows<YCopy, Problem::N % Config::block_m != 0, Part, Parts>(stage_address + y_offset_, y_, y_columns_left_);
    copy_rows<XCopy, Problem::K % Config::block_n != 0, Part, Parts>(stage_address + x_offset_, x_, x_columns_left_);
  }

  /// Moves on to the next k-block, of the next tile that has one after the last one.
  MOE_DEVICE void advance() {
    find_rows();
    ahead_.row += Config::block_k;
    ahead_.rows -= Config::block_k;
    if (ahead_.rows <= 0) {
      ahead_id_ += ptx::grid_size();
      find_tile();
    }
    load_slots();
  }

 private:
  /// Addresses below this stand for rows of zeros: those past the expert's last one and those of bad slots.
  static constexpr u64 row_exists = u64{1} << 32;

  /// Iterations I, I + Parts, ... of one operand.
  template <class Copy, bool Tail, int I, int Parts>
  MOE_DEVICE void copy_rows(u32 address, const u64 (&rows)[k_rows], int columns_left) const {
    if constexpr (I < Copy::iterations) {
      const u64 row = rows[I % k_rows];
      const bool valid = row >= row_exists && (!Tail || Copy::column(I) < columns_left);
      if (Copy::inside(I)) ptx::cp_async_16<Copy::column(I) * 2>(Copy::address(address, I), row, valid);
      copy_rows<Copy, Tail, I + Parts, Parts>(address, rows, columns_left);
    }
  }

  /// The first tile with rows from ahead_id_ on.
  MOE_DEVICE void find_tile() {
    for (; ahead_id_ < tiles_.count(); ahead_id_ += ptx::grid_size()) {
      ahead_ = tiles_.tile(ahead_id_);
      if (ahead_.rows > 0) return;
    }
    ahead_ = WeightTile::none();
  }

  /// Starts loading the slots of the k-block ahead.
  MOE_DEVICE void load_slots() {
    if constexpr (gathers) {
      const int first = static_cast<int>(ptx::thread_index()) / 32 * rows_per_iteration % Config::block_k;
      slots_.load(args_, [&](int entry) {
        const int row = first + entry / rows_per_iteration * YCopy::row_step + entry % rows_per_iteration;
        return row < ahead_.rows ? ahead_.row + row : -1;
      });
    }
  }

  /// Where this thread's chunk of each of its rows of the k-block ahead starts, in both operands.
  MOE_DEVICE void find_rows() {
    const int n = ahead_.tile_n * Config::block_m + YCopy::first_column();
    const int k = ahead_.tile_k * Config::block_n + XCopy::first_column();
    y_columns_left_ = Problem::N - n;
    x_columns_left_ = Problem::K - k;
    if constexpr (gathers) slots_.resolve(args_);
    MOE_UNROLL
    for (int i = 0; i < k_rows; ++i) {
      const int row = YCopy::first_k_row() + YCopy::k_row(i);
      int source = row < ahead_.rows ? ahead_.row + row : -1;
      const int target = source;
      if constexpr (gathers) {
        source = slots_.get(i * rows_per_iteration + static_cast<int>(ptx::lane_index()) / YCopy::chunks_per_row);
      }
      const int gathered = source / Problem::slots_per_row;
      y_[i] = source < 0 ? 0 : address_of(args_.y, Problem::gather_y ? gathered : target, args_.y_row_bytes, n);
      x_[i] = source < 0 ? 0 : address_of(args_.x, Problem::gather_x ? gathered : target, args_.x_row_bytes, k);
    }
  }

  static MOE_DEVICE u64 address_of(const void* rows, int row, int row_bytes, int column) {
    return reinterpret_cast<u64>(rows) + static_cast<u64>(static_cast<i64>(row) * row_bytes) + static_cast<u64>(column) * 2;
  }

  const abi::GroupedGemmArgs& args_;
  const Tiles& tiles_;
  const u32 y_offset_;
  const u32 x_offset_;
  u32 ahead_id_;                                  // the tile of the next k-block
  WeightTile ahead_;                              // the same, its rows from that k-block on
  WarpSlots<rows_per_iteration * k_rows> slots_;  // of its rows
  u64 y_[k_rows];                                 // this thread's chunks of its rows of the current k-block
  u64 x_[k_rows];
  int y_columns_left_;  // from these chunks on
  int x_columns_left_;
};

}  // namespace moe_tune
