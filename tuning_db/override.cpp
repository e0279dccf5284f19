#include "tuning_db/override.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "generator/support/file.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/record_json.hpp"

namespace moe_tune {
namespace {

/// Options of a config in similar tools that have no counterpart in a family, and what to do about `true`.
struct ForeignOption {
  std::string_view key;
  bool not_sm80;                                    ///< asks for hardware that the sm80 family does not use
  std::array<std::string_view, family_count> note;  ///< by family
};
constexpr std::string_view one_loop = "tiles are always handed out by one persistent loop";
constexpr std::string_view no_tma = "the sm80 family loads with cp.async, not TMA";
constexpr std::array<ForeignOption, 5> foreign_options = {{
    {"use_tma_load_w", true, {no_tma, "the sm90 family always loads weights with TMA"}},
    {"use_tma_load_x", true, {no_tma, "in the sm90 family gather decides"}},
    {"use_tma_load_dy", true, {no_tma, "in the sm90 family gather decides"}},
    {"use_tma_store", true, {"the sm80 family stores without TMA", "in the sm90 family the permutation decides"}},
    {"flatten", false, {one_loop, one_loop}},
}};

/// Accepts an option without meaning here, with a note; throws when it asks for what the family cannot do.
bool take_foreign_option(const std::string& key, const JsonView& value, Family family, std::vector<std::string>& notes) {
  const auto option = std::find_if(foreign_options.begin(), foreign_options.end(), [&](const auto& o) { return o.key == key; });
  if (option == foreign_options.end()) return false;
  const std::string_view note = option->note[static_cast<size_t>(family)];
  if (value.boolean() && option->not_sm80 && family == Family::sm80) {
    value.fail(fmt::format("true is not allowed with family sm80: {}; allowed: false", note));
  }
  notes.push_back(fmt::format("{}: ignored: {}", value.where(), note));
  return true;
}

bool spells(const ConfigField& field, std::string_view key) {
  return field.name == key || std::find(field.aliases.begin(), field.aliases.end(), key) != field.aliases.end();
}

std::string known_keys() {
  std::vector<std::string_view> keys;
  for (const ConfigField& field : config_fields()) keys.push_back(field.name);
  for (const ForeignOption& option : foreign_options) keys.push_back(option.key);
  for (const ProblemFlag& flag : problem_flags()) keys.push_back(flag.name);
  return fmt::format("{}", fmt::join(keys, ", "));
}

Family family_of(const JsonView& object) {
  const auto family = object.find("family");
  return family ? family_from(*family) : Family::sm80;
}

OverrideConfig config_override(const JsonView& object, std::vector<std::string>& notes) {
  OverrideConfig result;
  result.where = object.where();
  const Family family = family_of(object);
  result.config = first_config(family);
  const auto fields = config_fields();
  const auto flags = problem_flags();
  std::set<std::string_view> given;
  for (const auto& member : object.members()) {
    const std::string& key = member.first;
    const JsonView& value = member.second;
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return spells(f, key); });
    const auto flag = std::find_if(flags.begin(), flags.end(), [&](const ProblemFlag& f) { return f.name == key; });
    if (field != fields.end()) {
      if (!given.insert(field->name).second) value.fail(fmt::format("{} is given twice, in two spellings", field->name));
      field->set(result.config, config_value_from(*field, value, family));
    } else if (flag != flags.end()) {
      result.flags[key] = value.boolean();
    } else if (!take_foreign_option(key, value, family, notes)) {
      value.fail(fmt::format("unknown key; allowed: {}", known_keys()));
    }
  }
  for (const ConfigField& field : fields) {
    if (field.required && !given.contains(field.name)) {
      object.fail(fmt::format("{} is missing; allowed: {}", field.name, allowed_text(field, family)));
    }
  }
  if (family == Family::sm80 && !given.contains("warps_m")) {
    result.config.warps_m = default_warps_m(result.config.BLOCK_M, result.config.BLOCK_N, result.config.warps);
  }
  return result;
}

/// All kinds, in the order in which messages list them.
std::vector<OverrideKind> override_kinds() {
  std::vector<OverrideKind> kinds;
  for (const Op op : {Op::forward, Op::dX, Op::dW}) {
    for (const std::optional<Gemm> gemm : {std::optional<Gemm>(), std::optional(Gemm::gate_up), std::optional(Gemm::down)}) {
      kinds.push_back({op, gemm});
    }
  }
  return kinds;
}

std::string known_kinds() {
  std::vector<std::string> names;
  for (const OverrideKind& kind : override_kinds()) names.push_back(to_string(kind));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::string to_string(const OverrideKind& kind) {
  const std::string op = kind.op == Op::forward ? "forward" : fmt::format("backward_{}", to_string(kind.op));
  return kind.gemm ? fmt::format("{}.{}", op, to_string(*kind.gemm)) : op;
}

Override parse_override(std::string_view text, std::string source_name) {
  const JsonDocument document = parse_json(text, source_name);
  const std::vector<OverrideKind> kinds = override_kinds();
  Override result;
  result.source = std::move(source_name);
  for (const auto& [key, object] : document.root().members()) {
    const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                   [&, name = std::string_view(key)](const OverrideKind& k) { return to_string(k) == name; });
    if (kind == kinds.end()) object.fail(fmt::format("unknown kind; allowed: {}", known_kinds()));
    result.configs[*kind] = config_override(object, result.notes);
  }
  if (result.configs.empty()) document.root().fail(fmt::format("no config; give at least one of {}", known_kinds()));
  return result;
}

Override read_override(const std::filesystem::path& path) {
  return parse_override(read_file(path, max_json_bytes), path.string());
}

std::optional<KernelConfig> select(const Override& file, const Problem& problem) {
  auto found = file.configs.find({problem.op, problem.gemm});
  if (found == file.configs.end()) found = file.configs.find({problem.op, std::nullopt});
  if (found == file.configs.end()) return std::nullopt;
  const OverrideConfig& chosen = found->second;
  for (const ProblemFlag& flag : problem_flags()) {
    const auto wanted = chosen.flags.find(std::string(flag.name));
    const bool actual = problem.*flag.member;
    if (wanted == chosen.flags.end() || wanted->second == actual) continue;
    throw UsageError(fmt::format("{}.{}: {} but the problem has {}; allowed: {} (or leave the key out)", chosen.where, flag.name,
                                 wanted->second, actual, actual));
  }
  return chosen.config;
}

}  // namespace moe_tune
