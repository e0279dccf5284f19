#include "generator/templates.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr std::string_view include_prefix = "#include \"";

const TemplateFile& find_template(std::string_view path, std::span<const TemplateFile> files) {
  for (const TemplateFile& file : files) {
    if (file.path == path) return file;
  }
  throw UsageError(fmt::format("there is no template \"{}\"", path));
}

void append(std::string_view path, std::span<const TemplateFile> files, std::set<std::string_view>& seen, std::string& out) {
  if (seen.contains(path)) return;
  const TemplateFile& file = find_template(path, files);
  seen.insert(file.path);
  std::string body;
  for (std::size_t begin = 0; begin < file.text.size();) {
    std::size_t end = file.text.find('\n', begin);
    end = end == std::string_view::npos ? file.text.size() : end + 1;
    const std::string_view line = file.text.substr(begin, end - begin);
    begin = end;
    if (line.starts_with("#pragma once")) continue;
    if (line.starts_with(include_prefix)) {
      const std::string_view target = line.substr(include_prefix.size());
      append(target.substr(0, target.find('"')), files, seen, out);
    } else {
      body += line;
    }
  }
  out += fmt::format("{}{}{}\n{}\n", section_begin, file.path, section_end, body);
}

}  // namespace

std::string inline_template(std::string_view root) {
  std::set<std::string_view> seen;
  return inline_template(root, embedded_templates(), seen);
}

std::string inline_template(std::string_view root, std::span<const TemplateFile> files, std::set<std::string_view>& seen) {
  std::string out;
  append(root, files, seen, out);
  return out;
}

}  // namespace moe_tune
