#include "moe_tune/config.hpp"

#include <fmt/format.h>

#include <array>
#include <functional>

namespace moe_tune {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view block_m_aliases[] = {"BLOCK_SIZE_M"};
constexpr std::string_view block_n_aliases[] = {"BLOCK_SIZE_N"};
constexpr std::string_view block_k_aliases[] = {"BLOCK_SIZE_K"};
constexpr std::string_view warps_aliases[] = {"num_warps"};
constexpr std::string_view stages_aliases[] = {"num_stages"};
constexpr std::string_view family_spelling[] = {"sm80"};
constexpr std::string_view order_spelling[] = {"m_fastest", "n_fastest"};

constexpr int families[] = {0};
constexpr int block_m_values[] = {16, 32, 64, 128, 256};
constexpr int block_n_values[] = {32, 64, 128, 256};
constexpr int block_k_values[] = {32, 64, 128};
constexpr int warps_values[] = {1, 2, 4, 8, 16};
constexpr int warps_m_values[] = {1, 2, 4, 8};
constexpr int stages_values[] = {2, 3, 4, 5, 6, 7, 8};
constexpr int ctas_values[] = {1, 2, 3, 4};
constexpr int order_values[] = {0, 1};

#define MOE_TUNE_FIELD(member)                                        \
  [](const KernelConfigForward& c) { return static_cast<int>(c.member); }, \
      [](KernelConfigForward& c, int value) { c.member = static_cast<decltype(c.member)>(value); }

constexpr ConfigField fields[] = {
    {"family", {}, families, family_spelling, "kernel family", false, MOE_TUNE_FIELD(family)},
    {"BLOCK_M", block_m_aliases, block_m_values, {}, "rows of a tile", true, MOE_TUNE_FIELD(BLOCK_M)},
    {"BLOCK_N", block_n_aliases, block_n_values, {}, "output columns of a tile", true, MOE_TUNE_FIELD(BLOCK_N)},
    {"BLOCK_K", block_k_aliases, block_k_values, {}, "reduction length of a pipeline stage", true, MOE_TUNE_FIELD(BLOCK_K)},
    {"warps", warps_aliases, warps_values, {}, "warps per block", true, MOE_TUNE_FIELD(warps)},
    {"warps_m", {}, warps_m_values, {}, "warps that split BLOCK_M; the other factor splits BLOCK_N", false, MOE_TUNE_FIELD(warps_m)},
    {"stages", stages_aliases, stages_values, {}, "pipeline stages in shared memory", true, MOE_TUNE_FIELD(stages)},
    {"ctas_per_sm", {}, ctas_values, {}, "resident blocks per SM", false, MOE_TUNE_FIELD(ctas_per_sm)},
    {"tile_order", {}, order_values, order_spelling, "order of an expert's tiles", false, MOE_TUNE_FIELD(tile_order)},
};

#undef MOE_TUNE_FIELD

}  // namespace

std::span<const ConfigField> forward_fields() { return fields; }

std::string field_text(const ConfigField& field, const KernelConfigForward& config) {
  const int value = field.get(config);
  for (std::size_t i = 0; i < field.spelling.size(); ++i) {
    if (field.allowed[i] == value) return std::string(field.spelling[i]);
  }
  return std::to_string(value);
}

std::string to_string(const KernelConfigForward& c) {
  return fmt::format("{}_{}x{}x{}_w{}m{}_s{}_c{}_{}", family_spelling[static_cast<int>(c.family)], c.BLOCK_M, c.BLOCK_N, c.BLOCK_K,
                     c.warps, c.warps_m, c.stages, c.ctas_per_sm, c.tile_order == TileOrder::m_fastest ? "mfast" : "nfast");
}

int default_warps_m(int BLOCK_M, int BLOCK_N, int warps) {
  int best = 1;
  int best_cost = 0;
  for (int warps_m = 1; warps_m <= warps; warps_m *= 2) {
    const int rows = BLOCK_M / warps_m;
    const int columns = BLOCK_N / (warps / warps_m);
    if (rows < 16 || columns < 32) continue;
    // What a warp reads from shared memory per MMA step.
    const int cost = rows + columns;
    if (best_cost == 0 || cost < best_cost) {
      best = warps_m;
      best_cost = cost;
    }
  }
  return best;
}

std::size_t ConfigHash::operator()(const KernelConfigForward& config) const {
  std::size_t seed = 0;
  for (const ConfigField& field : fields) seed = seed * 1000003u ^ std::hash<int>{}(field.get(config));
  return seed;
}

}  // namespace moe_tune
