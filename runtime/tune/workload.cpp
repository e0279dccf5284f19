#include "runtime/tune/workload.hpp"

#include "generator/rows_gemm.hpp"
#include "generator/support/checked.hpp"
#include "runtime/launch/rows_maps.hpp"

namespace moe_tune {

int workload_rows(const Problem& problem, int tokens) {
  return narrow<int>(checked_mul(tokens, problem.top_k, "rows (tokens x top_k)"), "rows (tokens x top_k)");
}

WorkloadBytes workload_bytes(const Problem& p, int tokens, std::int64_t l2_bytes) {
  const std::int64_t rows = workload_rows(p, tokens);
  const std::int64_t element = element_bytes(p.dtype);
  const GatheredRows gathered = gathered_rows(p);
  const RowsGemm gemm = rows_gemm(p);
  const bool of_weights = p.op == Op::dW;
  const std::int64_t weights = checked_mul(checked_mul(p.E, p.N, "elements of w"), p.K, "elements of w");
  const std::int64_t x_rows = of_weights ? (p.permute_x ? tokens : rows) : gathered.any ? rows / gathered.slots_per_row : rows;
  const std::int64_t products = checked_mul(rows, gemm.columns, "elements of y");
  const std::int64_t y = p.fuse_swiglu ? products / 2 : products;
  WorkloadBytes bytes;
  bytes.weights = checked_mul(weights, weight_element_bytes(p), "bytes of w");
  bytes.x = checked_mul(checked_mul(x_rows, gemm.reduction, "elements of x"), element, "bytes of x");
  bytes.y = checked_mul(y, element, "bytes of y");
  bytes.reference = checked_mul(of_weights ? weights : y, sizeof(float), "bytes of the reference");
  if (p.keep_pre_activation) {
    bytes.pre_activation = checked_mul(products, element, "bytes of pre_activation");
    bytes.pre_activation_reference = checked_mul(products, sizeof(float), "bytes of the reference");
  }
  if (gathered.any) {
    bytes.workspace = checked_mul(checked_mul(rows, gathered.length, "elements of workspace"), element, "bytes of workspace");
    bytes.workspace += most_copied_bytes(rows);
  }
  const bool scaled = p.fuse_mul_post || p.fuse_mul_pre;
  bytes.routing = (p.E + rows) * static_cast<std::int64_t>(sizeof(int)) + (scaled ? rows * element : 0);
  // Twice the L2, so that whatever the replacement policy keeps of the first half goes in the second.
  bytes.flush = (2 * l2_bytes + 15) / 16 * 16;
  return bytes;
}

Routing routing_record(const RoutingSpec& spec, const RoutedRows& rows) {
  Routing routing;
  if (spec.kind == RoutingSpec::Kind::zipf) {
    routing.kind = RoutingKind::zipf;
    routing.alpha = spec.alpha;
  }
  routing.effective_experts = rows.effective_experts();
  routing.max_share = rows.max_share();
  return routing;
}

}  // namespace moe_tune
