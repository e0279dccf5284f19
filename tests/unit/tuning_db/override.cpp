#include "tuning_db/override.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"

using namespace moe_tune;

namespace {

const std::string required = R"("BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 32, "num_warps": 8, "num_stages": 3)";

std::string with(const std::string& extra, const std::string& kind = "forward") {
  return "{\"" + kind + "\": {" + required + (extra.empty() ? "" : ", " + extra) + "}}";
}

std::string error_of(const std::string& text) {
  try {
    parse_override(text, "o.json");
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

const OverrideKind forward = {Op::forward, std::nullopt};

}  // namespace

TEST_CASE("the spellings of similar tools are read", "[override]") {
  const Override file = parse_override(with(R"("permute_x": true, "permute_y": false, "fuse_mul_post": false,
      "use_tma_load_w": false, "use_tma_load_x": false, "use_tma_store": false, "flatten": true)"),
                                       "o.json");
  REQUIRE(file.configs.contains(forward));
  const KernelConfig& config = file.configs.at(forward).config;
  CHECK(config.family == Family::sm80);
  CHECK(config.BLOCK_M == 64);
  CHECK(config.BLOCK_N == 128);
  CHECK(config.BLOCK_K == 32);
  CHECK(config.warps == 8);
  CHECK(config.stages == 3);
  CHECK(config.warps_m == default_warps_m(64, 128, 8));
  REQUIRE(file.notes.size() == 4);
  CHECK_THAT(file.notes[3], Catch::Contains("o.json: forward.flatten: ignored"));

  const Override own = parse_override(
      R"({"forward.down": {"BLOCK_M": 16, "BLOCK_N": 32, "BLOCK_K": 64, "warps": 2, "stages": 2, "warps_m": 1,
          "family": "sm80", "tile_order": "n_fastest", "ctas_per_sm": 3}})",
      "o.json");
  const KernelConfig& down = own.configs.at({Op::forward, Gemm::down}).config;
  CHECK(down.tile_order == TileOrder::n_fastest);
  CHECK(down.ctas_per_sm == 3);
  CHECK(own.notes.empty());
}

TEST_CASE("the family of a file says which values its keys may have, wherever it stands", "[override]") {
  const std::string tile = R"("BLOCK_M": 192, "BLOCK_N": 128, "BLOCK_K": 64, "warps": 12, "stages": 4)";
  const Override file = parse_override("{\"forward\": {" + tile + R"(, "mma_m": "weights", "schedule": "ping_pong", "cluster": 2,
      "tile_source": "queue", "gather": "in_kernel", "tile_order": "n_fastest", "family": "sm90", "fuse_swiglu": false}})",
                                       "o.json");
  REQUIRE(file.configs.contains(forward));
  CHECK(file.configs.at(forward).config == test::sample_sm90_config());
  CHECK(file.configs.at(forward).flags.at("fuse_swiglu") == false);

  const Override few = parse_override("{\"forward\": {\"family\": \"sm90\", " + tile + "}}", "o.json");
  CHECK(to_string(few.configs.at(forward).config) == "sm90_192x128x64_tokens_coop_w12_s4_c1_x1_static_mfast_dispatch");

  const Override foreign = parse_override(
      "{\"forward\": {\"use_tma_load_w\": true, \"use_tma_store\": true, \"family\": \"sm90\", " + tile + "}}", "o.json");
  REQUIRE(foreign.notes.size() == 2);
  CHECK_THAT(foreign.notes[0], Catch::Contains("o.json: forward.use_tma_load_w: ignored: the sm90 family"));

  CHECK_THAT(error_of("{\"forward\": {\"family\": \"sm90\", " + tile + ", \"warps_m\": 2}}"),
             Catch::Contains("forward.warps_m: 2 is not allowed; allowed: 1"));
  CHECK_THAT(error_of("{\"forward\": {\"family\": \"sm90\", \"BLOCK_M\": 192}}"),
             Catch::Contains("o.json: forward: BLOCK_N is missing; allowed: 64, 128, 192, 256"));
}

