// The sm80 mainloop: a ring of shared-memory stages filled by cp.async and multiplied by mma.sync.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Tile: BLOCK_M rows x BLOCK_N columns; WARPS_M x WARPS_N warps, each (BLOCK_M / WARPS_M) x (BLOCK_N / WARPS_N), its rows 16 at a
// time in turn with the other warps.
// Pipeline: the ring runs on across tiles. While a block multiplies the last k-blocks of a tile and stores it, the copies of its
// next tile are already in flight, so a short K costs no pipeline fill:
//
//     copies     | t0.k0 t0.k1 t0.k2 ... t1.k0 t1.k1 ...        STAGES - 1 k-blocks ahead
//     multiplies |             t0.k0 t0.k1 ... store t0, t1.k0
//
// Protocol, once per k-block: wait for this thread's copies of the next stage, block barrier (now all threads' copies are seen,
// and every warp has read the stage that is refilled next), read the first fragments of the next stage, and during the MMA
// steps that follow issue the copies STAGES - 1 ahead. Fragments are double-buffered in registers across that boundary.
//
// The columns of B are handed to the MMA in a permuted order: in each group of 32 columns the n8 tile j is made of the columns
// 8 t + 2 j + {0, 1}, t = 0..3. ldmatrix takes any row addresses, so this is free, and it leaves each lane with 8 consecutive
// columns of the output: one 16-byte store, no shuffles, no staging in shared memory. Where the rows of B run along K, ldmatrix
// transposes, columns keep their order, and lanes exchange them before they store (epilogue/row_chunks.cuh).
#pragma once

#include "mainloop/swizzle.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

template <int BlockM, int BlockN, int BlockK, int WarpsM, int WarpsN, int Stages, int CtasPerSm>
struct Sm80Config {
  static constexpr int block_m = BlockM;
  static constexpr int block_n = BlockN;
  static constexpr int block_k = BlockK;
  static constexpr int warps_m = WarpsM;
  static constexpr int warps_n = WarpsN;
  static constexpr int stages = Stages;
  static constexpr int ctas_per_sm = CtasPerSm;
  static constexpr int threads = 32 * WarpsM * WarpsN;
  static constexpr int warp_m = BlockM / WarpsM;
  static constexpr int warp_n = BlockN / WarpsN;
  static constexpr int m_frags = warp_m / 16;   // MMA tiles of 16 rows
  static constexpr int n_groups = warp_n / 32;  // groups of 32 columns, four MMA tiles each
  static constexpr int k_steps = BlockK / 16;
  static constexpr int copy_steps = k_steps == 8 ? 4 : k_steps - 1;  // MMA steps over which a k-block's copies are spread
  static constexpr int a_stage_bytes = BlockM * BlockK * 2;
  static constexpr int stage_bytes = (BlockM + BlockN) * BlockK * 2;
  static constexpr int ring_bytes = Stages * stage_bytes;
  /// k-blocks of a tile: those of K, and where they are fewer than the stages blocks of zeros, so that the copies are never more
  /// than one tile ahead of the products.
  static MOE_DEVICE constexpr int k_blocks(int k) {
    const int needed = (k + BlockK - 1) / BlockK;
    return needed < Stages ? Stages : needed;
  }
  static_assert(warp_m % 16 == 0 && warp_n % 32 == 0, "a warp tile is a multiple of 16 rows and 32 columns");
  static_assert(Stages >= 2);
};

/// The float32 accumulators of one warp: [16-row tile][32-column group][n8 tile][mma register].
template <class Config>
struct Accumulators {
  float v[Config::m_frags][Config::n_groups][4][4];

  MOE_DEVICE void clear() {
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int n = 0; n < Config::n_groups; ++n) {
        MOE_UNROLL
        for (int j = 0; j < 4; ++j) {
          MOE_UNROLL
          for (int r = 0; r < 4; ++r) v[m][n][j][r] = 0.0f;
        }
      }
    }
  }
};

