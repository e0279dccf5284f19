// Override files: a person's own configs, in the spellings that users of similar tools know.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// One object of an override file.
struct OverrideConfig {
  std::string where;  ///< "<file>: backward_dX.gate_up", for messages
  KernelConfig config;
  /// What the file says of the problem, by the names of problem_flags(); select() compares it.
  std::map<std::string, bool> flags;

  bool operator==(const OverrideConfig&) const = default;
};

/// What a config of an override file is for: an operation, of one GEMM or (none) of both.
struct OverrideKind {
  Op op = Op::forward;
  std::optional<Gemm> gemm;

  auto operator<=>(const OverrideKind&) const = default;
};

/// The key of a kind in a file, e.g. "forward" or "backward_dX.gate_up".
std::string to_string(const OverrideKind& kind);

/// A parsed override file.
struct Override {
  std::string source;  ///< its name
  std::map<OverrideKind, OverrideConfig> configs;
  std::vector<std::string> notes;  ///< keys that were accepted but mean nothing here, one sentence each
};

/// Only integers and enum values of the config space come out of here; nothing of the text does. Throws UsageError naming file,
/// key, value and the allowed set.
Override parse_override(std::string_view text, std::string source_name);

/// parse_override of a file; throws EnvironmentError when it cannot be read.
Override read_override(const std::filesystem::path& path);

/// The config for the problem, one of its GEMM before one of both; none when the file says nothing about it. Throws UsageError
/// when a flag of the file differs from the problem's. Constraints that tie config and problem are the caller's to check.
std::optional<KernelConfig> select(const Override& file, const Problem& problem);

}  // namespace moe_tune
