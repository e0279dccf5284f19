// What the hidden states get from a router's logits: d_logits . weight, accumulated in float32, rounded once.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block makes 128 tokens x 128 columns by the sm80 family's pipeline (mainloop/sm80_multistage.cuh); the reduction runs over
// the experts, along the rows of the weight. With up to 128 experts the ring holds all of a tile's operands. Neighbouring blocks
// have the same tokens, so whole rows are written at about the same time.
#pragma once

#include "abi/router_gradient.cuh"
#include "epilogue/row_chunks.cuh"
#include "mainloop/matrix_operands.cuh"
#include "schedule/router_problem.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <class Problem>
class RouterGradientHidden {
  static constexpr int E = Problem::E;
  static constexpr int H = Problem::H;
  static constexpr int logits_columns = (E + 7) / 8 * 8;
  using Config = Sm80Config<abi::router_gradient_tile_tokens, abi::router_gradient_tile_columns, /*BlockK*/ 32, /*WarpsM*/ 4,
                            /*WarpsN*/ 2, /*Stages*/ 4, /*CtasPerSm*/ 2>;
  using Multiply = Sm80Multiply<Config, Problem::type, /*ARowsAreK*/ false, /*BRowsAreK*/ true>;
  using Chunks = RowChunks<Config, Multiply>;
  using Logits = TileOperand<Config, Config::block_m, static_cast<i64>(logits_columns) * 2>;
  using Weight = SlabOperand<Config, Config::block_n, static_cast<i64>(H) * 2>;
  using Producer = MatrixProducer<Config, Logits, Weight>;
  static constexpr int column_tiles = (H + Config::block_n - 1) / Config::block_n;
  static_assert(Config::threads == abi::router_gradient_threads);

 public:
  static constexpr int shared_bytes = Config::ring_bytes;

  static MOE_DEVICE void run(const abi::RouterGradientArgs& args) {
    const int tile = static_cast<int>(ptx::block_index());
    const int token = tile / column_tiles * Config::block_m;
    const int column = tile % column_tiles * Config::block_n;
    const int tokens = count_tokens(args.token_count, args.tokens, args.status);
    if (token >= tokens) return;
    Producer producer(Logits(args.d_logits, token, tokens - token, logits_columns),
                      Weight(args.weight, 0, E, column, H - column));
    Sm80Pipeline<Config, Multiply, Producer> pipeline(ptx::shared_base(), producer);
    Accumulators<Config> acc;
    pipeline.run_tile(acc, tokens - token, Config::k_blocks(E));
    store(args, acc, token, tokens, column);
  }

 private:
  static MOE_DEVICE void store(const abi::RouterGradientArgs& args, const Accumulators<Config>& acc, int token, int tokens,
                               int column) {
    const int first = column + Chunks::column();
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int row = token + Multiply::tile_row(Chunks::row(m, half));
        char* const target = static_cast<char*>(args.d_hidden_states) + (static_cast<i64>(row) * H + first) * 2;
        Chunks::store(acc.v[m], half, 1.0f, target, row < tokens ? H - first : 0);
      }
    }
  }
};

}  // namespace moe_tune
