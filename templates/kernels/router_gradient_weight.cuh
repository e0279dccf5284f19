// What a router's weight gets from its logits: d_logits^T . hidden_states, partial sums in float32.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block makes up to 128 experts x 128 columns over a slice of the tokens, by the sm80 family's pipeline. Both operands lie in
// the ring as they lie in memory, tokens along the reduction; those past the last token are zeros. With few experts a tile is
// lower, so that the ring is what is read.
#pragma once

#include "abi/router_gradient.cuh"
#include "epilogue/row_chunks.cuh"
#include "mainloop/matrix_operands.cuh"
#include "schedule/router_problem.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <class Problem>
class RouterGradientWeight {
  static constexpr int E = Problem::E;
  static constexpr int H = Problem::H;
  static constexpr int logits_columns = (E + 7) / 8 * 8;
  static constexpr int block_m = E <= 32 ? 32 : E <= 64 ? 64 : 128;
  using Config = Sm80Config<block_m, abi::router_gradient_tile_columns, /*BlockK*/ 32, /*WarpsM*/ 2, /*WarpsN*/ 4, /*Stages*/ 6,
                            /*CtasPerSm*/ 1>;
  using Multiply = Sm80Multiply<Config, Problem::type, /*ARowsAreK*/ true, /*BRowsAreK*/ true>;
  using Chunks = RowChunks<Config, Multiply>;
  using Logits = SlabOperand<Config, Config::block_m, static_cast<i64>(logits_columns) * 2>;
  using Hidden = SlabOperand<Config, Config::block_n, static_cast<i64>(H) * 2>;
  using Producer = MatrixProducer<Config, Logits, Hidden>;
  static constexpr int expert_tiles = (E + Config::block_m - 1) / Config::block_m;
  static constexpr int column_tiles = (H + Config::block_n - 1) / Config::block_n;
  static constexpr int tiles = expert_tiles * column_tiles;
  static_assert(Config::threads == abi::router_gradient_threads);

 public:
  static constexpr int shared_bytes = Config::ring_bytes;

  static MOE_DEVICE void run(const abi::RouterGradientArgs& args) {
    const int split = static_cast<int>(ptx::block_index()) / tiles;
    const int tile = static_cast<int>(ptx::block_index()) % tiles;
    const int expert = tile / column_tiles * Config::block_m;
    const int column = tile % column_tiles * Config::block_n;
    const int token = split * args.split_tokens;
    const int left = count_tokens(args.token_count, args.tokens, args.status) - token;
    const int tokens = left < args.split_tokens ? left : args.split_tokens;
    if (tokens <= 0) return;  // nobody reads this sum
    Producer producer(Logits(args.d_logits, token, tokens, expert, logits_columns - expert),
                      Hidden(args.hidden_states, token, tokens, column, H - column));
    Sm80Pipeline<Config, Multiply, Producer> pipeline(ptx::shared_base(), producer);
    Accumulators<Config> acc;
    pipeline.run_tile(acc, E - expert, Config::k_blocks(tokens));
    store(args, acc, split, expert, column);
  }

 private:
  static MOE_DEVICE void store(const abi::RouterGradientArgs& args, const Accumulators<Config>& acc, int split, int expert,
                               int column) {
    const int first = column + Chunks::pair_column();
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int row = expert + Multiply::tile_row(Chunks::row(m, half));
        float* const target = args.d_weight_sums + (static_cast<i64>(split) * E + row) * H + first;
        Chunks::template store_float32<false>(acc.v[m], half, reinterpret_cast<char*>(target), row < E ? H - first : 0);
      }
    }
  }
};

}  // namespace moe_tune