/// How the threads of a block share the copy of a [Rows][Width] operand tile: thread t moves chunk t % chunks_per_row of the
/// rows t / chunks_per_row + i * row_step.
template <class Config, int Rows, int Width, RowPattern Pattern>
struct TileCopy {
  using Layout = Swizzle<Width, Pattern>;
  static constexpr int chunks_per_row = Width / 8;
  static constexpr int row_step = Config::threads / chunks_per_row;
  static constexpr int iterations = (Rows + row_step - 1) / row_step;
  static_assert((row_step & (row_step - 1)) == 0);

  static MOE_DEVICE int chunk() { return static_cast<int>(ptx::thread_index()) % chunks_per_row; }
  static MOE_DEVICE int row(int i) { return static_cast<int>(ptx::thread_index()) / chunks_per_row + i * row_step; }
  /// Whether iteration i of this thread lies in the tile.
  static MOE_DEVICE bool inside(int i) { return Rows % row_step == 0 || row(i) < Rows; }
  /// The shared address of iteration i, given iteration 0's: see the XOR linearity in mainloop/swizzle.cuh.
  static MOE_DEVICE u32 address(u32 first, int i) {
    const u32 step = static_cast<u32>(i * row_step);
    return (first ^ Layout::key(step)) + step * Layout::row_bytes;
  }
  static MOE_DEVICE u32 first_offset() { return Layout::offset(static_cast<u32>(row(0)), static_cast<u32>(chunk())); }
};

/// An operand whose rows run along K lies in a stage as slabs of BLOCK_K rows of 32 of the tile's columns, one slab below the
/// other.
template <int BlockK>
struct Slabs {
  static constexpr int width = 32;
  using Layout = Swizzle<width, RowPattern::consecutive>;

  static MOE_DEVICE constexpr u32 offset(u32 column, u32 row) {
    return Layout::offset(column / width * BlockK + row, column % width / 8);
  }

  /// Four matrices of 16 rows and 16 columns of MMA step `k_step`, `columns` (a multiple of 16, known to the compiler) further
  /// than `address`. Where that is an odd multiple, `address` is that of a slab's first 16 columns.
  static MOE_DEVICE void load(u32 (&fragment)[4], u32 address, int columns, int k_step) {
    // The key of a row has bits 1 and 2 of it: 16 rows further it is the same.
    const u32 rows = static_cast<u32>(columns / width * BlockK + k_step * 16) * Layout::row_bytes;
    ptx::ldmatrix_x4_transposed(fragment, (address + rows) ^ static_cast<u32>(columns % width * 2));
  }
};

/// TileCopy of slabs with `Columns` columns. A thread's iterations share few rows, the same for every number of columns.
template <class Config, int Columns, class Slab = Slabs<Config::block_k>,
          class Base = TileCopy<Config, Config::block_k*(Columns / Slab::width), Slab::width, RowPattern::consecutive>>
struct SlabCopy : Base {
  static constexpr int k_rows = Base::row_step < Config::block_k ? Config::block_k / Base::row_step : 1;
  static constexpr int slabs_at_once = Base::row_step > Config::block_k ? Base::row_step / Config::block_k : 1;
  static_assert(Columns % Slab::width == 0);

  /// Of iteration i: the row of the k-block, one of k_rows, and the column, both beyond iteration 0's.
  static MOE_DEVICE constexpr int k_row(int i) { return i % k_rows * Base::row_step; }
  static MOE_DEVICE constexpr int column(int i) { return i / k_rows * slabs_at_once * Slab::width; }
  static MOE_DEVICE int first_k_row() { return Base::row(0) % Config::block_k; }
  static MOE_DEVICE int first_column() { return Base::row(0) / Config::block_k * Slab::width + Base::chunk() * 8; }
};

