#include "moe_tune/problem.hpp"

#include <fmt/format.h>

#include <cstddef>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

// Larger than any model in sight, small enough that every product of two of these fits 64 bits with room to spare.
constexpr int max_experts = 4096;
constexpr int max_columns = 1 << 20;
constexpr int max_top_k = 64;

void require_range(std::string_view field, int value, int low, int high) {
  if (value < low || value > high) {
    throw UsageError(fmt::format("problem: {} = {} is outside [{}, {}]", field, value, low, high));
  }
}

void require_multiple_of_8(std::string_view field, int value) {
  if (value % 8 != 0) {
    throw UsageError(
        fmt::format("problem: {} = {} is not a multiple of 8 (rows are moved 16 bytes at a time); pad the weight "
                    "and the activations to {}",
                    field, value, (value + 7) / 8 * 8));
  }
}

template <class Enum>
struct Name {
  std::string_view text;
  Enum value;
};

template <class Enum, std::size_t Count>
std::string_view name_of(const Name<Enum> (&names)[Count], Enum value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name;
  }
  throw UsageError(fmt::format("enum value {} has no name", static_cast<int>(value)));
}

template <class Enum, std::size_t Count>
Enum parse(const Name<Enum> (&names)[Count], std::string_view what, std::string_view text) {
  std::string allowed;
  for (const auto& [name, value] : names) {
    if (name == text) return value;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name);
  }
  throw UsageError(fmt::format("{} \"{}\" is not one of: {}", what, text, allowed));
}

constexpr Name<DType> dtype_names[] = {{"bf16", DType::bf16}, {"fp16", DType::fp16}};
constexpr Name<Op> op_names[] = {{"forward", Op::forward}, {"dX", Op::dX}, {"dW", Op::dW}};
constexpr Name<Gemm> gemm_names[] = {{"gate_up", Gemm::gate_up}, {"down", Gemm::down}};

constexpr ProblemFlag flags[] = {
    {"permute_x", "", &Problem::permute_x},
    {"permute_y", "", &Problem::permute_y},
    {"fuse_mul_post", "mul_post", &Problem::fuse_mul_post},
    {"fuse_mul_pre", "mul_pre", &Problem::fuse_mul_pre},
    {"fuse_swiglu", "swiglu", &Problem::fuse_swiglu},
    {"keep_pre_activation", "keep_pre_activation", &Problem::keep_pre_activation},
    {"float32_dw", "float32_dw", &Problem::float32_dw, Op::dW},
    {"accumulate", "accumulate", &Problem::accumulate, Op::dW},
};

}  // namespace

void validate(const Problem& p) {
  require_range("E", p.E, 1, max_experts);
  require_range("N", p.N, 8, max_columns);
  require_range("K", p.K, 8, max_columns);
  require_range("top_k", p.top_k, 1, max_top_k);
  require_multiple_of_8("N", p.N);
  require_multiple_of_8("K", p.K);
  for (const ProblemFlag& flag : flags) {
    if (p.op != flag.op && !flag.fusion.empty() && p.*flag.member) {
      throw UsageError(fmt::format("problem: {} belongs to {}, not to {}", flag.name, to_string(flag.op), to_string(p.op)));
    }
  }
  if (p.permute_x && p.permute_y) {
    throw UsageError(
        "problem: permute_x and permute_y are never both set in one GEMM: permute_x belongs to the first (gate_up), permute_y to "
        "the second (down)");
  }
  if (p.fuse_mul_post && !p.permute_y) {
    throw UsageError("problem: fuse_mul_post needs permute_y: the weight of a row is found through its slot");
  }
  if (p.fuse_mul_pre && !p.permute_x) {
    throw UsageError("problem: fuse_mul_pre needs permute_x: the weight of a row is found through its slot");
  }
  if (p.fuse_swiglu && p.permute_y) {
    throw UsageError("problem: fuse_swiglu and permute_y are never both set in one GEMM: SwiGLU ends the first (gate_up)");
  }
  if (p.fuse_swiglu && p.N % 16 != 0) {
    throw UsageError(
        fmt::format("problem: N = {} is not a multiple of 16, which fuse_swiglu needs: rows of y are N / 2 long and "
                    "stored 16 bytes at a time",
                    p.N));
  }
  if (p.keep_pre_activation && !p.fuse_swiglu) {
    throw UsageError("problem: keep_pre_activation needs fuse_swiglu: without it y is what it would keep");
  }
}

std::string_view to_string(DType dtype) { return name_of(dtype_names, dtype); }
std::string_view to_string(Op op) { return name_of(op_names, op); }
std::string_view to_string(Gemm gemm) { return name_of(gemm_names, gemm); }
DType parse_dtype(std::string_view text) { return parse(dtype_names, "dtype", text); }
Op parse_op(std::string_view text) { return parse(op_names, "op", text); }
Gemm parse_gemm(std::string_view text) { return parse(gemm_names, "gemm", text); }

std::span<const ProblemFlag> problem_flags() { return flags; }

bool Problem::*parse_fusion(std::string_view text) {
  std::string known;
  for (const ProblemFlag& flag : flags) {
    if (flag.fusion.empty()) continue;
    if (flag.fusion == text) return flag.member;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", flag.fusion);
  }
  throw UsageError(fmt::format("unknown fusion \"{}\"; known: {}", text, known));
}

std::string describe(const Problem& p) {
  std::string line = fmt::format("{} {} {} E={} N={} K={} top_k={}", to_string(p.op), to_string(p.gemm), to_string(p.dtype), p.E,
                                 p.N, p.K, p.top_k);
  for (const ProblemFlag& flag : flags) {
    if (p.*flag.member) line += fmt::format(" {}", flag.name);
  }
  return line;
}

}  // namespace moe_tune
