// A grouped GEMM as a kernel sees it: everything that is fixed at compile time, and nothing that is not.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "moe_tune/export.hpp"

namespace moe_tune {

enum class DType { bf16, fp16 };
enum class Op { forward, dX, dW };
/// Which of a block's two GEMMs this is. It is part of the tuning key (the two want different configs), not of the kernel.
enum class Gemm { gate_up, down };

/// Rows sorted by expert, expert e owning m_sizes[e] consecutive rows, times that expert's weight W[e], W of shape [E, N, K]
/// row-major, accumulated in float32, stored as `dtype`. gather_indices[r] is the routed slot (token * top_k + choice) that
/// stands at sorted row r.
///   forward   Y[dst(r), :]  = X[src(r), :] . W[e]^T
///   dX        dX[src(r), :] = dY[dst(r), :] . W[e]
///   dW        dW[e] = the sum over the rows r of expert e of dY[dst(r), :]^T . X[src(r), :], zeros for an expert without rows;
///             with accumulate dW[e] += that sum, and an expert without rows keeps its bits
/// dX and dW are the gradients of the forward GEMM with the same N, K and permutations.
struct Problem {
  Op op = Op::forward;
  Gemm gemm = Gemm::gate_up;
  DType dtype = DType::bf16;
  int E = 0;                   ///< experts whose weights this process holds
  int N = 0;                   ///< columns of Y; a multiple of 8
  int K = 0;                   ///< columns of X; a multiple of 8
  int top_k = 1;               ///< experts per token: a routed slot is token * top_k + choice
  bool permute_x = false;      ///< X is (T, K) in token order: src(r) = gather_indices[r] / top_k. dX is (M, K) in slot order
                               ///< then, src(r) = gather_indices[r]: the rows of a token are yet to be summed
  bool permute_y = false;      ///< Y and dY are (M, N) in slot order: dst(r) = gather_indices[r]
  bool fuse_mul_post = false;  ///< the stored row is scaled by topk_weights[slot] in float32; needs permute_y
  bool fuse_mul_pre = false;   ///< the accumulated row is scaled by topk_weights[slot] in float32, before SwiGLU; needs permute_x
  bool fuse_swiglu = false;    ///< Y is (M, N / 2): silu(gate) * up of the products; W[e] has N / 2 gate rows, then N / 2 up rows
  bool keep_pre_activation = false;  ///< the products, (M, N), are stored as well; needs fuse_swiglu
  bool float32_dw = false;           ///< dW is float32 and not rounded, whatever `dtype`
  bool accumulate = false;           ///< the sum is added to dW in float32 before it is rounded, once; subnormals of a
                                     ///< float32 dW may count as zeros

  auto operator<=>(const Problem&) const = default;
};

/// One yes or no of a problem, for everything that reads or prints them all.
struct ProblemFlag {
  std::string_view name;    ///< e.g. "fuse_swiglu"
  std::string_view fusion;  ///< its name among fusions, e.g. "swiglu"; empty for a permutation
  bool Problem::*member;
  Op op = Op::forward;  ///< that a fusion belongs to
};

/// permute_x, permute_y and the fusions, in the order of the members.
MOE_TUNE_API std::span<const ProblemFlag> problem_flags();

/// Throws UsageError naming the field, its value and what is allowed.
MOE_TUNE_API void validate(const Problem& problem);

MOE_TUNE_API std::string_view to_string(DType dtype);
MOE_TUNE_API std::string_view to_string(Op op);
MOE_TUNE_API std::string_view to_string(Gemm gemm);
/// Parse the spelling that to_string prints; throws UsageError listing the allowed ones.
MOE_TUNE_API DType parse_dtype(std::string_view text);
MOE_TUNE_API Op parse_op(std::string_view text);
MOE_TUNE_API Gemm parse_gemm(std::string_view text);
/// The flag of a fusion by its name among fusions: mul_post, mul_pre, swiglu, keep_pre_activation, float32_dw, accumulate.
MOE_TUNE_API bool Problem::*parse_fusion(std::string_view text);

/// One line for people, e.g. "forward gate_up bf16 E=128 N=1536 K=2048 top_k=8 permute_x".
MOE_TUNE_API std::string describe(const Problem& problem);

/// Columns of what forward and dX store.
constexpr int output_columns(const Problem& problem) {
  return problem.op == Op::dX ? problem.K : problem.fuse_swiglu ? problem.N / 2 : problem.N;
}

/// Bytes of one element of X, W and Y.
constexpr int element_bytes(DType) { return 2; }

/// Bytes of one element of W, or of dW where that is what is written.
constexpr int weight_element_bytes(const Problem& problem) { return problem.float32_dw ? 4 : element_bytes(problem.dtype); }

/// Whether a call without rows writes something: zeros.
constexpr bool writes_without_rows(const Problem& problem) { return problem.op == Op::dW && !problem.accumulate; }

}  // namespace moe_tune