/// The consumer's half: fragments from one stage, and the MMAs on them. An operand lies in the stage as rows or columns of
/// BLOCK_K, or as slabs where its rows run along K.
template <class Config, DType Type, bool ARowsAreK, bool BRowsAreK>
class Sm80Multiply {
  using ALayout = Swizzle<Config::block_k, RowPattern::consecutive>;
  using BLayout = Swizzle<Config::block_k, RowPattern::spread>;
  using Slab = Slabs<Config::block_k>;
  static_assert(!ARowsAreK || Config::warps_m == 1 || Config::warps_m % 2 == 0,
                "16 rows lie in the same half of a slab for all of a warp's tiles, or it has all rows");

 public:
  static constexpr DType type = Type;
  static constexpr bool columns_in_order = BRowsAreK;

  struct Fragments {
    u32 a[Config::m_frags][4];
    u32 b[Config::n_groups][2][4];  // two n8 tiles each: {tile 2p k-low, 2p k-high, 2p + 1 k-low, 2p + 1 k-high}
  };

  MOE_DEVICE Sm80Multiply() {
    const u32 lane = ptx::lane_index();
    const u32 matrix = lane / 8;
    const u32 r = lane % 8;
    const u32 warp_row = static_cast<u32>(warp_m()) * 16;
    a_offset_ = ARowsAreK ? Slab::offset(warp_row + (matrix & 1u) * 8, r + (matrix >> 1) * 8)
                          : ALayout::offset(warp_row + r + (matrix & 1u) * 8, matrix >> 1);
    b_offset_ = Config::a_stage_bytes +
                (BRowsAreK ? Slab::offset(warp_column() + (matrix >> 1) * 8, r + (matrix & 1u) * 8)
                           : BLayout::offset(warp_column() + (r >> 1) * 8 + (matrix >> 1) * 2 + (r & 1u), matrix & 1u));
  }

  /// Where in the tile a row of this warp lies. Warps take 16 rows in turn, so that a tail tile leaves each about as many.
  static MOE_DEVICE int tile_row(int row) { return (row / 16 * Config::warps_m + warp_m()) * 16 + row % 16; }
  /// Of the first `rows` rows of the tile, those from this warp's first one on.
  static MOE_DEVICE int rows_left(int rows) { return rows - warp_m() * 16; }
  static MOE_DEVICE u32 warp_column() { return ptx::thread_index() / 32 % Config::warps_n * Config::warp_n; }

  /// The fragments of one MMA step.
  MOE_DEVICE void load(Fragments& fragments, u32 stage_address, int k_step) const {
    load_a(fragments, stage_address + a_offset_, k_step);
    load_b(fragments, stage_address + b_offset_, k_step);
  }

  /// The products of all 16-row tiles (Full), or of those but the last that have some of rows_left().
  template <bool Full>
  MOE_DEVICE void multiply(Accumulators<Config>& acc, const Fragments& f, int rows_left) const {
    MOE_UNROLL
    for (int m = 0; m < (Full ? Config::m_frags : Config::m_frags - 1); ++m) {
      if (Full || m * Config::warps_m * 16 < rows_left) multiply_rows(acc, f, m);
    }
  }

 private:
  static MOE_DEVICE int warp_m() { return static_cast<int>(ptx::thread_index()) / 32 / Config::warps_n; }

  // Stages are 1024-byte aligned, so the XOR of a k_step may follow the addition.
  static MOE_DEVICE void load_a(Fragments& fragments, u32 a, int k_step) {
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      const int rows = m * Config::warps_m * 16;
      if constexpr (ARowsAreK) {
        Slab::load(fragments.a[m], a, rows, k_step);
      } else {
        ptx::ldmatrix_x4(fragments.a[m], (a ^ static_cast<u32>(k_step * 32)) + static_cast<u32>(rows) * ALayout::row_bytes);
      }
    }
  }

  static MOE_DEVICE void load_b(Fragments& fragments, u32 b, int k_step) {
    MOE_UNROLL
    for (int i = 0; i < 2 * Config::n_groups; ++i) {
      if constexpr (BRowsAreK) {
        Slab::load(fragments.b[i / 2][i % 2], b, i * 16, k_step);
      } else {
        const u32 columns = static_cast<u32>(i / 2 * 32 + i % 2 * 4) * BLayout::row_bytes;
        ptx::ldmatrix_x4(fragments.b[i / 2][i % 2], (b ^ static_cast<u32>(k_step * 32)) + columns);
      }
    }
  }

  MOE_DEVICE void multiply_rows(Accumulators<Config>& acc, const Fragments& f, int m) const {
    MOE_UNROLL
    for (int n = 0; n < Config::n_groups; ++n) {
      MOE_UNROLL
      for (int j = 0; j < 4; ++j) {
        ptx::mma_m16n8k16<Type>(acc.v[m][n][j], f.a[m], f.b[n][j / 2][j % 2 * 2], f.b[n][j / 2][j % 2 * 2 + 1]);
      }
    }
  }

  u32 a_offset_;
  u32 b_offset_;
};

