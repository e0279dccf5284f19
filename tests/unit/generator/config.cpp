#include "moe_tune/config.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <climits>
#include <iterator>
#include <set>
#include <unordered_set>

#include "generator/config_space.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;

namespace {

const ConfigField& field(std::string_view name) {
  const auto fields = config_fields();
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.name == name; });
  REQUIRE(found != fields.end());
  return *found;
}

constexpr Family families[] = {Family::sm80, Family::sm90};
static_assert(std::size(families) == family_count);

std::vector<KernelConfig> space() { return config_space(test::qwen3_gate_up(), find_device("h200")); }

}  // namespace

TEST_CASE("Setting every field of the table changes every member") {
  KernelConfig config;
  for (const ConfigField& f : config_fields()) {
    const KernelConfig before = config;
    const auto allowed = f.allowed(Family::sm90);
    const auto other = std::find_if(allowed.begin(), allowed.end(), [&](int value) { return value != f.get(before); });
    REQUIRE(other != allowed.end());
    f.set(config, *other);
    INFO(f.name);
    CHECK(config != before);
    CHECK(f.get(config) == *other);
  }
  // A member without a field still has its default and shows here; a member that is missing here does not compile.
  const KernelConfig defaults;
  const auto& [family, block_m, block_n, block_k, warps, warps_m, stages, ctas_per_sm, tile_order, mma_m, schedule, cluster,
               tile_source, gather] = config;
  CHECK(family != defaults.family);
  CHECK(block_m != defaults.BLOCK_M);
  CHECK(block_n != defaults.BLOCK_N);
  CHECK(block_k != defaults.BLOCK_K);
  CHECK(warps != defaults.warps);
  CHECK(warps_m != defaults.warps_m);
  CHECK(stages != defaults.stages);
  CHECK(ctas_per_sm != defaults.ctas_per_sm);
  CHECK(tile_order != defaults.tile_order);
  CHECK(mma_m != defaults.mma_m);
  CHECK(schedule != defaults.schedule);
  CHECK(cluster != defaults.cluster);
  CHECK(tile_source != defaults.tile_source);
  CHECK(gather != defaults.gather);
}

TEST_CASE("The table is consistent: unique names, sorted values, a spelling for each enum value, the default allowed") {
  std::set<std::string_view> names;
  for (const ConfigField& f : config_fields()) {
    INFO(f.name);
    CHECK(names.insert(f.name).second);
    for (const std::string_view alias : f.aliases) CHECK(names.insert(alias).second);
    std::set<int> values;
    for (const Family family : families) {
      const auto allowed = f.allowed(family);
      REQUIRE_FALSE(allowed.empty());
      CHECK(std::is_sorted(allowed.begin(), allowed.end()));
      CHECK(std::adjacent_find(allowed.begin(), allowed.end()) == allowed.end());
      values.insert(allowed.begin(), allowed.end());
      for (const int value : allowed) CHECK(f.allows(family, value));
      CHECK_FALSE(f.allows(family, -1));
      CHECK_FALSE(f.allows(family, INT_MAX));
    }
    CHECK((f.spelling.empty() || f.spelling.size() == values.size()));
    CHECK((f.spelling.empty() || (*values.begin() == 0 && *values.rbegin() == static_cast<int>(values.size()) - 1)));
    CHECK(f.allows(Family::sm80, f.get(KernelConfig{})));
    CHECK(f.allowed(static_cast<Family>(family_count)).empty());
    CHECK_FALSE(f.help.empty());
  }
}

TEST_CASE("The fields of sm90 have one value in sm80, the default; the family has its own") {
  for (const ConfigField& f : config_fields()) {
    INFO(f.name);
    const bool of_sm90 = f.name == "mma_m" || f.name == "schedule" || f.name == "cluster" || f.name == "tile_source" ||
                         f.name == "gather" || f.name == "family";
    CHECK((f.allowed(Family::sm80).size() == 1) == of_sm90);
    if (of_sm90) CHECK(f.allowed(Family::sm80).front() == f.get(KernelConfig{}));
  }
  CHECK(field("family").allowed(Family::sm90).front() == static_cast<int>(Family::sm90));
}

TEST_CASE("The first config of a family has values of it alone") {
  for (const Family family : families) {
    const KernelConfig first = first_config(family);
    CHECK(first.family == family);
    CHECK_FALSE(reject_field_values(first));
  }
}

