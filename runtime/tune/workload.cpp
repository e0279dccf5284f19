#include "runtime/tune/workload.hpp"

#include "generator/support/checked.hpp"
#include "runtime/launch/forward_maps.hpp"

namespace moe_tune {

int workload_rows(const Problem& problem, int tokens) {
  return narrow<int>(checked_mul(tokens, problem.top_k, "rows (tokens x top_k)"), "rows (tokens x top_k)");
}

WorkloadBytes workload_bytes(const Problem& p, int tokens, std::int64_t l2_bytes) {
  const std::int64_t rows = workload_rows(p, tokens);
  const std::int64_t element = element_bytes(p.dtype);
  const std::int64_t products = checked_mul(rows, p.N, "elements of y");
  const std::int64_t outputs = p.fuse_swiglu ? products / 2 : products;
  WorkloadBytes bytes;
  bytes.weights = checked_mul(checked_mul(checked_mul(p.E, p.N, "elements of w"), p.K, "elements of w"), element, "bytes of w");
  bytes.x = checked_mul(checked_mul(p.permute_x ? tokens : rows, p.K, "elements of x"), element, "bytes of x");
  bytes.y = checked_mul(outputs, element, "bytes of y");
  bytes.reference = checked_mul(outputs, sizeof(float), "bytes of the reference");
  if (p.keep_pre_activation) {
    bytes.pre_activation = checked_mul(products, element, "bytes of pre_activation");
    bytes.pre_activation_reference = checked_mul(products, sizeof(float), "bytes of the reference");
  }
  if (p.permute_x) {
    bytes.workspace = checked_mul(checked_mul(rows, p.K, "elements of workspace"), element, "bytes of workspace");
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
