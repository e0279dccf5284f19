#include "moe_tune/problem.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

struct Refusal {
  const char* message;
  void (*spoil)(Problem&);
};

const Refusal refusals[] = {
    {"E = 0 is outside [1, 4096]", [](Problem& p) { p.E = 0; }},
    {"E = -1 is outside", [](Problem& p) { p.E = -1; }},
    {"E = 4097 is outside", [](Problem& p) { p.E = 4097; }},
    {"N = 0 is outside [8, 1048576]", [](Problem& p) { p.N = 0; }},
    {"N = 1048584 is outside", [](Problem& p) { p.N = (1 << 20) + 8; }},
    {"N = 1535 is not a multiple of 8", [](Problem& p) { p.N = 1535; }},
    {"pad the weight and the activations to 1536", [](Problem& p) { p.N = 1535; }},
    {"K = 0 is outside [8, 1048576]", [](Problem& p) { p.K = 0; }},
    {"K = -8 is outside", [](Problem& p) { p.K = -8; }},
    {"K = 1048584 is outside", [](Problem& p) { p.K = (1 << 20) + 8; }},
    {"K = 12 is not a multiple of 8", [](Problem& p) { p.K = 12; }},
    {"top_k = 0 is outside [1, 64]", [](Problem& p) { p.top_k = 0; }},
    {"top_k = 65 is outside", [](Problem& p) { p.top_k = 65; }},
    {"permute_x and permute_y are never both set", [](Problem& p) { p.permute_x = p.permute_y = true; }},
    {"fuse_mul_post needs permute_y", [](Problem& p) { p.fuse_mul_post = true; }},
    {"fuse_mul_pre needs permute_x", [](Problem& p) { p.permute_x = false, p.fuse_mul_pre = true; }},
    {"fuse_swiglu and permute_y are never both set", [](Problem& p) { p.permute_x = false, p.permute_y = p.fuse_swiglu = true; }},
    {"N = 1544 is not a multiple of 16, which fuse_swiglu needs", [](Problem& p) { p.N = 1544, p.fuse_swiglu = true; }},
    {"keep_pre_activation needs fuse_swiglu", [](Problem& p) { p.keep_pre_activation = true; }},
    {"float32_dw belongs to dW, not to forward", [](Problem& p) { p.float32_dw = true; }},
    {"accumulate belongs to dW, not to dX", [](Problem& p) { p.op = Op::dX, p.accumulate = true; }},
    {"fuse_swiglu belongs to forward, not to dW", [](Problem& p) { p.op = Op::dW, p.fuse_swiglu = true; }},
};

}  // namespace

TEST_CASE("A valid problem is accepted, up to the limits of every field") {
  for (const Problem& problem : test::sample_problems()) CHECK_NOTHROW(validate(problem));
  Problem largest = test::qwen3_gate_up();
  largest.E = 4096;
  largest.N = largest.K = 1 << 20;
  largest.top_k = 64;
  CHECK_NOTHROW(validate(largest));
  Problem fused = test::qwen3_down();
  fused.fuse_mul_post = true;
  CHECK_NOTHROW(validate(fused));
  Problem up = test::qwen3_gate_up();
  up.fuse_mul_pre = true;
  CHECK_NOTHROW(validate(up));
  up.fuse_swiglu = true;
  CHECK_NOTHROW(validate(up));
  up.keep_pre_activation = true;
  CHECK_NOTHROW(validate(up));
  up.permute_x = up.fuse_mul_pre = false;
  CHECK_NOTHROW(validate(up));
  Problem weights = test::qwen3_gate_up();
  weights.op = Op::dW;
  weights.float32_dw = true;
  CHECK_NOTHROW(validate(weights));
  weights.accumulate = true;
  CHECK_NOTHROW(validate(weights));
  weights.float32_dw = false;
  CHECK_NOTHROW(validate(weights));
}

