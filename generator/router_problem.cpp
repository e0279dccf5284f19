#include "moe_tune/router_problem.hpp"

#include <fmt/format.h>

#include <string_view>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr int max_experts = 512;
constexpr int max_top_k = 16;
constexpr int max_columns = 1 << 20;

void require_range(std::string_view field, int value, int low, int high) {
  if (value < low || value > high) {
    throw UsageError(fmt::format("router: {} = {} is outside [{}, {}]", field, value, low, high));
  }
}

}  // namespace

void validate(const RouterProblem& p) {
  to_string(p.kind);
  to_string(p.dtype);
  require_range("E", p.E, 1, max_experts);
  require_range("H", p.H, 8, max_columns);
  if (p.H % 8 != 0)
    throw UsageError(fmt::format("router: H = {} is not a multiple of 8: rows are moved 16 bytes at a time", p.H));
  require_range("top_k", p.top_k, 1, max_top_k);
  if (p.top_k > p.E) throw UsageError(fmt::format("router: top_k = {} of E = {} experts", p.top_k, p.E));
  require_range("first_expert", p.first_expert, 0, p.E - 1);
  require_range("local_experts", p.local_experts, 0, p.E - p.first_expert);
}

std::string describe(const RouterProblem& p) {
  std::string line = fmt::format("router {} {} E={} H={} top_k={}", to_string(p.kind), to_string(p.dtype), p.E, p.H, p.top_k);
  if (local_experts(p) < p.E) line += fmt::format(" experts {} to {}", p.first_expert, p.first_expert + local_experts(p) - 1);
  return line;
}

}  // namespace moe_tune
