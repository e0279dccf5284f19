#include "generator/templates.hpp"

#include <fmt/format.h>

#include <set>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr std::string_view include_prefix = "#include \"";

const TemplateFile& find_template(std::string_view path) {
  for (const TemplateFile& file : embedded_templates()) {
    if (file.path == path) return file;
  }
  throw UsageError(fmt::format("there is no template \"{}\"", path));
}

void append(std::string_view path, std::set<std::string_view>& seen, std::string& out) {
  const TemplateFile& file = find_template(path);
  if (!seen.insert(file.path).second) return;
  std::string body;
  for (std::size_t begin = 0; begin < file.text.size();) {
    std::size_t end = file.text.find('\n', begin);
    end = end == std::string_view::npos ? file.text.size() : end + 1;
    const std::string_view line = file.text.substr(begin, end - begin);
    begin = end;
    if (line.starts_with("#pragma once")) continue;
    if (line.starts_with(include_prefix)) {
      append(line.substr(include_prefix.size(), line.find('"', include_prefix.size()) - include_prefix.size()), seen, out);
    } else {
      body += line;
    }
  }
  out += fmt::format("// ---- {} ----\n{}\n", file.path, body);
}

}  // namespace

std::string inline_template(std::string_view root) {
  std::set<std::string_view> seen;
  std::string out;
  append(root, seen, out);
  return out;
}

}  // namespace moe_tune
