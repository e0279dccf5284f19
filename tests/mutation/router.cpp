// Faults in emitted routers: of few tokens, which one block selects and sorts, and of many.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/router_subject.hpp"

namespace moe_tune::test {

Study router_few_study() {
  // Experts and columns that fill no tile; as many groups of threads as there can be.
  const RouterProblem problem{.kind = RouterKind::softmax_norm_topk,
                              .dtype = DType::fp16,
                              .E = 20,
                              .H = 136,
                              .top_k = 3,
                              .first_expert = 2,
                              .local_experts = 15};
  const RouterCall call{.problem = problem, .tokens = 21, .sm_count = 1000};
  RouterCall ties = call;
  ties.data = RouterData::ties;
  ties.token_count = 18;
  RouterCall zeros = call;
  zeros.data = RouterData::zeros;
  RouterCall infinities = call;
  infinities.data = RouterData::bad_logits;
  RouterCall bad_logits = infinities;
  bad_logits.seed = 2;  // NaN among them
  RouterCall given = call;
  given.inject = given.bad_ids = true;
  return {
      router_subject("router, few tokens", {call, ties, zeros, infinities, bad_logits, given}),
      {
          {"no barrier before partial sums are added", "ptx::block_barrier();\n    const int element", "const int element"},
          {"columns past H are multiplied", "if (row >= count || column >= Problem::H) return {};",
           "if (row >= count) return {};"},
          {"halves of K in each other's place, of one operand",
           "x[0].v[step * 2], x[1].v[step * 2], x[0].v[step * 2 + 1], x[1].v[step * 2 + 1]",
           "x[0].v[step * 2 + 1], x[1].v[step * 2 + 1], x[0].v[step * 2], x[1].v[step * 2]"},
          {"tokens that are not there have logits", "row >= tokens || column >= Problem::E",
           "row >= args.tokens || column >= Problem::E"},
          {"-0 is less than 0", "if (magnitude == 0) return 0x8000u;", ""},
          {"of equal logits the highest id", "Order::of(bits[i]) << 16 | (0xffffu - static_cast<u32>(expert(i)))",
           "Order::of(bits[i]) << 16 | (static_cast<u32>(expert(i)) ^ 0xffe0u)"},
          {"a chosen expert may be chosen again", "v[i] = v[i] == key ? 0 : v[i];", "v[i] = v[i];"},
          {"a softmax with a NaN selects by logits", "all_nan ? first_experts() : keys.choose()", "keys.choose()"},
          {"an infinity makes no NaN of the others", "largest >= Order::infinity", "largest > Order::infinity"},
          {"a given expert that does not exist is looked up", "if (expert < 0 || expert >= E) {",
           "if (expert < 0 || expert > E) {"},
          {"other processes' experts have rows", "local < Problem::local_experts ? local", "local < Problem::E ? local"},
          {"slots are counted before all are known", "ptx::block_barrier();\n    order.share_count(order.count(slots));",
           "order.share_count(order.count(slots));"},
          {"counts are added up before all are known", "ptx::block_barrier();\n    order.find_starts(0,", "order.find_starts(0,"},
          {"parts start where the first does", "if (!Before || i < group()) sum += more;", "if (!Before) sum += more;"},
          {"an expert starts behind its own rows", "rows -= sum;", ""},
          {"rows start before it is known where",
           "if (ptx::thread_index() < 32) add_experts_before();\n    ptx::block_barrier();",
           "if (ptx::thread_index() < 32) add_experts_before();"},
          {"rows are stored before all are known", "row++); });\n    ptx::block_barrier();", "row++); });"},
      }};
}

Study router_many_study() {
  // Three blocks of tokens, of which the last has fewer, and experts that need two tiles.
  const RouterProblem problem{
      .kind = RouterKind::sigmoid, .dtype = DType::bf16, .E = 140, .H = 72, .top_k = 2, .first_expert = 60, .local_experts = 70};
  const RouterCall call{.problem = problem, .tokens = 131, .sm_count = 0};
  RouterCall ties = call;
  ties.data = RouterData::ties;
  RouterCall given = call;
  given.inject = true;
  given.token_count = 97;
  return {
      router_subject("router, many tokens", {call, ties, given}),
      {
          {"experts past the last are copied", "columns_left_ > 0 && BCopy::row(i) < experts_left_", "columns_left_ > 0"},
          {"tokens past the last are copied", "columns_left_ > 0 && ACopy::row(i) < tokens_left_", "columns_left_ > 0"},
          {"columns past H are copied", "columns_left_ -= Config::block_k;", ""},
          {"experts of the first tile, again", "tile % expert_tiles * Config::block_n", "0 * (tile % expert_tiles)"},
          {"the block's own slots count as those before it", "< static_cast<int>(ptx::block_index())) before",
           "<= static_cast<int>(ptx::block_index())) before"},
          {"every block counts in the place of the first",
           "args.histograms + static_cast<i64>(ptx::block_index()) * L + Order::expert()", "args.histograms + Order::expert()"},
          {"counts of one group for those of all", "Order::expert(),\n                 order.template sum_counts<false>());",
           "Order::expert(),\n                 order.template sum_counts<true>());"},
          {"sums of before and of all share a place without a barrier",
           "sum_counts<false>();\n    ptx::block_barrier();\n    order.share_count(total);",
           "sum_counts<false>();\n    order.share_count(total);"},
          {"slots of tokens that are not there are sorted", "token + slot / top_k < there ?",
           "token + slot / top_k < args.tokens ?"},
          {"blocks take a token too many", "begin + per_block < args.tokens ? begin + per_block",
           "begin + per_block < args.tokens ? begin + per_block + 1"},
      }};
}

TEST_CASE("router of few tokens: planted faults") { check_study(router_few_study()); }
TEST_CASE("router of many tokens: planted faults") { check_study(router_many_study()); }

}  // namespace moe_tune::test
