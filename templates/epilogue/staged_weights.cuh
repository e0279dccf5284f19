// The epilogue of dW of the sm90 family: accumulators, rounded once, through shared memory to a tile of dW.
// archs: sm_90a
#pragma once

#include "abi/weights_sm90.cuh"
#include "epilogue/staging.cuh"
#include "ptx/tma.cuh"
#include "schedule/weight_tiles.cuh"

namespace moe_tune {

template <class Problem, class Config>
class StagedWeights : public Staging<Problem::type, Config> {
  using Base = Staging<Problem::type, Config>;
  using typename Base::Accumulators;

 public:
  MOE_DEVICE StagedWeights(const abi::WeightsSm90Args& args, u32 staging, u32 turn_barriers)
      : Base(staging, turn_barriers), args_(args) {}

  /// Rounds and stores the consumer's part of a tile; TMA clips what lies past N and K. `turn` counts its tiles from 0.
  MOE_DEVICE void store(const Accumulators& acc, const WeightTile& tile, u32 turn) const {
    this->wait_turn(turn);
    const int n =
        tile.tile_n * Config::block_m + (Config::ping_pong ? 0 : static_cast<int>(Base::consumer()) * Config::store_rows);
    MOE_UNROLL
    for (int block = 0; block < Base::blocks; ++block) {
      this->stage(acc, block, Config::store_rows, true);
      const int k = tile.tile_k * Config::block_n + block * 64;
      if (Base::leads() && k < Problem::K) store_by_tma(tile.expert, n, k);
    }
    this->pass_turn(false);
  }

 private:
  /// By one thread.
  MOE_DEVICE void store_by_tma(int expert, int n, int k) const {
    for (int row = 0; row < Config::store_rows && n + row < Problem::N; row += Base::box_rows) {
      ptx::tma_store_3d(&args_.w, this->row_address(row), k, n + row, expert);
      Base::commit();
    }
  }

  const abi::WeightsSm90Args& args_;
};

}  // namespace moe_tune
