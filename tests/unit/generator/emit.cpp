#include "generator/emit.hpp"

#include "generator/device.hpp"
#include "generator/heuristics.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "generator/config_space.hpp"
#include "generator/support/hash.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

/// What an emitted kernel has besides templates: everything that depends on the problem and the config but the head's comments.
std::string instantiation(const std::string& source) {
  const std::size_t at = source.find("// ---- instantiation ----\n");
  REQUIRE(at != std::string::npos);
  return source.substr(at);
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Configs from which a change of any field leads to another one of the space.
std::vector<KernelConfig> bases(Family family) {
  if (family == Family::sm80) return {{Family::sm80, 64, 128, 64, 4, 2, 4, 2, TileOrder::m_fastest}};
  return {parse_config("sm90_64x128x64_weights_coop_w8_s3_c1_x1_queue_mfast_dispatch"),
          parse_config("sm90_64x128x64_weights_coop_w12_s3_c1_x1_queue_mfast_dispatch")};
}

struct Change {
  const char* field;
  void (*apply)(Problem&);
};

const Change changes[] = {
    {"dtype", [](Problem& p) { p.dtype = DType::fp16; }},
    {"E", [](Problem& p) { p.E = 64; }},
    {"N", [](Problem& p) { p.N = 1544; }},
    {"K", [](Problem& p) { p.K = 2056; }},
    {"top_k", [](Problem& p) { p.top_k = 4; }},
    {"permute_x", [](Problem& p) { p.permute_x = false; }},
    {"permute_y", [](Problem& p) { p.permute_x = false, p.permute_y = true; }},
    {"fuse_mul_post", [](Problem& p) { p.permute_x = false, p.permute_y = p.fuse_mul_post = true; }},
};

/// Of sm90 alone.
const Change fusions[] = {
    {"fuse_mul_pre", [](Problem& p) { p.fuse_mul_pre = true; }},
    {"fuse_swiglu", [](Problem& p) { p.fuse_swiglu = true; }},
    {"keep_pre_activation", [](Problem& p) { p.fuse_swiglu = p.keep_pre_activation = true; }},
};

}  // namespace

TEST_CASE("Emission is deterministic and includes nothing") {
  const std::string source = emit_kernel(test::qwen3_gate_up(), {});
  CHECK(source == emit_kernel(test::qwen3_gate_up(), {}));
  CHECK(count(source, "#include") == 0);
  CHECK(count(source, "#pragma once") == 0);
  CHECK(count(source, inline_template("kernels/rows_sm80.cuh")) == 1);
}

TEST_CASE("The instantiation carries every number of the problem and the config") {
  Problem problem = test::qwen3_down();
  problem.dtype = DType::fp16;
  problem.fuse_mul_post = true;
  const std::string source =
      emit_kernel(problem, {Family::sm80, 64, 256, 32, 8, 2, 5, 1, TileOrder::n_fastest}, WeightLayout::strided);
  CHECK_THAT(source, Contains("// moe-tune 2: forward down fp16 E=128 N=2048 K=768 top_k=8 permute_y fuse_mul_post\n"
                              "// config: sm80_64x256x32_w8m2_s5_c1_nfast, for sm_80 and later\n"
                              "// threads per block 256, dynamic shared memory 103432 bytes, grid: SMs x 1\n"));
  const std::string text = instantiation(source);
  CHECK_THAT(text, Contains("DType::fp16, /*E*/ 128, /*columns*/ 2048, /*reduction*/ 768, /*weight_rows_are_k*/ false"));
  CHECK_THAT(text, Contains("/*slots_per_row*/ 8, /*gather_rows*/ false, /*scatter_rows*/ true"));
  CHECK_THAT(text, Contains("/*fuse_mul_post*/ true"));
  CHECK_THAT(text, Contains("/*strided_w*/ true"));
  CHECK_THAT(text, Contains("/*BLOCK_M*/ 64, /*BLOCK_N*/ 256, /*BLOCK_K*/ 32, /*warps_m*/ 2, /*warps_n*/ 4"));
  CHECK_THAT(text, Contains("/*stages*/ 5, /*ctas_per_sm*/ 1"));
  CHECK_THAT(text, Contains("TileOrder::n_fastest"));
  // 5 stages of (64 + 256) * 32 * 2 bytes and two prefix sums of 129 ints: the kernel asserts the host's number.
  CHECK_THAT(text, Contains("static_assert(Kernel::shared_bytes == 103432,"));
  CHECK_THAT(text, Contains("MOE_KERNEL(256, 1)\nmoe_tune_forward("));
}

