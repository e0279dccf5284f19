#include "generator/emit_router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "generator/emit.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

// Those of templates/abi/router.cuh, which emitted sources hold these to.
constexpr int tile_tokens = 64;
constexpr int few_threads = 512;
constexpr int few_tile = 16 * 8;
constexpr int threads = 512;
constexpr int chunk_tokens = 128;

constexpr int block_k = 64;
constexpr int stages = 4;

/// The least power of two that holds `count` and is at least 32: a thread for each.
int columns_for(int count) { return static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(count, 32)))); }

/// The class of the templates with a step's kernel, and its function.
struct Entry {
  RouterStep step;
  const char* type;
  const char* function;
  int blocks_per_sm;
};

constexpr Entry entries[] = {
    {RouterStep::logits, "Logits", "run", 1},
    {RouterStep::few_logits, "FewLogits", "run", 1},
    {RouterStep::select_and_sort, "Router", "select_and_sort", 1},
    {RouterStep::select, "Router", "select", 1},
    {RouterStep::sort, "Router", "sort", 2},
};

std::string entry_point(const RouterProblem& problem, const Entry& entry) {
  const RouterKernelShape shape = kernel_shape(problem, entry.step);
  return fmt::format(
      "\n"
      "static_assert({type}::shared_bytes == {shared}, \"the host and the kernel disagree on shared memory\");\n"
      "MOE_KERNEL({threads}, {blocks_per_sm})\n"
      "{name}(const MOE_GRID_CONSTANT moe_tune::abi::RouterArgs args) {{\n"
      "  {type}::{function}(args);\n"
      "}}\n",
      fmt::arg("type", entry.type), fmt::arg("shared", shape.shared_bytes), fmt::arg("threads", shape.threads),
      fmt::arg("blocks_per_sm", entry.blocks_per_sm), fmt::arg("name", shape.name), fmt::arg("function", entry.function));
}

}  // namespace

int router_tile_experts(const RouterProblem& p) { return std::min(columns_for(p.E), 128); }

RouterKernelShape kernel_shape(const RouterProblem& p, RouterStep step) {
  const int experts = router_tile_experts(p);
  const int sort_bytes = (2 * chunk_tokens * p.top_k + threads + 2 * columns_for(local_experts(p))) * 4;
  switch (step) {
    case RouterStep::logits:
      return {"moe_tune_router_logits", experts == 32 ? 128 : 256, stages * (tile_tokens + experts) * block_k * 2};
    case RouterStep::few_logits:
      return {"moe_tune_router_few_logits", few_threads, few_threads / 32 * few_tile * 4};
    case RouterStep::select_and_sort:
      return {"moe_tune_router_select_and_sort", threads, sort_bytes};
    case RouterStep::select:
      return {"moe_tune_router_select", threads, sort_bytes};
    case RouterStep::sort:
      return {"moe_tune_router_sort", threads, sort_bytes};
  }
  throw UsageError("no such step of a router");
}

std::string router_problem_type(const RouterProblem& p) {
  return fmt::format(
      "moe_tune::RouterProblem<moe_tune::RouterKind::{kind}, moe_tune::DType::{dtype}, /*E*/ {E}, /*H*/ {H}, /*top_k*/ {top_k},\n"
      "                                        /*first_expert*/ {first}, /*local_experts*/ {local}>",
      fmt::arg("kind", to_string(p.kind)), fmt::arg("dtype", to_string(p.dtype)), fmt::arg("E", p.E), fmt::arg("H", p.H),
      fmt::arg("top_k", p.top_k), fmt::arg("first", p.first_expert), fmt::arg("local", local_experts(p)));
}

std::string emit_router(const RouterProblem& p) {
  validate(p);
  std::string source = fmt::format(
      "// moe-tune {version}: {problem}\n"
      "// for sm_80 and later\n\n"
      "{templates}"
      "// ---- instantiation ----\n"
      "using Problem = {type};\n"
      "using Logits = moe_tune::RouterLogits<Problem>;\n"
      "using FewLogits = moe_tune::RouterFewLogits<Problem>;\n"
      "using Router = moe_tune::Router<Problem>;\n"
      "static_assert(Logits::threads == {logits_threads} && moe_tune::abi::router_few_threads == {few_threads} &&\n"
      "                  moe_tune::abi::router_threads == {threads},\n"
      "              \"the host and the kernels disagree on threads\");\n",
      fmt::arg("version", generator_version()), fmt::arg("problem", describe(p)),
      fmt::arg("templates", inline_template("kernels/router.cuh")), fmt::arg("type", router_problem_type(p)),
      fmt::arg("logits_threads", kernel_shape(p, RouterStep::logits).threads), fmt::arg("few_threads", few_threads),
      fmt::arg("threads", threads));
  for (const Entry& entry : entries) source += entry_point(p, entry);
  return source;
}

}  // namespace moe_tune
