#include "moe_tune/config.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <climits>
#include <set>
#include <unordered_set>

#include "generator/config_space.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;

namespace {

const ConfigField& field(std::string_view name) {
  const auto fields = forward_fields();
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.name == name; });
  REQUIRE(found != fields.end());
  return *found;
}

std::vector<KernelConfigForward> space() { return config_space(test::qwen3_gate_up(), find_device("h200")); }

}  // namespace

TEST_CASE("Setting every field of the table changes every member") {
  KernelConfigForward config;
  for (const ConfigField& f : forward_fields()) {
    const KernelConfigForward before = config;
    if (f.allowed.size() == 1) continue;  // family: nothing to change it to
    const int other = *std::find_if(f.allowed.begin(), f.allowed.end(), [&](int value) { return value != f.get(before); });
    f.set(config, other);
    INFO(f.name);
    CHECK(config != before);
    CHECK(f.get(config) == other);
  }
  // A member without a field still has its default and shows here; a member that is missing here does not compile.
  const KernelConfigForward defaults;
  const auto& [family, block_m, block_n, block_k, warps, warps_m, stages, ctas_per_sm, tile_order] = config;
  CHECK(family == Family::sm80);
  CHECK(block_m != defaults.BLOCK_M);
  CHECK(block_n != defaults.BLOCK_N);
  CHECK(block_k != defaults.BLOCK_K);
  CHECK(warps != defaults.warps);
  CHECK(warps_m != defaults.warps_m);
  CHECK(stages != defaults.stages);
  CHECK(ctas_per_sm != defaults.ctas_per_sm);
  CHECK(tile_order != defaults.tile_order);
}

TEST_CASE("The table is consistent: unique names, sorted values, a spelling for each enum value, the default allowed") {
  std::set<std::string_view> names;
  for (const ConfigField& f : forward_fields()) {
    INFO(f.name);
    CHECK(names.insert(f.name).second);
    for (const std::string_view alias : f.aliases) CHECK(names.insert(alias).second);
    CHECK(std::is_sorted(f.allowed.begin(), f.allowed.end()));
    CHECK((f.spelling.empty() || f.spelling.size() == f.allowed.size()));
    CHECK(std::count(f.allowed.begin(), f.allowed.end(), f.get(KernelConfigForward{})) == 1);
    CHECK_FALSE(f.help.empty());
  }
}

TEST_CASE("field_text() prints numbers and the names of enum values") {
  KernelConfigForward config;
  config.stages = 7;
  config.tile_order = TileOrder::n_fastest;
  CHECK(field_text(field("stages"), config) == "7");
  CHECK(field_text(field("tile_order"), config) == "n_fastest");
  CHECK(field_text(field("family"), config) == "sm80");
}

TEST_CASE("A config's name") {
  CHECK(to_string(KernelConfigForward{}) == "sm80_128x128x64_w4m2_s3_c1_mfast");
  CHECK(to_string(KernelConfigForward{Family::sm80, 16, 32, 128, 8, 1, 5, 4, TileOrder::n_fastest}) ==
        "sm80_16x32x128_w8m1_s5_c4_nfast");
}

TEST_CASE("No two configs of the space share a name, and hardly any two a hash") {
  const auto configs = space();
  REQUIRE(configs.size() > 1000);
  std::set<std::string> names;
  std::unordered_set<std::size_t> hashes;
  for (const KernelConfigForward& config : configs) {
    names.insert(to_string(config));
    hashes.insert(ConfigHash{}(config));
  }
  CHECK(names.size() == configs.size());
  CHECK(hashes.size() > configs.size() * 99 / 100);
}

TEST_CASE("Equal configs have equal hashes, each field enters the hash") {
  CHECK(ConfigHash{}(KernelConfigForward{}) == ConfigHash{}(KernelConfigForward{}));
  for (const ConfigField& f : forward_fields()) {
    std::set<std::size_t> hashes;
    for (const int value : f.allowed) {
      KernelConfigForward config;
      f.set(config, value);
      hashes.insert(ConfigHash{}(config));
    }
    INFO(f.name);
    CHECK(hashes.size() == f.allowed.size());
  }
}

TEST_CASE("The default split of warps") {
  CHECK(default_warps_m(128, 128, 4) == 2);
  CHECK(default_warps_m(16, 128, 4) == 1);
  CHECK(default_warps_m(32, 128, 4) == 1);
  CHECK(default_warps_m(256, 64, 8) == 4);
  CHECK(default_warps_m(64, 128, 8) == 2);
  CHECK(default_warps_m(256, 32, 8) == 8);
  CHECK(default_warps_m(128, 128, 1) == 1);
  CHECK(default_warps_m(128, 96, 4) == 4);  // 64 x 48 is squarer, but no whole groups
}

TEST_CASE("The default split leaves each warp whole groups of 16 rows and 32 columns where any split does") {
  for (const int block_m : field("BLOCK_M").allowed) {
    for (const int block_n : field("BLOCK_N").allowed) {
      for (const int warps : field("warps").allowed) {
        const int chosen = default_warps_m(block_m, block_n, warps);
        const auto fits = [&](int warps_m) { return block_m % (16 * warps_m) == 0 && block_n % (32 * (warps / warps_m)) == 0; };
        bool any = false;
        for (int warps_m = 1; warps_m <= warps; warps_m *= 2) any = any || fits(warps_m);
        INFO(block_m << "x" << block_n << " " << warps << " warps: " << chosen);
        REQUIRE(chosen >= 1);
        REQUIRE(chosen <= warps);
        CHECK(fits(chosen) == any);
        CHECK((any || chosen == 1));
      }
    }
  }
}

TEST_CASE("The default split of absurd numbers is 1: they come from callers and are refused afterwards") {
  for (const int warps : {INT_MAX, 0, -1, INT_MIN, 3}) CHECK(default_warps_m(16, 32, warps) == 1);
  for (const int block : {0, -128, INT_MIN}) CHECK(default_warps_m(block, 128, 4) == 1);
}
