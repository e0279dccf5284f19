#include "generator/emit.hpp"

#include <fmt/format.h>

#include "generator/constraints.hpp"
#include "generator/support/hash.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr std::string_view forward_sm80_template = "kernels/forward_sm80.cuh";

std::string_view root_template(Family family) {
  switch (family) {
    case Family::sm80:
      return forward_sm80_template;
  }
  throw UsageError(fmt::format("kernel family {} has no forward template", static_cast<int>(family)));
}

}  // namespace

std::string emit_forward(const Problem& p, const KernelConfigForward& c, WeightLayout layout) {
  validate(p);
  if (const auto reason = reject(p, c))
    throw UsageError(fmt::format("{} cannot serve {}: {}", to_string(c), describe(p), *reason));
  return fmt::format(
      "// moe-tune {version}: {problem}\n"
      "// config: {config}\n"
      "// threads per block {threads}, dynamic shared memory {shared} bytes, grid: SMs x {ctas}\n\n"
      "{templates}"
      "// ---- instantiation ----\n"
      "using Problem = moe_tune::ForwardProblem<moe_tune::DType::{dtype}, /*E*/ {E}, /*N*/ {N}, /*K*/ {K}, /*top_k*/ {top_k},\n"
      "                                         /*permute_x*/ {permute_x}, /*permute_y*/ {permute_y}, /*fuse_mul_post*/ {fuse},\n"
      "                                         /*strided_w*/ {strided}>;\n"
      "using Config = moe_tune::Sm80Config</*BLOCK_M*/ {bm}, /*BLOCK_N*/ {bn}, /*BLOCK_K*/ {bk}, /*warps_m*/ {wm}, /*warps_n*/ "
      "{wn},\n"
      "                                    /*stages*/ {stages}, /*ctas_per_sm*/ {ctas}>;\n"
      "using Kernel = moe_tune::ForwardSm80<Problem, Config, moe_tune::TileOrder::{order}>;\n"
      "static_assert(Kernel::shared_bytes == {shared}, \"the host and the kernel disagree on shared memory\");\n\n"
      "MOE_KERNEL({threads}, {ctas})\n"
      "{name}(const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args) {{\n"
      "  Kernel::run(args);\n"
      "}}\n",
      fmt::arg("version", generator_version()), fmt::arg("problem", describe(p)), fmt::arg("config", to_string(c)),
      fmt::arg("threads", threads_per_block(c)), fmt::arg("shared", shared_memory_bytes(p, c)), fmt::arg("ctas", c.ctas_per_sm),
      fmt::arg("templates", inline_template(root_template(c.family))), fmt::arg("dtype", to_string(p.dtype)), fmt::arg("E", p.E),
      fmt::arg("N", p.N), fmt::arg("K", p.K), fmt::arg("top_k", p.top_k), fmt::arg("permute_x", p.permute_x),
      fmt::arg("permute_y", p.permute_y), fmt::arg("fuse", p.fuse_mul_post), fmt::arg("strided", layout == WeightLayout::strided),
      fmt::arg("bm", c.BLOCK_M), fmt::arg("bn", c.BLOCK_N), fmt::arg("bk", c.BLOCK_K), fmt::arg("wm", c.warps_m),
      fmt::arg("wn", c.warps / c.warps_m), fmt::arg("stages", c.stages),
      fmt::arg("order", c.tile_order == TileOrder::m_fastest ? "m_fastest" : "n_fastest"), fmt::arg("name", forward_kernel_name));
}

std::string_view generator_version() { return "1"; }

std::string source_hash(Family family) { return hash_hex(inline_template(root_template(family))); }

}  // namespace moe_tune