TEST_CASE("An sm90 stub carries every number of the problem and the config") {
  Problem problem = test::qwen3_gate_up();
  problem.fuse_mul_pre = problem.fuse_swiglu = problem.keep_pre_activation = true;
  const KernelConfig config = parse_config("sm90_64x256x128_weights_coop_w12_s2_c1_x2_queue_nfast_dispatch");
  const std::string source = emit_kernel(problem, config, WeightLayout::strided);
  CHECK(source == emit_kernel(problem, config));  // tensor maps carry the strides
  CHECK(count(source, "#include") == 0);
  CHECK(count(source, inline_template("kernels/rows_sm90.cuh")) == 1);
  CHECK_THAT(source, Contains("// config: sm90_64x256x128_weights_coop_w12_s2_c1_x2_queue_nfast_dispatch, for sm_90a\n"
                              "// threads per block 384, dynamic shared memory 182512 bytes, grid: SMs x 1, clusters of 2\n"));
  const std::string text = instantiation(source);
  CHECK_THAT(text, Contains("DType::bf16, /*E*/ 128, /*columns*/ 1536, /*reduction*/ 2048, /*weight_rows_are_k*/ false"));
  CHECK_THAT(text, Contains("/*slots_per_row*/ 8, /*gather_rows*/ true, /*scatter_rows*/ false"));
  CHECK_THAT(text, Contains("/*fuse_mul_post*/ false, /*fuse_mul_pre*/ true, "
                            "/*fuse_swiglu*/ true, /*keep_pre_activation*/ true, /*strided_w*/ false>"));
  CHECK_THAT(text, Contains("Sm90Config</*BLOCK_M*/ 64, /*BLOCK_N*/ 256, /*BLOCK_K*/ 128, moe_tune::MmaM::weights, "
                            "moe_tune::Schedule::cooperative"));
  CHECK_THAT(text, Contains("/*consumers*/ 2, /*stages*/ 2, /*ctas_per_sm*/ 1, /*cluster*/ 2, moe_tune::TileSource::queue"));
  CHECK_THAT(text, Contains("moe_tune::Gather::dispatch>;"));
  CHECK_THAT(text, Contains("RowsSm90<Problem, Config, moe_tune::TileOrder::n_fastest>"));
  CHECK_THAT(text, Contains("static_assert(Kernel::shared_bytes == 182512,"));
  CHECK_THAT(text, Contains("MOE_KERNEL(384, 1)\nmoe_tune_forward(const MOE_GRID_CONSTANT moe_tune::abi::RowsSm90Args args)"));
}

TEST_CASE("dX is the GEMM with columns and reduction, and what is gathered and scattered, exchanged") {
  Problem gate_up = test::qwen3_gate_up();
  gate_up.op = Op::dX;
  const std::string scattered = instantiation(emit_kernel(gate_up, default_config(gate_up, 4096, find_device("h200"))));
  CHECK_THAT(scattered, Contains("/*columns*/ 2048, /*reduction*/ 1536, /*weight_rows_are_k*/ true"));
  CHECK_THAT(scattered, Contains("/*slots_per_row*/ 1, /*gather_rows*/ false, /*scatter_rows*/ true"));
  Problem down = test::qwen3_down();
  down.op = Op::dX;
  const std::string gathered = instantiation(emit_kernel(down, default_config(down, 4096, find_device("h200"))));
  CHECK_THAT(gathered, Contains("/*columns*/ 768, /*reduction*/ 2048, /*weight_rows_are_k*/ true"));
  CHECK_THAT(gathered, Contains("/*slots_per_row*/ 1, /*gather_rows*/ true, /*scatter_rows*/ false"));
}