TEST_CASE("A value outside its family's space is refused with those that are in it") {
  CHECK_FALSE(reject_field_values({}));
  KernelConfig config;
  config.mma_m = MmaM::weights;
  CHECK(reject_field_values(config) == "mma_m = weights is not one of tokens in family sm80");
  config.family = Family::sm90;
  config.BLOCK_N = 96;
  CHECK(reject_field_values(config) == "BLOCK_N = 96 is not one of 64, 128, 192, 256 in family sm90");
  config.BLOCK_N = 128;
  CHECK(reject_field_values(config) == "warps = 4 is not one of 8, 12 in family sm90");
  config.warps = 8;
  config.warps_m = 1;
  CHECK_FALSE(reject_field_values(config));
  config.gather = static_cast<Gather>(3);
  CHECK(reject_field_values(config) == "gather = 3 is not one of dispatch, in_kernel, copy_ahead in family sm90");
  config.family = static_cast<Family>(7);
  CHECK(reject_field_values(config) == "family = 7 is not one of sm80, sm90");
}

TEST_CASE("field_text() prints numbers and the names of enum values") {
  KernelConfig config;
  config.stages = 7;
  config.tile_order = TileOrder::n_fastest;
  CHECK(field_text(field("stages"), config) == "7");
  CHECK(field_text(field("tile_order"), config) == "n_fastest");
  CHECK(field_text(field("family"), config) == "sm80");
  config.gather = Gather::in_kernel;
  CHECK(field_text(field("gather"), config) == "in_kernel");
  config.gather = static_cast<Gather>(-1);
  CHECK(field_text(field("gather"), config) == "-1");
}

TEST_CASE("allowed_text() lists a family's values") {
  CHECK(allowed_text(field("BLOCK_K"), Family::sm80) == "32, 64, 128");
  CHECK(allowed_text(field("BLOCK_K"), Family::sm90) == "64, 128");
  CHECK(allowed_text(field("schedule"), Family::sm80) == "cooperative");
  CHECK(allowed_text(field("schedule"), Family::sm90) == "cooperative, ping_pong");
}

TEST_CASE("A config's name") {
  CHECK(to_string(KernelConfig{}) == "sm80_128x128x64_w4m2_s3_c1_mfast");
  CHECK(to_string(KernelConfig{Family::sm80, 16, 32, 128, 8, 1, 5, 4, TileOrder::n_fastest}) ==
        "sm80_16x32x128_w8m1_s5_c4_nfast");
  KernelConfig config = first_config(Family::sm90);
  CHECK(to_string(config) == "sm90_16x64x64_tokens_coop_w8_s2_c1_x1_static_mfast_dispatch");
  config = {
      Family::sm90,     192, 128, 64, 12, 1, 4, 1, TileOrder::n_fastest, MmaM::weights, Schedule::ping_pong, 2, TileSource::queue,
      Gather::in_kernel};
  CHECK(to_string(config) == "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_nfast_inkernel");
}

TEST_CASE("No two configs of the space share a name, and hardly any two a hash") {
  const auto configs = space();
  REQUIRE(configs.size() > 1000);
  std::set<std::string> names;
  std::unordered_set<std::size_t> hashes;
  for (const KernelConfig& config : configs) {
    names.insert(to_string(config));
    hashes.insert(ConfigHash{}(config));
  }
  CHECK(names.size() == configs.size());
  CHECK(hashes.size() > configs.size() * 99 / 100);
}

TEST_CASE("Equal configs have equal hashes, each field enters the hash") {
  CHECK(ConfigHash{}(KernelConfig{}) == ConfigHash{}(KernelConfig{}));
  for (const ConfigField& f : config_fields()) {
    std::set<std::size_t> hashes;
    std::set<int> values;
    for (const Family family : families) {
      for (const int value : f.allowed(family)) {
        KernelConfig config;
        f.set(config, value);
        hashes.insert(ConfigHash{}(config));
        values.insert(value);
      }
    }
    INFO(f.name);
    CHECK(values.size() >= 2);
    CHECK(hashes.size() == values.size());
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
  for (const int block_m : field("BLOCK_M").allowed(Family::sm80)) {
    for (const int block_n : field("BLOCK_N").allowed(Family::sm80)) {
      for (const int warps : field("warps").allowed(Family::sm80)) {
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
