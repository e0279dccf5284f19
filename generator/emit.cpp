#include "generator/emit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "generator/constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/hash.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

std::string_view root_template(Family family, Op op) {
  if (family == Family::sm80) return op == Op::dW ? "kernels/weights_sm80.cuh" : "kernels/rows_sm80.cuh";
  return op == Op::dW ? "kernels/weights_sm90.cuh" : "kernels/rows_sm90.cuh";
}

/// An enum value as the templates spell it, e.g. "moe_tune::TileOrder::m_fastest". Their enums have the names of the host's.
std::string spelling(std::string_view type, std::string_view field_name, const KernelConfig& c) {
  const auto fields = config_fields();
  const auto field = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.name == field_name; });
  return fmt::format("moe_tune::{}::{}", type, field_text(*field, c));
}

/// Those of `op` as template arguments.
std::string fusions_of(const Problem& p, Op op) {
  std::string fusions;
  for (const ProblemFlag& flag : problem_flags()) {
    if (flag.fusion.empty() || flag.op != op) continue;
    fusions += fmt::format("{}/*{}*/ {}", fusions.empty() ? "" : ", ", flag.name, p.*flag.member);
  }
  return fusions;
}

std::string problem_type(const Problem& p, bool strided_w) {
  const GatheredRows gathered = gathered_rows(p);
  if (p.op == Op::dW) {
    return fmt::format(
        "using Problem = moe_tune::WeightsProblem<moe_tune::DType::{}, /*E*/ {}, /*N*/ {}, /*K*/ {},\n"
        "                                         /*slots_per_row*/ {}, /*gather_x*/ {}, /*gather_y*/ {}, {}>;\n",
        to_string(p.dtype), p.E, p.N, p.K, gathered.slots_per_row, p.permute_x, p.permute_y, fusions_of(p, Op::dW));
  }
  const RowsGemm gemm = rows_gemm(p);
  return fmt::format(
      "using Problem = moe_tune::RowsProblem<moe_tune::DType::{}, /*E*/ {}, /*columns*/ {}, /*reduction*/ {}, "
      "/*weight_rows_are_k*/ {},\n"
      "                                      /*slots_per_row*/ {}, /*gather_rows*/ {}, /*scatter_rows*/ {},\n"
      "                                      {}, /*strided_w*/ {}>;\n",
      to_string(p.dtype), p.E, gemm.columns, gemm.reduction, gemm.weight_rows_are_k, gathered.slots_per_row, gathered.any,
      gemm.scatters, fusions_of(p, Op::forward), strided_w);
}

std::string sm80_types(Op op, const KernelConfig& c) {
  return fmt::format(
      "using Config = moe_tune::Sm80Config</*BLOCK_M*/ {}, /*BLOCK_N*/ {}, /*BLOCK_K*/ {}, /*warps_m*/ {}, /*warps_n*/ {},\n"
      "                                    /*stages*/ {}, /*ctas_per_sm*/ {}>;\n"
      "using Kernel = moe_tune::{}<Problem, Config, {}>;\n",
      c.BLOCK_M, c.BLOCK_N, c.BLOCK_K, c.warps_m, c.warps / c.warps_m, c.stages, c.ctas_per_sm,
      op == Op::dW ? "WeightsSm80" : "RowsSm80", spelling("TileOrder", "tile_order", c));
}

std::string sm90_types(Op op, const KernelConfig& c) {
  return fmt::format(
      "using Config = moe_tune::Sm90Config</*BLOCK_M*/ {}, /*BLOCK_N*/ {}, /*BLOCK_K*/ {}, {}, {},\n"
      "                                    /*consumers*/ {}, /*stages*/ {}, /*ctas_per_sm*/ {}, /*cluster*/ {}, {},\n"
      "                                    {}>;\n"
      "using Kernel = moe_tune::{}<Problem, Config, {}>;\n",
      c.BLOCK_M, c.BLOCK_N, c.BLOCK_K, spelling("MmaM", "mma_m", c), spelling("Schedule", "schedule", c), consumer_warpgroups(c),
      c.stages, c.ctas_per_sm, c.cluster, spelling("TileSource", "tile_source", c), spelling("Gather", "gather", c),
      op == Op::dW ? "WeightsSm90" : "RowsSm90", spelling("TileOrder", "tile_order", c));
}

std::string entry_point(Op op, const KernelConfig& c) {
  const char* args = c.family == Family::sm80 ? "GroupedGemmArgs" : op == Op::dW ? "WeightsSm90Args" : "RowsSm90Args";
  return fmt::format(
      "MOE_KERNEL({}, {})\n"
      "{}(const MOE_GRID_CONSTANT moe_tune::abi::{} args) {{\n"
      "  Kernel::run(args);\n"
      "}}\n",
      threads_per_block(c), c.ctas_per_sm, kernel_name(op), args);
}

std::string dispatch_entry_point(const Problem& p) {
  return fmt::format(
      "\n"
      "using Dispatch = moe_tune::DispatchRows</*E*/ {}, /*row_length*/ {}, /*slots_per_row*/ {}>;\n"
      "static_assert(Dispatch::shared_bytes == {}, \"the host and the kernel disagree on shared memory\");\n\n"
      "MOE_KERNEL(moe_tune::abi::dispatch_threads, moe_tune::abi::dispatch_blocks_per_sm)\n"
      "{}(const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args, void* rows) {{\n"
      "  Dispatch::run(args, rows);\n"
      "}}\n",
      p.E, gathered_rows(p).length, gathered_rows(p).slots_per_row, dispatch_shared_bytes(p), dispatch_kernel_name);
}

}  // namespace

const char* kernel_name(Op op) {
  switch (op) {
    case Op::forward:
      return "moe_tune_forward";
    case Op::dX:
      return "moe_tune_dX";
    case Op::dW:
      return "moe_tune_dW";
  }
  throw UsageError("no such op");
}

bool dispatches(const Problem& p, const KernelConfig& c) {
  return c.family == Family::sm90 && gathered_rows(p).any && c.gather == Gather::dispatch;
}

int dispatch_shared_bytes(const Problem& p) { return 2 * (p.E + 1) * 4; }

bool copies_rows(const Problem& p, const KernelConfig& c) {
  return c.family == Family::sm90 && gathered_rows(p).any && c.gather != Gather::in_kernel;
}

std::string emit_kernel(const Problem& p, const KernelConfig& c, WeightLayout layout) {
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
      fmt::arg("templates", inline_template(root_template(c.family, p.op))),
      fmt::arg("types",
               problem_type(p, !sm90 && layout == WeightLayout::strided) + (sm90 ? sm90_types(p.op, c) : sm80_types(p.op, c))),
      fmt::arg("entry_points", entry_point(p.op, c) + (dispatches(p, c) ? dispatch_entry_point(p) : "")));
}

std::string_view generator_version() { return "2"; }

std::string source_hash(Family family, Op op) {
  std::set<std::string_view> seen;
  return hash_hex(inline_template(root_template(family, op), embedded_templates(), seen));
}

std::array<std::string, family_count> source_hashes(Op op) {
  return {source_hash(Family::sm80, op), source_hash(Family::sm90, op)};
}

}  // namespace moe_tune