TEST_CASE("dW says which rows are gathered; family sm80 gathers them in its one kernel") {
  Problem gate_up = test::qwen3_gate_up();
  gate_up.op = Op::dW;
  Problem down = test::qwen3_down();
  down.op = Op::dW;
  const KernelConfig sm80 = default_config(gate_up, 4096, find_device("a100"));
  const std::string source = emit_kernel(gate_up, sm80);
  CHECK(count(source, inline_template("kernels/weights_sm80.cuh")) == 1);
  CHECK(count(source, "MOE_KERNEL(") == count(inline_template("kernels/weights_sm80.cuh"), "MOE_KERNEL(") + 1);
  const std::string gathers_x = instantiation(source);
  CHECK_THAT(gathers_x, Contains("DType::bf16, /*E*/ 128, /*N*/ 1536, /*K*/ 2048,"));
  CHECK_THAT(gathers_x, Contains("/*slots_per_row*/ 8, /*gather_x*/ true, /*gather_y*/ false"));
  CHECK_THAT(gathers_x, Contains("WeightsSm80<Problem, Config, moe_tune::TileOrder::m_fastest>"));
  CHECK_THAT(gathers_x, Contains("MOE_KERNEL(256, 1)\nmoe_tune_dW(const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args)"));
  CHECK_FALSE(dispatches(gate_up, sm80));
  CHECK_FALSE(copies_rows(gate_up, sm80));
  CHECK_THAT(instantiation(emit_kernel(down, sm80)), Contains("/*slots_per_row*/ 1, /*gather_x*/ false, /*gather_y*/ true"));
  const std::string sm90 = instantiation(emit_kernel(gate_up, default_config(gate_up, 4096, find_device("h200"))));
  CHECK_THAT(sm90, Contains("/*slots_per_row*/ 8, /*gather_x*/ true, /*gather_y*/ false"));
  CHECK_THAT(sm90, Contains("WeightsSm90<Problem, Config,"));
  CHECK(count(sm90, "MOE_KERNEL(") == 2);
}

TEST_CASE("dW says what becomes of its sums; forward has no such choice") {
  Problem problem = test::qwen3_gate_up();
  const KernelConfig config = default_config(problem, 4096, find_device("a100"));
  CHECK(count(instantiation(emit_kernel(problem, config)), "accumulate") == 0);
  problem.op = Op::dW;
  CHECK_THAT(instantiation(emit_kernel(problem, config)), Contains("/*float32_dw*/ false, /*accumulate*/ false>;"));
  problem.float32_dw = true;
  CHECK_THAT(instantiation(emit_kernel(problem, config)), Contains("/*float32_dw*/ true, /*accumulate*/ false>;"));
  problem.accumulate = true;
  const std::string both = emit_kernel(problem, default_config(problem, 4096, find_device("h200")));
  CHECK_THAT(instantiation(both), Contains("/*float32_dw*/ true, /*accumulate*/ true>;"));
  CHECK_THAT(instantiation(both), !Contains("swiglu"));
}

TEST_CASE("An sm90 source has a dispatch kernel where the problem has permute_x and the config asks for it") {
  const auto entry_points = [](const Problem& problem, const char* config) {
    const KernelConfig parsed = parse_config(config);
    const std::string text = instantiation(emit_kernel(problem, parsed));
    CHECK(count(text, std::string(kernel_name(Op::forward)) + "(") == 1);
    CHECK((count(text, std::string(dispatch_kernel_name) + "(") == 1) == dispatches(problem, parsed));
    return count(text, "MOE_KERNEL(");
  };
  const char* dispatch = "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch";
  CHECK(entry_points(test::qwen3_gate_up(), dispatch) == 2);
  CHECK(entry_points(test::qwen3_down(), dispatch) == 1);
  CHECK(entry_points(test::qwen3_gate_up(), "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_inkernel") == 1);
  CHECK(entry_points(test::qwen3_gate_up(), "sm80_128x128x64_w4m2_s3_c1_mfast") == 1);
}