TEST_CASE("The flags of a problem: every one is in the table, and fusions are found by their names") {
  Problem problem = test::smallest_problem();
  for (const ProblemFlag& flag : problem_flags()) problem.*flag.member = true;
  // A flag without a row in the table stays false and shows here; one that is missing here does not compile.
  const auto& [op, gemm, dtype, E, N, K, top_k, permute_x, permute_y, fuse_mul_post, fuse_mul_pre, fuse_swiglu,
               keep_pre_activation, float32_dw, accumulate] = problem;
  CHECK((op == Op::forward && gemm == Gemm::gate_up && dtype == DType::bf16 && E == 1 && N == 8 && K == 8 && top_k == 1));
  CHECK((permute_x && permute_y && fuse_mul_post && fuse_mul_pre && fuse_swiglu && keep_pre_activation && float32_dw &&
         accumulate));
  for (const ProblemFlag& flag : problem_flags()) {
    if (!flag.fusion.empty()) CHECK(parse_fusion(flag.fusion) == flag.member);
  }
  CHECK(parse_fusion("swiglu") == &Problem::fuse_swiglu);
  CHECK_THROWS_WITH(parse_fusion("gelu"),
                    "unknown fusion \"gelu\"; known: mul_post, mul_pre, swiglu, keep_pre_activation, float32_dw, accumulate");
  CHECK_THROWS_AS(parse_fusion(""), UsageError);
}

TEST_CASE("The elements of dW, and what a call without rows writes") {
  Problem problem = test::qwen3_gate_up();
  CHECK_FALSE(writes_without_rows(problem));
  problem.op = Op::dW;
  CHECK(weight_element_bytes(problem) == 2);
  CHECK(writes_without_rows(problem));
  problem.float32_dw = problem.accumulate = true;
  CHECK(weight_element_bytes(problem) == 4);
  CHECK_FALSE(writes_without_rows(problem));
}

TEST_CASE("SwiGLU halves the columns of y") {
  Problem problem = test::qwen3_gate_up();
  CHECK(output_columns(problem) == 1536);
  problem.fuse_swiglu = true;
  CHECK(output_columns(problem) == 768);
}

TEST_CASE("A problem that cannot be served is refused with a message that names field, value and what is allowed") {
  for (const auto& [message, spoil] : refusals) {
    Problem problem = test::qwen3_gate_up();
    spoil(problem);
    INFO(message);
    CHECK_THROWS_AS(validate(problem), UsageError);
    CHECK_THROWS_WITH(validate(problem), Contains(message));
  }
}

TEST_CASE("The names of dtypes, ops and GEMMs read back") {
  for (const DType dtype : {DType::bf16, DType::fp16}) CHECK(parse_dtype(to_string(dtype)) == dtype);
  for (const Gemm gemm : {Gemm::gate_up, Gemm::down}) CHECK(parse_gemm(to_string(gemm)) == gemm);
  CHECK(parse_op(to_string(Op::forward)) == Op::forward);
  CHECK(to_string(DType::bf16) == "bf16");
  CHECK(to_string(Gemm::down) == "down");
}

TEST_CASE("Another spelling is refused with the allowed ones") {
  CHECK_THROWS_WITH(parse_dtype("float16"), Contains("dtype \"float16\" is not one of: bf16, fp16"));
  CHECK_THROWS_WITH(parse_gemm("Down"), Contains("gemm \"Down\" is not one of: gate_up, down"));
  CHECK_THROWS_WITH(parse_op(""), Contains("op \"\" is not one of: forward"));
  CHECK_THROWS_AS(parse_dtype("bf16 "), UsageError);
}

TEST_CASE("An enum value without a name is an error, not a wild read") {
  CHECK_THROWS_AS(to_string(static_cast<DType>(7)), UsageError);
  CHECK_THROWS_AS(to_string(static_cast<Gemm>(-1)), UsageError);
}

TEST_CASE("describe() shows every field that is set") {
  CHECK(describe(test::qwen3_gate_up()) == "forward gate_up bf16 E=128 N=1536 K=2048 top_k=8 permute_x");
  Problem fused = test::qwen3_down();
  fused.dtype = DType::fp16;
  fused.fuse_mul_post = true;
  CHECK(describe(fused) == "forward down fp16 E=128 N=2048 K=768 top_k=8 permute_y fuse_mul_post");
  Problem up = test::qwen3_gate_up();
  up.fuse_mul_pre = up.fuse_swiglu = up.keep_pre_activation = true;
  CHECK(describe(up) ==
        "forward gate_up bf16 E=128 N=1536 K=2048 top_k=8 permute_x fuse_mul_pre fuse_swiglu keep_pre_activation");
  Problem weights = test::qwen3_gate_up();
  weights.op = Op::dW;
  weights.float32_dw = weights.accumulate = true;
  CHECK(describe(weights) == "dW gate_up bf16 E=128 N=1536 K=2048 top_k=8 permute_x float32_dw accumulate");
  CHECK(describe(test::smallest_problem()) == "forward gate_up bf16 E=1 N=8 K=8 top_k=1");
}