TEST_CASE("errors name file, key, value and the allowed set", "[override]") {
  CHECK_THAT(error_of(R"({"forward": {"BLOCK_SIZE_M": 48}})"),
             Catch::StartsWith("o.json: forward.BLOCK_SIZE_M: 48 is not allowed; allowed: 16, 32, 64, "));
  CHECK_THAT(error_of(R"({"forward": {"BLOCK_SIZE_M": 64.0}})"),
             Catch::Contains("forward.BLOCK_SIZE_M: expected an integer, found 64.0"));
  CHECK_THAT(error_of(R"({"forward": {"BLOCK_SIZE_M": "64"}})"), Catch::Contains("expected an integer, found \"64\""));
  CHECK_THAT(error_of(R"({"forward": {"BLOCK_SIZE_M": 64, "BLOCK_M": 64}})"), Catch::Contains("BLOCK_M is given twice"));
  CHECK_THAT(error_of(R"({"forward": {"BLOCK_SIZE_M": 64}})"),
             Catch::Contains("o.json: forward: BLOCK_N is missing; allowed: 32"));
  CHECK_THAT(error_of(with("\"GROUP_SIZE_M\": 8")),
             Catch::Contains("forward.GROUP_SIZE_M: unknown key; allowed: family, BLOCK_M"));
  CHECK_THAT(error_of(with("\"use_tma_load_w\": true")), Catch::Contains("true is not allowed with family sm80"));
  CHECK_THAT(error_of(with("\"use_tma_store\": true")), Catch::Contains("allowed: false"));
  CHECK_THAT(error_of(with("\"flatten\": 1")), Catch::Contains("expected true or false, found 1"));
  CHECK_THAT(error_of(with("\"family\": \"sm70\"")), Catch::Contains("\"sm70\" is not allowed; allowed: sm80, sm90"));
  CHECK_THAT(error_of(with("\"family\": 0")), Catch::Contains("forward.family: expected a string, found 0"));
  CHECK_THAT(error_of(with("\"family\": \"sm90\"")),
             Catch::Contains("forward.BLOCK_SIZE_K: 32 is not allowed; allowed: 64, 128"));
  CHECK_THAT(error_of(with("\"schedule\": \"ping_pong\"")),
             Catch::Contains("forward.schedule: \"ping_pong\" is not allowed; allowed: cooperative"));
  CHECK_THAT(error_of(with("", "dX")),
             Catch::Contains("unknown kind; allowed: forward, forward.gate_up, forward.down, backward_dX, "
                             "backward_dX.gate_up, backward_dX.down, backward_dW, "));
  CHECK_THAT(error_of("{}"), Catch::Contains("no config"));
  CHECK_THAT(error_of("[]"), Catch::Contains("o.json: expected an object"));
  CHECK_THAT(error_of(R"({"forward": 3})"), Catch::Contains("forward: expected an object, found 3"));
}

TEST_CASE("a GEMM's own object goes before the common one", "[override]") {
  const Override file = parse_override("{\"forward\": {" + required + R"(}, "forward.down": {"BLOCK_M": 16, "BLOCK_N": 32,
      "BLOCK_K": 64, "warps": 2, "stages": 2}})",
                                       "o.json");
  CHECK(select(file, test::sample_problem(Gemm::down))->BLOCK_M == 16);
  CHECK(select(file, test::sample_problem(Gemm::gate_up))->BLOCK_M == 64);
}

TEST_CASE("every operation has configs of its own", "[override]") {
  const Override file = parse_override(R"({"backward_dX": {"BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": 32, "warps": 8, "stages": 3,
      "use_tma_load_dy": false}, "backward_dW.down": {"BLOCK_M": 32, "BLOCK_N": 64, "BLOCK_K": 32, "warps": 4, "stages": 2}})",
                                       "o.json");
  Problem problem = test::sample_problem(Gemm::down);
  CHECK_FALSE(select(file, problem));
  problem.op = Op::dX;
  CHECK(select(file, problem)->BLOCK_M == 64);
  problem.op = Op::dW;
  CHECK(select(file, problem)->BLOCK_M == 32);
  problem.gemm = Gemm::gate_up;
  CHECK_FALSE(select(file, problem));
  CHECK_THAT(file.notes.at(0), Catch::Contains("o.json: backward_dX.use_tma_load_dy: ignored"));
}

TEST_CASE("the problem's flags must agree", "[override]") {
  const Problem down = test::sample_problem(Gemm::down);  // permute_y, fuse_mul_post
  const Problem gate_up = test::sample_problem(Gemm::gate_up);
  const Override file = parse_override(with("\"permute_y\": true, \"fuse_mul_post\": true"), "o.json");
  CHECK(select(file, down) == file.configs.at(forward).config);
  CHECK_THROWS_WITH(select(file, gate_up),
                    "o.json: forward.permute_y: true but the problem has false; allowed: false (or leave the key out)");
  const Override fused = parse_override(with("\"fuse_swiglu\": true"), "o.json");
  CHECK_THROWS_WITH(select(fused, gate_up), Catch::Contains("forward.fuse_swiglu: true but the problem has false"));
  Problem swiglu = gate_up;
  swiglu.fuse_swiglu = true;
  CHECK(select(fused, swiglu));
  const Override only_down = parse_override(with("", "forward.down"), "o.json");
  CHECK(select(only_down, down));
  CHECK_FALSE(select(only_down, gate_up));
}
