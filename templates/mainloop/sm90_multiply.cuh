// The products of a tile of the sm90 family: a consumer warpgroup multiplies what lies in the ring into float32 accumulators.
// archs: sm_90a
//
// One group of products is always in flight: while k-block i is multiplied, its successor is waited for and issued; then i is
// done and its stage is free.
#pragma once

#include "mainloop/ring.cuh"
#include "mainloop/sm90_operand.cuh"
#include "ptx/cluster.cuh"
#include "ptx/fence.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

/// Of a consumer's part of a tile: blocks of 64 rows of the M side, times the other side; ptx/wgmma.cuh has the layout.
template <class Config>
struct Sm90Accumulators {
  float v[Config::m_blocks][Config::mma_n / 2];
};

/// Operands: RowsOperands or WeightOperands. `WrittenByThreads`: part of a stage is not copied by TMA.
template <class Operands, class Config, bool WrittenByThreads>
class Sm90Multiply {
  using Barriers = RingBarriers<Config::stages>;
  using Accumulators = Sm90Accumulators<Config>;
  using A = typename Operands::A;
  using B = typename Operands::B;

 public:
  MOE_DEVICE Sm90Multiply(u32 stages, Barriers barriers, u32 consumer) : barriers_(barriers) {
    const u32 part = Config::ping_pong ? 0 : consumer;
    constexpr int blocks = Operands::pairs ? Config::m_blocks / 2 : Config::m_blocks;
    a_ = stages + Operands::a_offset + part * A::block_offset(blocks);
    b_ = stages + Operands::b_offset;
  }

  /// Computes the products of a tile of `k_blocks` with the first MBlocks of the consumer's blocks and N rows of the other
  /// operand; the other accumulators are 0. `issued` is called when all products are on their way, before they are done. With
  /// SwiGLU and weights on the M side the first half of the blocks are gate rows, the others the up rows that belong to them.
  template <int MBlocks, int N, class Issued>
  MOE_DEVICE void run(Accumulators& acc, u32 k_blocks, const Issued& issued) {
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
    if (k_blocks > 0) release(previous);
  }

  /// Passes a tile on that has no rows for this consumer.
  MOE_DEVICE void run_nothing(u32 k_blocks) {
    MOE_NO_UNROLL
    for (u32 k_block = 0; k_block < k_blocks; ++k_block) {
      wait_full();
      ptx::warp_barrier();  // every lane has seen the stage full before one passes it on
      release(position_.stage);
      position_.advance();
    }
  }

  /// Leaves a tile to the other consumer.
  MOE_DEVICE void skip(u32 k_blocks) { position_.skip(k_blocks); }

 private:
  /// From the consumer's first block to its m-th: up rows lie half a tile behind the gate rows that they belong to.
  static MOE_DEVICE constexpr u32 block_offset(int m) {
    constexpr int half = Config::m_blocks / 2;
    return !Operands::pairs || m < half ? A::block_offset(m) : A::block_offset(m - half) + Config::block_n / 2 * sm90_row_bytes;
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
    const u64 a = A::descriptor(a_ + stage);
    const u64 b = B::descriptor(b_ + stage);
    ptx::warpgroup_fence();
    MOE_UNROLL
    for (int step = 0; step < Config::block_k / 16; ++step) {
      MOE_UNROLL
      for (int m = 0; m < MBlocks; ++m) {
        ptx::wgmma<Operands::type, N, A::major, B::major>(first<N / 2>(acc.v[m]),
                                                          ptx::advance_descriptor(a, block_offset(m) + A::step_offset(step)),
                                                          ptx::advance_descriptor(b, B::step_offset(step)), true);
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
