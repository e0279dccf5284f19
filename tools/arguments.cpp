#include "tools/arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "moe_tune/error.hpp"

namespace moe_tune::cli {

namespace {

/// The whole of `text` as a number.
template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

const ConfigField& field_named(std::string_view name) {
  std::string names;
  for (const ConfigField& field : config_fields()) {
    if (field.name == name || std::find(field.aliases.begin(), field.aliases.end(), name) != field.aliases.end()) return field;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", field.name);
  }
  throw UsageError(fmt::format("--set: \"{}\" is no field of a config; allowed: {}", name, names));
}

int field_value(const ConfigField& field, std::string_view text, Family family) {
  const auto name = std::find(field.spelling.begin(), field.spelling.end(), text);
  const auto value =
      field.spelling.empty() ? whole_number<int>(text) : std::optional(static_cast<int>(name - field.spelling.begin()));
  if (value && field.allows(family, *value)) return *value;
  throw UsageError(fmt::format("--set: {} = \"{}\" is not one of {}", field.name, text, allowed_text(field, family)));
}

}  // namespace

double parse_time_limit(std::string_view text) {
  constexpr int max_part = 1'000'000;
  double seconds = 0;
  const auto parts = split(text, ':');
  bool good = parts.size() == 2 || parts.size() == 3;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto number = whole_number<int>(parts[i]);
    good = good && number && *number >= 0 && *number < (i == 0 ? max_part : 60);
    seconds = seconds * 60 + number.value_or(0);
  }
  if (!good || seconds == 0) throw UsageError(fmt::format("--time: \"{}\" is not of the form MM:SS or HH:MM:SS", text));
  return seconds;
}

double parse_percent(std::string_view text) {
  const auto number = text.ends_with('%') ? whole_number<double>(text.substr(0, text.size() - 1)) : std::nullopt;
  if (!number || !(*number >= 0 && *number <= 100)) {
    throw UsageError(fmt::format("--min-gain: \"{}\" is not a percentage from 0% to 100%, e.g. 1%", text));
  }
  return *number / 100;
}

KernelConfig apply_settings(KernelConfig config, std::string_view text) {
  std::set<std::string_view> given;
  for (const std::string_view assignment : split(text, ',')) {
    const size_t equals = assignment.find('=');
    if (equals == std::string_view::npos) {
      throw UsageError(fmt::format("--set: \"{}\" is not of the form FIELD=VALUE, e.g. BLOCK_M=128,stages=4", assignment));
    }
    const ConfigField& field = field_named(assignment.substr(0, equals));
    if (!given.insert(field.name).second) throw UsageError(fmt::format("--set: {} is given twice", field.name));
    field.set(config, field_value(field, assignment.substr(equals + 1), config.family));
  }
  const bool split_may_not_fit = given.contains("BLOCK_M") || given.contains("BLOCK_N") || given.contains("warps");
  if (config.family == Family::sm80 && split_may_not_fit && !given.contains("warps_m")) {
    config.warps_m = default_warps_m(config.BLOCK_M, config.BLOCK_N, config.warps);
  }
  return config;
}

}  // namespace moe_tune::cli
