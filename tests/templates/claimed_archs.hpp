// A template says in its header comment for which archs it is written: "// archs: sm_80 sm_90".
#pragma once

#include <set>
#include <sstream>
#include <string>

#include "generator/templates.hpp"

namespace moe_tune {

/// Empty when the template has no such line among the comment lines that it begins with.
inline std::set<std::string> claimed_archs(const TemplateFile& file) {
  constexpr std::string_view mark = "// archs: ";
  std::istringstream lines{std::string(file.text)};
  for (std::string line; std::getline(lines, line) && line.starts_with("//");) {
    if (!line.starts_with(mark)) continue;
    std::istringstream words(line.substr(mark.size()));
    std::set<std::string> archs;
    for (std::string arch; words >> arch;) archs.insert(arch);
    return archs;
  }
  return {};
}

}  // namespace moe_tune
