// The kernel templates, embedded at build time.
#pragma once

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

}  // namespace moe_tune
