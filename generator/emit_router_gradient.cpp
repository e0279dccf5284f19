#include "generator/emit_router_gradient.hpp"

#include <fmt/format.h>

#include "generator/emit.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

// Those of templates/abi/router_gradient.cuh, which emitted sources hold these to.
constexpr int threads = 256;
constexpr int tile_tokens = 128;
constexpr int tile_columns = 128;

constexpr int block_k = 32;
constexpr int hidden_stages = 4;
constexpr int weight_stages = 6;

/// The class of the templates with a step's kernel.
struct Entry {
  RouterGradientStep step;
  const char* type;
  int blocks_per_sm;
};

constexpr Entry entries[] = {
    {RouterGradientStep::logits, "Logits", 4},
    {RouterGradientStep::hidden, "Hidden", 2},
    {RouterGradientStep::weight, "Weight", 1},
    {RouterGradientStep::sum, "Sum", 1},
};

std::string entry_point(const RouterProblem& problem, const Entry& entry) {
  const RouterKernelShape shape = kernel_shape(problem, entry.step);
  return fmt::format(
      "\n"
      "using {type} = moe_tune::RouterGradient{type}<Problem>;\n"
      "static_assert({type}::shared_bytes == {shared}, \"the host and the kernel disagree on shared memory\");\n"
      "MOE_KERNEL({threads}, {blocks_per_sm})\n"
      "{name}(const MOE_GRID_CONSTANT moe_tune::abi::RouterGradientArgs args) {{\n"
      "  {type}::run(args);\n"
      "}}\n",
      fmt::arg("type", entry.type), fmt::arg("shared", shape.shared_bytes), fmt::arg("threads", shape.threads),
      fmt::arg("blocks_per_sm", entry.blocks_per_sm), fmt::arg("name", shape.name));
}

}  // namespace

int router_gradient_tile_experts(const RouterProblem& p) { return p.E <= 32 ? 32 : p.E <= 64 ? 64 : 128; }

RouterKernelShape kernel_shape(const RouterProblem& p, RouterGradientStep step) {
  constexpr int row_bytes = block_k * 2;
  switch (step) {
    case RouterGradientStep::logits:
      return {"moe_tune_router_gradient_logits", threads, 0};
    case RouterGradientStep::hidden:
      return {"moe_tune_router_gradient_hidden", threads, hidden_stages * (tile_tokens + tile_columns) * row_bytes};
    case RouterGradientStep::weight:
      return {"moe_tune_router_gradient_weight", threads,
              weight_stages * (router_gradient_tile_experts(p) + tile_columns) * row_bytes};
    case RouterGradientStep::sum:
      return {"moe_tune_router_gradient_sum", threads, 0};
  }
  throw UsageError("no such step of a router's gradient");
}

std::string emit_router_gradient(const RouterProblem& p) {
  validate(p);
  std::string source = fmt::format(
      "// moe-tune {version}: gradient of {problem}\n"
      "// for sm_80 and later\n\n"
      "{templates}"
      "// ---- instantiation ----\n"
      "using Problem = {type};\n"
      "static_assert(moe_tune::abi::router_gradient_threads == {threads}, \"the host and the kernels disagree on threads\");\n",
      fmt::arg("version", generator_version()), fmt::arg("problem", describe(p)),
      fmt::arg("templates", inline_template("kernels/router_gradient.cuh")), fmt::arg("type", router_problem_type(p)),
      fmt::arg("threads", threads));
  for (const Entry& entry : entries) source += entry_point(p, entry);
  return source;
}

}  // namespace moe_tune