/// The pipeline of one block over all its tiles. Producer: copy<Part, Parts>(stage_address) issues that part of the copies of its
/// next k-block; advance() moves on to the k-block after it, also when there is none left.
template <class Config, class Multiply, class Producer>
class Sm80Pipeline {
 public:
  /// Fills the ring and reads the first fragments; `ring` is its shared address. Every thread of the block calls it.
  MOE_DEVICE Sm80Pipeline(u32 ring, Producer& producer)
      : producer_(producer), ring_(ring), ring_end_(ring + Config::ring_bytes), stage_(ring), fill_(ring) {
    for (int stage = 0; stage < Config::stages - 1; ++stage) {
      producer_.template copy<0, 1>(fill_);
      finish_copies();
    }
    ptx::cp_async_wait<Config::stages - 2>();
    ptx::block_barrier();
    multiply_.load(fragments_[0], stage_, 0);
  }

  /// The products of the block's next tile, of which the first `rows` rows exist: the next `k_blocks` k-blocks, or none. Every
  /// thread of the block calls it.
  MOE_DEVICE void run_tile(Accumulators<Config>& acc, int rows, int k_blocks) {
    acc.clear();
    // The same for all warps of the block: they meet in the loop. As a vote, or the compiler spills registers of large tiles.
    if (ptx::warp_any(rows > (Config::m_frags - 1) * Config::warps_m * 16)) {
      run<true>(acc, rows, k_blocks);
    } else {
      run<false>(acc, Multiply::rows_left(rows), k_blocks);
    }
  }

 private:
  template <bool Full>
  MOE_DEVICE void run(Accumulators<Config>& acc, int rows_left, int k_blocks) {
    MOE_NO_UNROLL
    for (int k_block = 0; k_block < k_blocks; ++k_block) steps<Full, 0>(acc, rows_left);
  }

  /// One k-block, MMA step by MMA step.
  template <bool Full, int Step>
  MOE_DEVICE void steps(Accumulators<Config>& acc, int rows_left) {
    constexpr int next = (Step + 1) % Config::k_steps;
    if constexpr (next == 0) {
      finish_copies();
      ptx::cp_async_wait<Config::stages - 2>();
      ptx::block_barrier();
      stage_ = stage_ + Config::stage_bytes == ring_end_ ? ring_ : stage_ + Config::stage_bytes;
    }
    if constexpr (Step < Config::copy_steps) producer_.template copy<Step, Config::copy_steps>(fill_);
    multiply_.load(fragments_[(Step + 1) % 2], stage_, next);
    multiply_.template multiply<Full>(acc, fragments_[Step % 2], rows_left);
    if constexpr (next != 0) steps<Full, Step + 1>(acc, rows_left);
  }

  MOE_DEVICE void finish_copies() {
    ptx::cp_async_commit();
    producer_.advance();
    fill_ = fill_ + Config::stage_bytes == ring_end_ ? ring_ : fill_ + Config::stage_bytes;
  }

  Producer& producer_;
  const Multiply multiply_;
  typename Multiply::Fragments fragments_[2];
  const u32 ring_;
  const u32 ring_end_;
  u32 stage_;  // the stage that is multiplied
  u32 fill_;   // the stage that is filled, STAGES - 1 ahead
};

}  // namespace moe_tune
