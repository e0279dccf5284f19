#include "generator/emit.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "generator/constraints.hpp"
#include "generator/support/hash.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

std::string_view root_template(Family family) {
  return family == Family::sm90 ? "kernels/forward_sm90.cuh" : "kernels/forward_sm80.cuh";
}

/// An enum value as the templates spell it, e.g. "moe_tune::TileOrder::m_fastest". Their enums have the names of the host's.
std::string spelling(std::string_view type, std::string_view field_name, const KernelConfigForward& c) {
  const auto fields = forward_fields();
  const auto field = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.name == field_name; });
  return fmt::format("moe_tune::{}::{}", type, field_text(*field, c));
}

std::string problem_type(const Problem& p, bool strided_w) {
  std::string flags;
  for (const ProblemFlag& flag : problem_flags()) flags += fmt::format("/*{}*/ {}, ", flag.name, p.*flag.member);
  return fmt::format(
      "using Problem = moe_tune::ForwardProblem<moe_tune::DType::{}, /*E*/ {}, /*N*/ {}, /*K*/ {}, /*top_k*/ {},\n"
      "                                         {}/*strided_w*/ {}>;\n",
      to_string(p.dtype), p.E, p.N, p.K, p.top_k, flags, strided_w);
}

std::string sm80_types(const KernelConfigForward& c) {
  return fmt::format(
      "using Config = moe_tune::Sm80Config</*BLOCK_M*/ {}, /*BLOCK_N*/ {}, /*BLOCK_K*/ {}, /*warps_m*/ {}, /*warps_n*/ {},\n"
      "                                    /*stages*/ {}, /*ctas_per_sm*/ {}>;\n"
      "using Kernel = moe_tune::ForwardSm80<Problem, Config, {}>;\n",
      c.BLOCK_M, c.BLOCK_N, c.BLOCK_K, c.warps_m, c.warps / c.warps_m, c.stages, c.ctas_per_sm,
      spelling("TileOrder", "tile_order", c));
}

std::string sm90_types(const KernelConfigForward& c) {
  return fmt::format(
      "using Config = moe_tune::Sm90Config</*BLOCK_M*/ {}, /*BLOCK_N*/ {}, /*BLOCK_K*/ {}, {}, {},\n"
      "                                    /*consumers*/ {}, /*stages*/ {}, /*ctas_per_sm*/ {}, /*cluster*/ {}, {},\n"
      "                                    {}>;\n"
      "using Kernel = moe_tune::ForwardSm90<Problem, Config, {}>;\n",
      c.BLOCK_M, c.BLOCK_N, c.BLOCK_K, spelling("MmaM", "mma_m", c), spelling("Schedule", "schedule", c), consumer_warpgroups(c),
      c.stages, c.ctas_per_sm, c.cluster, spelling("TileSource", "tile_source", c), spelling("Gather", "gather", c),
      spelling("TileOrder", "tile_order", c));
}

std::string entry_point(const KernelConfigForward& c) {
  return fmt::format(
      "MOE_KERNEL({}, {})\n"
      "{}(const MOE_GRID_CONSTANT moe_tune::abi::{} args) {{\n"
      "  Kernel::run(args);\n"
      "}}\n",
      threads_per_block(c), c.ctas_per_sm, forward_kernel_name, c.family == Family::sm90 ? "ForwardSm90Args" : "GroupedGemmArgs");
}

std::string dispatch_entry_point(const Problem& p) {
  return fmt::format(
      "\n"
      "using Dispatch = moe_tune::DispatchRows<Problem>;\n"
      "static_assert(Dispatch::shared_bytes == {}, \"the host and the kernel disagree on shared memory\");\n\n"
      "MOE_KERNEL(moe_tune::abi::dispatch_threads, moe_tune::abi::dispatch_blocks_per_sm)\n"
      "{}(const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args, void* rows) {{\n"
      "  Dispatch::run(args, rows);\n"
      "}}\n",
      dispatch_shared_bytes(p), dispatch_kernel_name);
}

}  // namespace

bool dispatches(const Problem& p, const KernelConfigForward& c) {
  return c.family == Family::sm90 && p.permute_x && c.gather == Gather::dispatch;
}

int dispatch_shared_bytes(const Problem& p) { return 2 * (p.E + 1) * 4; }

bool copies_rows(const Problem& p, const KernelConfigForward& c) {
  return c.family == Family::sm90 && p.permute_x && c.gather != Gather::in_kernel;
}

std::string emit_forward(const Problem& p, const KernelConfigForward& c, WeightLayout layout) {
  validate(p);
  if (const auto reason = reject(p, c))
    throw UsageError(fmt::format("{} cannot serve {}: {}", to_string(c), describe(p), *reason));
  const bool sm90 = c.family == Family::sm90;
  const int shared = shared_memory_bytes(p, c);
  return fmt::format(
      "// moe-tune {version}: {problem}\n"
      "// config: {config}, for {archs}\n"
      "// threads per block {threads}, dynamic shared memory {shared} bytes, grid: SMs x {ctas}{clusters}\n\n"
      "{templates}"
      "// ---- instantiation ----\n"
      "{types}"
      "static_assert(Kernel::shared_bytes == {shared}, \"the host and the kernel disagree on shared memory\");\n\n"
      "{entry_points}",
      fmt::arg("version", generator_version()), fmt::arg("problem", describe(p)), fmt::arg("config", to_string(c)),
      fmt::arg("archs", sm90 ? "sm_90a" : "sm_80 and later"), fmt::arg("threads", threads_per_block(c)),
      fmt::arg("shared", shared), fmt::arg("ctas", c.ctas_per_sm),
      fmt::arg("clusters", c.cluster > 1 ? fmt::format(", clusters of {}", c.cluster) : ""),
      fmt::arg("templates", inline_template(root_template(c.family))),
      fmt::arg("types", problem_type(p, !sm90 && layout == WeightLayout::strided) + (sm90 ? sm90_types(c) : sm80_types(c))),
      fmt::arg("entry_points", entry_point(c) + (dispatches(p, c) ? dispatch_entry_point(p) : "")));
}

std::string_view generator_version() { return "2"; }

std::string source_hash(Family family) { return hash_hex(inline_template(root_template(family))); }

std::array<std::string, family_count> source_hashes() { return {source_hash(Family::sm80), source_hash(Family::sm90)}; }

}  // namespace moe_tune
