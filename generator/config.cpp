#include "moe_tune/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <vector>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view block_m_aliases[] = {"BLOCK_SIZE_M"};
constexpr std::string_view block_n_aliases[] = {"BLOCK_SIZE_N"};
constexpr std::string_view block_k_aliases[] = {"BLOCK_SIZE_K"};
constexpr std::string_view warps_aliases[] = {"num_warps"};
constexpr std::string_view stages_aliases[] = {"num_stages"};
constexpr std::string_view family_spelling[] = {"sm80", "sm90"};
constexpr std::string_view order_spelling[] = {"m_fastest", "n_fastest"};
constexpr std::string_view mma_m_spelling[] = {"tokens", "weights"};
constexpr std::string_view schedule_spelling[] = {"cooperative", "ping_pong"};
constexpr std::string_view source_spelling[] = {"static_order", "queue"};
constexpr std::string_view gather_spelling[] = {"dispatch", "in_kernel", "copy_ahead"};
static_assert(std::size(family_spelling) == family_count);

// The config space of each family; what must hold between the fields is in generator/constraints_<family>.cpp.
constexpr int only_0[] = {0};
constexpr int only_1[] = {1};
constexpr int both[] = {0, 1};
constexpr int sm80_block_m[] = {16, 32, 64, 96, 128, 192, 256};
constexpr int sm80_block_n[] = {32, 64, 96, 128, 192, 256};
constexpr int sm80_block_k[] = {32, 64, 128};
constexpr int sm80_warps[] = {1, 2, 4, 8, 16};
constexpr int sm80_warps_m[] = {1, 2, 4, 8};
constexpr int sm80_stages[] = {2, 3, 4, 5, 6, 7, 8};
constexpr int sm80_ctas[] = {1, 2, 3, 4};
constexpr int sm90_block_m[] = {16, 32, 48, 64, 96, 128, 160, 192, 256};
constexpr int sm90_block_n[] = {64, 128, 192, 256};
constexpr int sm90_block_k[] = {64, 128};
constexpr int sm90_warps[] = {8, 12};
constexpr int sm90_stages[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
constexpr int sm90_ctas[] = {1, 2, 3};
constexpr int sm90_cluster[] = {1, 2};
constexpr int sm90_gather[] = {0, 1, 2};

#define MOE_TUNE_FIELD(member)                                      \
  [](const KernelConfig& c) { return static_cast<int>(c.member); }, \
      [](KernelConfig& c, int value) { c.member = static_cast<decltype(c.member)>(value); }

// clang-format off: a line for each field
constexpr ConfigField fields[] = {
    {"family", {}, {only_0, only_1}, family_spelling, "kernel family", false, MOE_TUNE_FIELD(family)},
    {"BLOCK_M", block_m_aliases, {sm80_block_m, sm90_block_m}, {}, "rows of a tile", true, MOE_TUNE_FIELD(BLOCK_M)},
    {"BLOCK_N", block_n_aliases, {sm80_block_n, sm90_block_n}, {}, "output columns of a tile", true, MOE_TUNE_FIELD(BLOCK_N)},
    {"BLOCK_K",
     block_k_aliases,
     {sm80_block_k, sm90_block_k},
     {},
     "reduction length of a pipeline stage",
     true,
     MOE_TUNE_FIELD(BLOCK_K)},
    {"warps", warps_aliases, {sm80_warps, sm90_warps}, {}, "warps per block", true, MOE_TUNE_FIELD(warps)},
    {"warps_m",
     {},
     {sm80_warps_m, only_1},
     {},
     "warps that split BLOCK_M; the other factor splits BLOCK_N",
     false,
     MOE_TUNE_FIELD(warps_m)},
    {"stages", stages_aliases, {sm80_stages, sm90_stages}, {}, "pipeline stages in shared memory", true, MOE_TUNE_FIELD(stages)},
    {"ctas_per_sm", {}, {sm80_ctas, sm90_ctas}, {}, "resident blocks per SM", false, MOE_TUNE_FIELD(ctas_per_sm)},
    {"tile_order", {}, {both, both}, order_spelling, "order of an expert's tiles", false, MOE_TUNE_FIELD(tile_order)},
    {"mma_m", {}, {only_0, both}, mma_m_spelling, "operand on the M side of the MMA", false, MOE_TUNE_FIELD(mma_m)},
    {"schedule", {}, {only_0, both}, schedule_spelling, "how consumer warpgroups share tiles", false, MOE_TUNE_FIELD(schedule)},
    {"cluster", {}, {only_1, sm90_cluster}, {}, "blocks that share token rows by multicast", false, MOE_TUNE_FIELD(cluster)},
    {"tile_source", {}, {only_0, both}, source_spelling, "where blocks get their tiles from", false, MOE_TUNE_FIELD(tile_source)},
    {"gather", {}, {only_0, sm90_gather}, gather_spelling, "how gathered rows are got", false, MOE_TUNE_FIELD(gather)},
};
// clang-format on

#undef MOE_TUNE_FIELD

// The parts of a config's name: shorter than the values' names in files.
constexpr std::string_view order_parts[] = {"mfast", "nfast"};
constexpr std::string_view schedule_parts[] = {"coop", "pingpong"};
constexpr std::string_view source_parts[] = {"static", "queue"};
constexpr std::string_view gather_parts[] = {"dispatch", "inkernel", "copyahead"};

template <class Enum>
std::string_view part(Names names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}

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

  template <class Enum>
  void one_of(std::string_view prefix, Names names, Enum& value) {
    take(prefix);
    const auto name = std::find_if(names.begin(), names.end(), [&](std::string_view n) { return rest_.starts_with(n); });
    good_ = good_ && name != names.end();
    if (!good_) return;
    take(*name);
    value = static_cast<Enum>(name - names.begin());
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

std::span<const ConfigField> config_fields() { return fields; }

std::span<const std::string_view> family_names() { return family_spelling; }

KernelConfig first_config(Family family) {
  KernelConfig config;
  for (const ConfigField& field : fields) field.set(config, field.allowed(family).front());
  return config;
}

std::string field_text(const ConfigField& field, const KernelConfig& config) {
  const int value = field.get(config);
  const bool named = value >= 0 && static_cast<std::size_t>(value) < field.spelling.size();
  return named ? std::string(field.spelling[static_cast<std::size_t>(value)]) : std::to_string(value);
}

std::string allowed_text(const ConfigField& field, Family family) {
  if (field.spelling.empty()) return fmt::format("{}", fmt::join(field.allowed(family), ", "));
  std::vector<std::string_view> names;
  for (const int value : field.allowed(family)) names.push_back(field.spelling[static_cast<std::size_t>(value)]);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<std::string> reject_field_values(const KernelConfig& c) {
  const auto family = static_cast<std::size_t>(c.family);
  if (family >= family_count) return fmt::format("family = {} is not one of {}", family, fmt::join(family_spelling, ", "));
  for (const ConfigField& field : fields) {
    if (!field.allows(c.family, field.get(c))) {
      return fmt::format("{} = {} is not one of {} in family {}", field.name, field_text(field, c), allowed_text(field, c.family),
                         family_spelling[family]);
    }
  }
  return std::nullopt;
}

std::string to_string(const KernelConfig& c) {
  std::string name = fmt::format("{}_{}x{}x{}", part(family_spelling, c.family), c.BLOCK_M, c.BLOCK_N, c.BLOCK_K);
  if (c.family == Family::sm80) {
    return name + fmt::format("_w{}m{}_s{}_c{}_{}", c.warps, c.warps_m, c.stages, c.ctas_per_sm, part(order_parts, c.tile_order));
  }
  return name + fmt::format("_{}_{}_w{}_s{}_c{}_x{}_{}_{}_{}", part(mma_m_spelling, c.mma_m), part(schedule_parts, c.schedule),
                            c.warps, c.stages, c.ctas_per_sm, c.cluster, part(source_parts, c.tile_source),
                            part(order_parts, c.tile_order), part(gather_parts, c.gather));
}

KernelConfig parse_config(std::string_view name) {
  NameReader reader(name);
  Family family{};
  reader.one_of("", family_spelling, family);
  KernelConfig c = first_config(family);
  c.BLOCK_M = reader.number("_");
  c.BLOCK_N = reader.number("x");
  c.BLOCK_K = reader.number("x");
  if (family == Family::sm80) {
    c.warps = reader.number("_w");
    c.warps_m = reader.number("m");
  } else {
    reader.one_of("_", mma_m_spelling, c.mma_m);
    reader.one_of("_", schedule_parts, c.schedule);
    c.warps = reader.number("_w");
  }
  c.stages = reader.number("_s");
  c.ctas_per_sm = reader.number("_c");
  if (family == Family::sm90) {
    c.cluster = reader.number("_x");
    reader.one_of("_", source_parts, c.tile_source);
  }
  reader.one_of("_", order_parts, c.tile_order);
  if (family == Family::sm90) reader.one_of("_", gather_parts, c.gather);
  // Printing again refuses other spellings of the same numbers, such as 0128: a config has one name.
  if (!reader.read_all() || to_string(c) != name) {
    throw UsageError(fmt::format("config \"{}\" is not a name of the form {} or {}", name, to_string(KernelConfig{}),
                                 to_string(first_config(Family::sm90))));
  }
  if (const auto reason = reject_field_values(c)) throw UsageError(fmt::format("config \"{}\": {}", name, *reason));
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

std::size_t ConfigHash::operator()(const KernelConfig& config) const {
  std::size_t seed = 0;
  for (const ConfigField& field : fields) seed = seed * 1000003u ^ std::hash<int>{}(field.get(config));
  return seed;
}

}  // namespace moe_tune
