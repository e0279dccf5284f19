#include "tests/ptx/support/kernel_files.hpp"

#include <fmt/format.h>

#include <vector>

#include "moe_tune/error.hpp"

namespace moe_tune::test {

std::span<const TemplateFile> kernel_and_template_files() {
  static const std::vector<TemplateFile> files = [] {
    std::vector<TemplateFile> all(embedded_templates().begin(), embedded_templates().end());
    all.insert(all.end(), embedded_micro_kernels().begin(), embedded_micro_kernels().end());
    return all;
  }();
  return files;
}

const TemplateFile& kernel_file(std::string_view path) {
  for (const TemplateFile& file : embedded_micro_kernels()) {
    if (file.path == path) return file;
  }
  throw UsageError(fmt::format("there is no file \"{}\" of micro-kernels", path));
}

}  // namespace moe_tune::test
