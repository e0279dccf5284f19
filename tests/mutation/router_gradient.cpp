// Faults in the emitted kernels of routers' gradients.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/router_gradient_subject.hpp"

namespace moe_tune::test {

Study router_gradient_study() {
  // Experts and columns that fill no tile, two partial sums.
  const RouterProblem problem{
      .kind = RouterKind::softmax, .dtype = DType::fp16, .E = 43, .H = 136, .top_k = 3, .first_expert = 2, .local_experts = 30};
  const RouterGradientCall call{.problem = problem, .tokens = 263, .given = true, .d_router_logits = true};
  RouterGradientCall nan_tokens = call;
  nan_tokens.data = GradientData::nan_tokens;
  RouterGradientCall few = call;
  few.token_count = 130;
  RouterGradientCall none = call;
  none.token_count = 0;
  none.accumulate = true;
  RouterGradientCall added = call;
  added.accumulate = added.float32 = added.bad_ids = true;
  return {
      router_gradient_subject("gradient of a router", {call, nan_tokens, few, none, added}),
      {
          {"other processes' experts count", "choice.order == 0 || local < 0 || local >= Problem::local_experts",
           "choice.order == 0"},
          {"the mean is of one choice", "Scores::warp_sum(weight * d_weight)", "weight * d_weight"},
          {"a choice goes to the expert beside its own", "if (Scores::Keys::expert(i) == chosen) v[i] += given;",
           "if (Scores::Keys::expert(i) == chosen + 1) v[i] += given;"},
          {"probabilities are not normalised", "(v[i] - mean)", "(v[i] - mean) * total"},
          {"what comes from elsewhere is left out", "if (args.d_router_logits != nullptr && expert < E)", "if (false)"},
          {"columns past the experts are not zeros", "if (expert < columns) ptx::store", "if (expert < E) ptx::store"},
          {"tokens that are not there have logits", "if (token < there) run(", "if (token < args.tokens) run("},
          {"rows past the last expert are multiplied", "Copy::k_row(i) < rows_left_ && Copy::column(i) < columns_left_",
           "Copy::column(i) < columns_left_"},
          {"columns past H are copied", "Copy::k_row(i) < rows_left_ && Copy::column(i) < columns_left_",
           "Copy::k_row(i) < rows_left_"},
          {"logits of the next token are multiplied", "columns_left_ -= Config::block_k;", ""},
          {"tokens that are not there have rows", "row < tokens ? H - first : 0", "H - first"},
          {"partial sums go on to the last token", "left < args.split_tokens ? left : args.split_tokens", "left"},
          {"partial sums have rows past the last expert", "row < E ? H - first : 0", "H - first"},
          {"all partial sums lie in one place", "(static_cast<i64>(split) * E + row) * H + first",
           "static_cast<i64>(row) * H + first"},
          {"sums that nobody made are added", "(there - 1) / args.split_tokens + 1", "(args.tokens - 1) / args.split_tokens + 1"},
          {"zeros are added where there are no tokens", "if (there == 0 && args.accumulate) return;", ""},
          {"float32 is not added to", "if (accumulate) sums.add(", "if (false) sums.add("},
      }};
}

TEST_CASE("gradient of a router: planted faults") { check_study(router_gradient_study()); }

}  // namespace moe_tune::test
