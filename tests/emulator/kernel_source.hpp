// Small kernels written in a test.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "generator/templates.hpp"

namespace moe_tune::test {

/// One CUDA source: `text`, with the templates that its #include lines name.
inline std::string with_templates(std::string_view text) {
  std::vector<TemplateFile> files(embedded_templates().begin(), embedded_templates().end());
  files.push_back({"test.cuh", text});
  std::set<std::string_view> seen;
  return inline_template("test.cuh", files, seen);
}

}  // namespace moe_tune::test
