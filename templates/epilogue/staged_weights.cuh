// The epilogue of dW of the sm90 family: accumulators, rounded once, through shared memory to a tile of dW.
// archs: sm_90a
//
// With few rows per expert storing is most of the work: so each consumer has buffers of its own, two where they fit, and a whole
// column block leaves by one box.
#pragma once

#include "abi/weights_sm90.cuh"
#include "epilogue/staging.cuh"
#include "ptx/tma.cuh"
#include "schedule/weight_tiles.cuh"

namespace moe_tune {

template <class Problem, class Config, int Buffers>
class StagedWeights : public Staging<Problem::type, Config, /*Shared*/ false> {
  using Base = Staging<Problem::type, Config, false>;
  using typename Base::Accumulators;

 public:
  MOE_DEVICE StagedWeights(const abi::WeightsSm90Args& args, u32 staging) : Base(staging, 0), args_(args) {}

  /// Rounds and stores the consumer's part of a tile; TMA clips what lies past N and K. `turn` counts its tiles from 0.
  MOE_DEVICE void store(const Accumulators& acc, const WeightTile& tile, u32 turn) const {
    const int n =
        tile.tile_n * Config::block_m + (Config::ping_pong ? 0 : static_cast<int>(Base::consumer()) * Config::store_rows);
    MOE_UNROLL
    for (int block = 0; block < Base::blocks; ++block) {
      const u32 buffer = (turn * Base::blocks + block) % Buffers;
      this->template stage<Buffers>(acc, block, Config::store_rows, true, buffer);
      const int k = tile.tile_k * Config::block_n + block * 64;
      if (!Base::leads()) continue;
      if (n < Problem::N && k < Problem::K) ptx::tma_store_3d(&args_.w, this->buffer_address(buffer), k, n, tile.expert);
      ptx::bulk_commit();  // also of nothing: a group for each block
    }
  }

 private:
  const abi::WeightsSm90Args& args_;
};

}  // namespace moe_tune
