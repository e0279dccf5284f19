// The kernel templates, embedded at build time.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

namespace moe_tune {

struct TemplateFile {
  std::string_view path;  ///< relative to templates/, e.g. "ptx/mma.cuh"
  std::string_view text;
};

/// Every .cuh under templates/, sorted by path.
std::span<const TemplateFile> embedded_templates();

/// `root` and every template it includes, each once, includes before their users, with the include lines and `#pragma once`
/// removed: one self-contained text. Throws UsageError for a path that is no template.
std::string inline_template(std::string_view root);

/// The same for a set of files, leaving out those that are in `seen` and adding to it what it takes.
std::string inline_template(std::string_view root, std::span<const TemplateFile> files, std::set<std::string_view>& seen);

/// The line before each file's text is section_begin, its path, section_end.
inline constexpr std::string_view section_begin = "// ---- ";
inline constexpr std::string_view section_end = " ----";

}  // namespace moe_tune
