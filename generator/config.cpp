#include "moe_tune/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include "moe_tune/error.hpp"

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
constexpr int block_m_values[] = {16, 32, 64, 96, 128, 192, 256};
constexpr int block_n_values[] = {32, 64, 96, 128, 192, 256};
constexpr int block_k_values[] = {32, 64, 128};
constexpr int warps_values[] = {1, 2, 4, 8, 16};
constexpr int warps_m_values[] = {1, 2, 4, 8};
constexpr int stages_values[] = {2, 3, 4, 5, 6, 7, 8};
constexpr int ctas_values[] = {1, 2, 3, 4};
constexpr int order_values[] = {0, 1};

#define MOE_TUNE_FIELD(member)                                             \
  [](const KernelConfigForward& c) { return static_cast<int>(c.member); }, \
      [](KernelConfigForward& c, int value) { c.member = static_cast<decltype(c.member)>(value); }

constexpr ConfigField fields[] = {
    {"family", {}, families, family_spelling, "kernel family", false, MOE_TUNE_FIELD(family)},
    {"BLOCK_M", block_m_aliases, block_m_values, {}, "rows of a tile", true, MOE_TUNE_FIELD(BLOCK_M)},
    {"BLOCK_N", block_n_aliases, block_n_values, {}, "output columns of a tile", true, MOE_TUNE_FIELD(BLOCK_N)},
    {"BLOCK_K", block_k_aliases, block_k_values, {}, "reduction length of a pipeline stage", true, MOE_TUNE_FIELD(BLOCK_K)},
    {"warps", warps_aliases, warps_values, {}, "warps per block", true, MOE_TUNE_FIELD(warps)},
    {"warps_m",
     {},
     warps_m_values,
     {},
     "warps that split BLOCK_M; the other factor splits BLOCK_N",
     false,
     MOE_TUNE_FIELD(warps_m)},
    {"stages", stages_aliases, stages_values, {}, "pipeline stages in shared memory", true, MOE_TUNE_FIELD(stages)},
    {"ctas_per_sm", {}, ctas_values, {}, "resident blocks per SM", false, MOE_TUNE_FIELD(ctas_per_sm)},
    {"tile_order", {}, order_values, order_spelling, "order of an expert's tiles", false, MOE_TUNE_FIELD(tile_order)},
};

#undef MOE_TUNE_FIELD

constexpr std::string_view order_suffixes[] = {"mfast", "nfast"};

// Takes the parts of a config's name off the front of a text, one after the other.
class NameReader {
 public:
  explicit NameReader(std::string_view text) : rest_(text) {}

  int number(std::string_view prefix) {
    int value = 0;
    take(prefix);
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    good_ = good_ && error == std::errc();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  int one_of(std::string_view prefix, Names names) {
    take(prefix);
    const auto name = std::find_if(names.begin(), names.end(), [&](std::string_view n) { return rest_.starts_with(n); });
    good_ = good_ && name != names.end();
    if (!good_) return 0;
    take(*name);
    return static_cast<int>(name - names.begin());
  }

  bool read_all() const { return good_ && rest_.empty(); }

 private:
  void take(std::string_view prefix) {
    good_ = good_ && rest_.starts_with(prefix);
    if (good_) rest_.remove_prefix(prefix.size());
  }

  std::string_view rest_;
  bool good_ = true;
};

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
  return fmt::format("{}_{}x{}x{}_w{}m{}_s{}_c{}_{}", family_spelling[static_cast<int>(c.family)], c.BLOCK_M, c.BLOCK_N,
                     c.BLOCK_K, c.warps, c.warps_m, c.stages, c.ctas_per_sm, order_suffixes[static_cast<int>(c.tile_order)]);
}

KernelConfigForward parse_config(std::string_view name) {
  NameReader reader(name);
  KernelConfigForward c;
  c.family = static_cast<Family>(reader.one_of("", family_spelling));
  c.BLOCK_M = reader.number("_");
  c.BLOCK_N = reader.number("x");
  c.BLOCK_K = reader.number("x");
  c.warps = reader.number("_w");
  c.warps_m = reader.number("m");
  c.stages = reader.number("_s");
  c.ctas_per_sm = reader.number("_c");
  c.tile_order = static_cast<TileOrder>(reader.one_of("_", order_suffixes));
  // Printing again refuses other spellings of the same numbers, such as 0128: a config has one name.
  if (!reader.read_all() || to_string(c) != name) {
    throw UsageError(fmt::format("config \"{}\" is not a name of the form {}", name, to_string(KernelConfigForward{})));
  }
  for (const ConfigField& field : fields) {
    if (std::find(field.allowed.begin(), field.allowed.end(), field.get(c)) == field.allowed.end()) {
      throw UsageError(
          fmt::format("config \"{}\": {} = {} is not one of {}", name, field.name, field.get(c), fmt::join(field.allowed, ", ")));
    }
  }
  return c;
}

int default_warps_m(int BLOCK_M, int BLOCK_N, int warps) {
  int best = 1;
  int best_cost = 0;
  // The numbers come unchecked from callers: bounded by BLOCK_M / 16, warps_m cannot run over.
  for (int warps_m = 1; warps_m <= warps && warps_m <= BLOCK_M / 16; warps_m *= 2) {
    const int rows = BLOCK_M / warps_m;
    const int columns = BLOCK_N / (warps / warps_m);
    if (rows % 16 != 0 || columns < 32 || columns % 32 != 0) continue;
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
