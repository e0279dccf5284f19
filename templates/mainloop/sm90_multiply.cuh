// The products of a tile of the sm90 family: a consumer warpgroup multiplies what lies in the ring into float32 accumulators.
// archs: sm_90a
//
// One group of products is always in flight: while k-block i is multiplied, its successor is waited for and issued; then i is
// done and its stage is free.
#pragma once

#include "mainloop/ring.cuh"
#include "mainloop/sm90_config.cuh"
#include "ptx/cluster.cuh"
#include "ptx/fence.cuh"
#include "ptx/sync.cuh"
#include "ptx/wgmma.cuh"

namespace moe_tune {

/// Of a consumer's part of a tile: blocks of 64 rows of the M side, times the other side; ptx/wgmma.cuh has the layout.
template <class Config>
struct Sm90Accumulators {
  float v[Config::m_blocks][Config::mma_n / 2];
};

/// `WrittenByThreads`: part of a stage is not copied by TMA.
template <class Config, DType Type, int K, bool SwiGlu, bool WrittenByThreads>
class Sm90Multiply {
  using Barriers = RingBarriers<Config::stages>;
  using Accumulators = Sm90Accumulators<Config>;

 public:
  static constexpr u32 k_blocks = Config::k_blocks(K);

  MOE_DEVICE Sm90Multiply(u32 stages, Barriers barriers, u32 consumer) : barriers_(barriers) {
    const u32 part = Config::ping_pong ? 0 : consumer;
    constexpr u32 blocks = SwiGlu && Config::swapped ? Config::m_blocks / 2 : Config::m_blocks;
    const u32 offset = part * blocks * block_bytes;
    a_ = stages + (Config::swapped ? 0 : Config::x_offset) + offset;
    b_ = stages + (Config::swapped ? Config::x_offset : 0);
  }

  /// Computes a tile's products with the first MBlocks of the consumer's blocks and N rows of the other operand; the other
  /// accumulators are 0. `issued` is called when all products are on their way, before they are done. With SwiGLU and weights on
  /// the M side the first half of the blocks are gate rows, the others the up rows that belong to them.
  template <int MBlocks, int N, class Issued>
  MOE_DEVICE void run(Accumulators& acc, const Issued& issued) {
    // Sums begin at zero rather than with a peeled first step, which would double the code and the time to compile it.
    MOE_UNROLL
    for (auto& block : acc.v) {
      MOE_UNROLL
      for (float& sum : block) sum = 0.0f;
    }
    u32 previous = 0;
    MOE_NO_UNROLL
    for (u32 k_block = 0; k_block < k_blocks; ++k_block) {
      wait_full();
      start<MBlocks, N>(acc);
      if (k_block > 0) {
        ptx::warpgroup_wait<1>();
        release(previous);
      }
      previous = position_.stage;
      position_.advance();
    }
    issued();
    ptx::warpgroup_wait<0>();
    MOE_UNROLL
    for (int m = 0; m < MBlocks; ++m) ptx::keep_registers(first<N / 2>(acc.v[m]));
    release(previous);
  }

  /// Passes a tile on that has no rows for this consumer.
  MOE_DEVICE void run_nothing() {
    MOE_NO_UNROLL
    for (u32 k_block = 0; k_block < k_blocks; ++k_block) {
      wait_full();
      ptx::warp_barrier();  // every lane has seen the stage full before one passes it on
      release(position_.stage);
      position_.advance();
    }
  }

  /// Leaves a tile to the other consumer.
  MOE_DEVICE void skip() { position_.skip(k_blocks); }

 private:
  static constexpr u32 block_bytes = 64 * sm90_row_bytes;
  static constexpr u32 a_slice_bytes = Config::swapped ? Config::w_slice_bytes : Config::x_slice_bytes;
  static constexpr u32 b_slice_bytes = Config::swapped ? Config::x_slice_bytes : Config::w_slice_bytes;

  /// From the consumer's first block to its m-th.
  static MOE_DEVICE constexpr u32 block_offset(int m) {
    constexpr int half = Config::m_blocks / 2;
    if (!SwiGlu || !Config::swapped || m < half) return static_cast<u32>(m) * block_bytes;
    return static_cast<u32>(m - half) * block_bytes + Config::block_n / 2 * sm90_row_bytes;
  }

  template <int Count, int Size>
  static MOE_DEVICE float (&first(float (&sums)[Size]))[Count] {
    static_assert(Count <= Size);
    return reinterpret_cast<float(&)[Count]>(sums);
  }

  MOE_DEVICE void wait_full() const {
    barriers_.wait_full(position_);
    if constexpr (WrittenByThreads) ptx::fence_async_shared();
  }

  MOE_DEVICE void release(u32 stage) const {
    if constexpr (Config::cluster == 1) {
      if (ptx::lane_index() == 0) ptx::mbarrier_arrive(barriers_.empty(stage));
    } else {
      const u32 lane = ptx::lane_index();
      if (lane < Config::cluster) ptx::mbarrier_arrive_cluster_relaxed(ptx::map_to_rank(barriers_.empty(stage), lane));
    }
  }

  /// Issues the products of the current stage.
  template <int MBlocks, int N>
  MOE_DEVICE void start(Accumulators& acc) const {
    const u32 stage = position_.stage * Config::stage_bytes;
    const u64 a = ptx::matrix_descriptor<ptx::SwizzleMode::b128>(a_ + stage, 0, 8 * sm90_row_bytes);
    const u64 b = ptx::matrix_descriptor<ptx::SwizzleMode::b128>(b_ + stage, 0, 8 * sm90_row_bytes);
    ptx::warpgroup_fence();
    MOE_UNROLL
    for (int slice = 0; slice < Config::k_slices; ++slice) {
      MOE_UNROLL
      for (int k = 0; k < sm90_k / 16; ++k) {
        MOE_UNROLL
        for (int m = 0; m < MBlocks; ++m) {
          ptx::wgmma<Type, N>(first<N / 2>(acc.v[m]),
                              ptx::advance_descriptor(a, slice * a_slice_bytes + block_offset(m) + k * 32),
                              ptx::advance_descriptor(b, slice * b_slice_bytes + k * 32), true);
        }
      }
    }
    ptx::warpgroup_commit();
  }

  Barriers barriers_;
  u32 a_;
  u32 b_;
  typename Barriers::Position position_;
};

}  // namespace moe_tune
