// The logits of a router where there are many tokens: hidden_states . weight^T, accumulated in float32, rounded once.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block makes 64 tokens x up to 128 experts by the sm80 family's pipeline (mainloop/sm80_multistage.cuh). The experts of most
// models are one tile, so a token's row is read once.
#pragma once

#include "abi/router.cuh"
#include "epilogue/row_chunks.cuh"
#include "mainloop/sm80_multistage.cuh"
#include "schedule/router_problem.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

/// Copies k-block after k-block of a tile's tokens and experts; zeros for those that are not there and past H.
template <class Problem, class Config>
class RouterProducer {
  using ACopy = TileCopy<Config, Config::block_m, Config::block_k, RowPattern::consecutive>;
  using BCopy = TileCopy<Config, Config::block_n, Config::block_k, RowPattern::spread>;
  static constexpr i64 row_bytes = static_cast<i64>(Problem::H) * 2;

 public:
  MOE_DEVICE RouterProducer(const abi::RouterArgs& args, int token, int tokens, int expert)
      : x_(first_chunk(args.hidden_states, token + ACopy::row(0))),
        w_(first_chunk(args.weight, expert + BCopy::row(0))),
        tokens_left_(tokens - token),
        experts_left_(Problem::E - expert),
        columns_left_(Problem::H - ACopy::chunk() * 8) {}

  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 stage_address) const {
    MOE_UNROLL
    for (int i = Part; i < ACopy::iterations; i += Parts) {
      if (!ACopy::inside(i)) continue;
      ptx::cp_async_16<0>(ACopy::address(stage_address + ACopy::first_offset(), i),
                          x_ + static_cast<u64>(i * ACopy::row_step * row_bytes),
                          columns_left_ > 0 && ACopy::row(i) < tokens_left_);
    }
    MOE_UNROLL
    for (int i = Part; i < BCopy::iterations; i += Parts) {
      if (!BCopy::inside(i)) continue;
      ptx::cp_async_16<0>(BCopy::address(stage_address + Config::a_stage_bytes + BCopy::first_offset(), i),
                          w_ + static_cast<u64>(i * BCopy::row_step * row_bytes),
                          columns_left_ > 0 && BCopy::row(i) < experts_left_);
    }
  }

  MOE_DEVICE void advance() {
    x_ += Config::block_k * 2;
    w_ += Config::block_k * 2;
    columns_left_ -= Config::block_k;
  }

 private:
  static MOE_DEVICE u64 first_chunk(const void* rows, int row) {
    return reinterpret_cast<u64>(rows) + static_cast<u64>(row * row_bytes + ACopy::chunk() * 16);
  }

  u64 x_;
  u64 w_;
  const int tokens_left_;
  const int experts_left_;
  int columns_left_;  // from this thread's chunk of the k-block on
};

template <class Problem>
class RouterLogits {
  // A warp makes 32 experts.
  static constexpr int block_n = Problem::E <= 32 ? 32 : Problem::E <= 64 ? 64 : 128;
  static constexpr int warps_n = block_n / 32;
  using Config = Sm80Config<abi::router_tile_tokens, block_n, /*BlockK*/ 64, /*WarpsM*/ warps_n == 4 ? 2 : 4, warps_n,
                            /*Stages*/ 4, /*CtasPerSm*/ 1>;
  using Multiply = Sm80Multiply<Config, Problem::type, /*ARowsAreK*/ false, /*BRowsAreK*/ false>;
  using Chunks = RowChunks<Config, Multiply>;
  using Producer = RouterProducer<Problem, Config>;

 public:
  static constexpr int threads = Config::threads;
  static constexpr int shared_bytes = Config::ring_bytes;
  static constexpr int expert_tiles = (Problem::E + block_n - 1) / block_n;

  static MOE_DEVICE void run(const abi::RouterArgs& args) {
    const int tile = static_cast<int>(ptx::block_index());
    const int token = tile / expert_tiles * Config::block_m;
    const int expert = tile % expert_tiles * Config::block_n;
    const int tokens = count_tokens(args.token_count, args.tokens, args.status);
    if (token >= tokens) return;
    Producer producer(args, token, tokens, expert);
    Sm80Pipeline<Config, Multiply, Producer> pipeline(ptx::shared_base(), producer);
    Accumulators<Config> acc;
    pipeline.run_tile(acc, tokens - token, Config::k_blocks(Problem::H));
    store(args, acc, token, tokens, expert);
  }

 private:
  static MOE_DEVICE void store(const abi::RouterArgs& args, const Accumulators<Config>& acc, int token, int tokens, int expert) {
    const int column = expert + Chunks::column();
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int row = token + Multiply::tile_row(Chunks::row(m, half));
        if (row >= tokens) continue;
        u16* const logits = static_cast<u16*>(args.router_logits) + static_cast<i64>(row) * Problem::E + column;
        if constexpr (Problem::E % 8 == 0) {
          Chunks::store(acc.v[m], half, 1.0f, reinterpret_cast<char*>(logits), Problem::E - column);
        } else {
          store_elements(acc.v[m], half, logits, Problem::E - column);
        }
      }
    }
  }

  /// Of rows that are no multiple of 16 bytes.
  static MOE_DEVICE void store_elements(const float (&groups)[Config::n_groups][4][4], int half, u16* logits, int columns_left) {
    MOE_UNROLL
    for (int n = 0; n < Config::n_groups; ++n) {
      MOE_UNROLL
      for (int j = 0; j < 4; ++j) {
        const u32 pair = ptx::pack<Problem::type>(groups[n][j][half * 2], groups[n][j][half * 2 + 1]);
        const int first = n * 32 + j * 2;
        if (first < columns_left) ptx::store(logits + first, static_cast<u16>(pair));
        if (first + 1 < columns_left) ptx::store(logits + first + 1, static_cast<u16>(pair >> 16));
      }
    }
  }
};

}  // namespace moe_tune