TEST_CASE("An emitted kernel has one entry point, of the name that the launcher looks up") {
  CHECK(count(emit_kernel(test::qwen3_gate_up(), {}), std::string(kernel_name(Op::forward)) + "(") == 1);
}

TEST_CASE("Every field of the problem changes the kernel, but for the GEMM, which only the head's comment names") {
  for (const Family family : {Family::sm80, Family::sm90}) {
    const KernelConfig config = bases(family).front();
    const std::string before = emit_kernel(test::qwen3_gate_up(), config);
    std::set<std::string> kernels{instantiation(before)};
    const auto check = [&](const Change& change) {
      Problem problem = test::qwen3_gate_up();
      change.apply(problem);
      INFO(change.field << " with " << to_string(config));
      CHECK(kernels.insert(instantiation(emit_kernel(problem, config))).second);
    };
    for (const Change& change : changes) check(change);
    if (family == Family::sm90) {
      for (const Change& change : fusions) check(change);
    }
    Problem down = test::qwen3_gate_up();
    down.gemm = Gemm::down;
    const std::string other = emit_kernel(down, config);
    CHECK(other != before);
    CHECK(other.substr(other.find('\n')) == before.substr(before.find('\n')));
  }
}

TEST_CASE("Every field of the config changes the kernel") {
  const Problem problem = test::qwen3_gate_up();
  for (const Family family : {Family::sm80, Family::sm90}) {
    for (const ConfigField& field : config_fields()) {
      if (field.allowed(family).size() == 1) continue;
      std::size_t most = 0;
      for (const KernelConfig& base : bases(family)) {
        std::set<std::string> kernels;
        std::size_t emitted = 0;
        for (const int value : field.allowed(family)) {
          KernelConfig config = base;
          field.set(config, value);
          if (!in_config_space(problem, config, find_device("h200"))) continue;
          kernels.insert(instantiation(emit_kernel(problem, config)));
          ++emitted;
        }
        INFO(field.name << " of " << to_string(base));
        CHECK(kernels.size() == emitted);
        most = std::max(most, emitted);
      }
      INFO(field.name);
      CHECK(most >= 2);
    }
  }
}

TEST_CASE("Strided weights are another kernel, contiguous the default") {
  const std::string strided = emit_kernel(test::qwen3_gate_up(), {}, WeightLayout::strided);
  const std::string contiguous = emit_kernel(test::qwen3_gate_up(), {}, WeightLayout::contiguous);
  CHECK(instantiation(strided) != instantiation(contiguous));
  CHECK(contiguous == emit_kernel(test::qwen3_gate_up(), {}));
}

TEST_CASE("A config or problem that cannot be is refused with the reason, and no source") {
  KernelConfig config;
  config.warps_m = 4;
  config.warps = 2;
  CHECK_THROWS_AS(emit_kernel(test::qwen3_gate_up(), config), UsageError);
  CHECK_THROWS_WITH(emit_kernel(test::qwen3_gate_up(), config),
                    Contains("sm80_128x128x64_w2m4_s3_c1_mfast cannot serve forward gate_up") &&
                        Contains("warps_m = 4 does not divide warps = 2"));
  Problem problem = test::qwen3_gate_up();
  problem.N = 12;
  CHECK_THROWS_WITH(emit_kernel(problem, {}), Contains("N = 12 is not a multiple of 8"));
}

TEST_CASE("The source hash is that of the templates of a family's kernels of an operation") {
  std::set<std::string_view> seen;
  const std::string hash = source_hash(Family::sm80, Op::dW);
  CHECK(hash == hash_hex(inline_template("kernels/weights_sm80.cuh", embedded_templates(), seen)));
  CHECK(hash.size() == 32);
  const auto both = source_hashes(Op::dW);
  CHECK(both[0] == hash);
  CHECK(both[1] != hash);
  CHECK(source_hash(Family::sm80, Op::forward) != hash);
  CHECK(source_hash(Family::sm80, Op::forward) == source_hash(Family::sm80, Op::dX));
  CHECK_FALSE(generator_version().empty());
}
