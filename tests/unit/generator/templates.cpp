#include "generator/templates.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"

using namespace moe_tune;

namespace {

/// Where each file begins in an inlined text, by path; fails on a file that is there twice.
std::map<std::string, std::size_t> positions(const std::string& text) {
  std::map<std::string, std::size_t> found;
  for (const TemplateFile& file : embedded_templates()) {
    const std::string marker = "// ---- " + std::string(file.path) + " ----\n";
    const std::size_t at = text.find(marker);
    if (at == std::string::npos) continue;
    found[std::string(file.path)] = at;
    INFO(file.path);
    CHECK(text.find(marker, at + 1) == std::string::npos);
  }
  return found;
}

std::vector<std::string> includes_of(const TemplateFile& file) {
  const std::string prefix = "#include \"";
  std::vector<std::string> includes;
  std::istringstream lines{std::string(file.text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(prefix)) includes.push_back(line.substr(prefix.size(), line.rfind('"') - prefix.size()));
  }
  return includes;
}

const TemplateFile& find(const std::string& path) {
  const auto files = embedded_templates();
  const auto found = std::find_if(files.begin(), files.end(), [&](const TemplateFile& file) { return file.path == path; });
  REQUIRE(found != files.end());
  return *found;
}

}  // namespace

TEST_CASE("The embedded templates are the files of templates/, sorted by path") {
  const std::filesystem::path root = std::filesystem::path(MOE_TUNE_SOURCE_DIR) / "templates";
  std::size_t on_disk = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) on_disk += entry.path().extension() == ".cuh";
  CHECK(embedded_templates().size() == on_disk);
  for (const TemplateFile& file : embedded_templates()) CHECK((read_file(root / file.path, 1 << 20) == file.text));
  CHECK(std::is_sorted(embedded_templates().begin(), embedded_templates().end(),
                       [](const TemplateFile& a, const TemplateFile& b) { return a.path < b.path; }));
}

TEST_CASE("Inlining any template gives each file once, includes before their users, and nothing else") {
  for (const TemplateFile& root : embedded_templates()) {
    INFO(root.path);
    const std::string text = inline_template(root.path);
    CHECK(text.find("#include") == std::string::npos);
    CHECK(text.find("#pragma once") == std::string::npos);
    const auto at = positions(text);
    REQUIRE(at.contains(std::string(root.path)));
    std::size_t reached = 1;
    for (const auto& [path, position] : at) {
      for (const std::string& include : includes_of(find(path))) {
        INFO(path << " includes " << include);
        REQUIRE(at.contains(include));
        CHECK(at.at(include) < position);
      }
      // Everything but the root is there because something includes it.
      reached += path != root.path && std::any_of(at.begin(), at.end(), [&](const auto& user) {
                   const auto includes = includes_of(find(user.first));
                   return std::count(includes.begin(), includes.end(), path) > 0;
                 });
    }
    CHECK(reached == at.size());
  }
}

TEST_CASE("The text of every inlined file is unchanged but for its include lines") {
  const std::string text = inline_template("kernels/rows_sm80.cuh");
  for (const auto& [path, position] : positions(text)) {
    std::istringstream lines{std::string(find(path).text)};
    std::size_t at = position;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("#include") || line.starts_with("#pragma once")) continue;
      at = text.find(line + "\n", at);
      INFO(path << ": " << line);
      REQUIRE(at != std::string::npos);
    }
  }
}

TEST_CASE("A path that is no template is refused by name") {
  CHECK_THROWS_AS(inline_template("kernels/none.cuh"), UsageError);
  CHECK_THROWS_WITH(inline_template("kernels/none.cuh"), Catch::Matchers::Contains("\"kernels/none.cuh\""));
  CHECK_THROWS_AS(inline_template("../README.md"), UsageError);
  CHECK_THROWS_AS(inline_template(""), UsageError);
}
