#include "tuning_db/override.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "generator/support/file.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/record_json.hpp"

namespace moe_tune {
namespace {

/// Options of a config in similar tools that have no counterpart in a family, and what to do about `true`.
struct ForeignOption {
  std::string_view key;
  bool must_be_false;  ///< asks for hardware that the sm80 family does not use
  std::string_view note;
};
constexpr std::array<ForeignOption, 4> foreign_options = {{
    {"use_tma_load_w", true, "the sm80 family loads with cp.async, not TMA"},
    {"use_tma_load_x", true, "the sm80 family loads with cp.async, not TMA"},
    {"use_tma_store", true, "the sm80 family stores without TMA"},
    {"flatten", false, "tiles are always handed out by one persistent loop"},
}};

/// Accepts an option without meaning here, with a note; throws when it asks for what this family cannot do.
bool take_foreign_option(const std::string& key, const JsonView& value, std::vector<std::string>& notes) {
  const auto option = std::find_if(foreign_options.begin(), foreign_options.end(), [&](const auto& o) { return o.key == key; });
  if (option == foreign_options.end()) return false;
  if (value.boolean() && option->must_be_false) {
    value.fail(fmt::format("true is not allowed with family sm80: {}; allowed: false", option->note));
  }
  notes.push_back(fmt::format("{}: ignored: {}", value.where(), option->note));
  return true;
}

bool spells(const ConfigField& field, std::string_view key) {
  return field.name == key || std::find(field.aliases.begin(), field.aliases.end(), key) != field.aliases.end();
}

std::string known_keys() {
  std::string keys;
  for (const ConfigField& field : forward_fields()) keys += fmt::format("{}, ", field.name);
  for (const ForeignOption& option : foreign_options) keys += fmt::format("{}, ", option.key);
  return keys + "permute_x, permute_y, fuse_mul_post";
}

OverrideConfig config_override(const JsonView& object, std::vector<std::string>& notes) {
  OverrideConfig result;
  result.where = object.where();
  const std::array<std::pair<std::string_view, std::optional<bool>*>, 3> problem_flags = {
      {{"permute_x", &result.permute_x}, {"permute_y", &result.permute_y}, {"fuse_mul_post", &result.fuse_mul_post}}};
  std::set<std::string_view> given;
  for (const auto& member : object.members()) {
    const std::string& key = member.first;
    const JsonView& value = member.second;
    const auto fields = forward_fields();
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return spells(f, key); });
    const auto flag = std::find_if(problem_flags.begin(), problem_flags.end(), [&](const auto& f) { return f.first == key; });
    if (field != fields.end()) {
      if (!given.insert(field->name).second) value.fail(fmt::format("{} is given twice, in two spellings", field->name));
      field->set(result.config, config_value_from(*field, value));
    } else if (flag != problem_flags.end()) {
      *flag->second = value.boolean();
    } else if (!take_foreign_option(key, value, notes)) {
      value.fail(fmt::format("unknown key; allowed: {}", known_keys()));
    }
  }
  for (const ConfigField& field : forward_fields()) {
    if (field.required && !given.contains(field.name)) {
      object.fail(fmt::format("{} is missing; allowed: {}", field.name, fmt::join(field.allowed, ", ")));
    }
  }
  if (!given.contains("warps_m")) {
    result.config.warps_m = default_warps_m(result.config.BLOCK_M, result.config.BLOCK_N, result.config.warps);
  }
  return result;
}

void require_equal(const OverrideConfig& config, std::string_view key, std::optional<bool> wanted, bool actual) {
  if (!wanted || *wanted == actual) return;
  throw UsageError(fmt::format("{}.{}: {} but the problem has {}; allowed: {} (or leave the key out)", config.where, key, *wanted,
                               actual, actual));
}

}  // namespace

Override parse_override(std::string_view text, std::string source_name) {
  const JsonDocument document = parse_json(text, source_name);
  Override result;
  result.source = std::move(source_name);
  for (const auto& [key, object] : document.root().members()) {
    if (key == "forward") {
      result.forward = config_override(object, result.notes);
    } else if (key == "forward.gate_up") {
      result.gate_up = config_override(object, result.notes);
    } else if (key == "forward.down") {
      result.down = config_override(object, result.notes);
    } else if (key.starts_with("backward_dW") || key.starts_with("backward_dX")) {
      object.fail("backward kernels are not available yet; allowed: forward, forward.gate_up, forward.down");
    } else {
      object.fail("unknown kind; allowed: forward, forward.gate_up, forward.down");
    }
  }
  if (!result.forward && !result.gate_up && !result.down) {
    document.root().fail("no config; give at least one of forward, forward.gate_up, forward.down");
  }
  return result;
}

Override read_override(const std::filesystem::path& path) {
  return parse_override(read_file(path, max_json_bytes), path.string());
}

std::optional<KernelConfigForward> select(const Override& file, const Problem& problem) {
  const std::optional<OverrideConfig>& own = problem.gemm == Gemm::gate_up ? file.gate_up : file.down;
  const std::optional<OverrideConfig>& chosen = own ? own : file.forward;
  if (!chosen) return std::nullopt;
  require_equal(*chosen, "permute_x", chosen->permute_x, problem.permute_x);
  require_equal(*chosen, "permute_y", chosen->permute_y, problem.permute_y);
  require_equal(*chosen, "fuse_mul_post", chosen->fuse_mul_post, problem.fuse_mul_post);
  return chosen->config;
}

}  // namespace moe_tune
