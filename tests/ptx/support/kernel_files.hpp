// The files of the micro-kernels, embedded at build time like the templates.
#pragma once

#include <span>
#include <string_view>

#include "generator/templates.hpp"

namespace moe_tune {

/// Every .cuh of tests/ptx/kernels/, sorted by path.
std::span<const TemplateFile> embedded_micro_kernels();

namespace test {

/// Those and the templates, which they include.
std::span<const TemplateFile> kernel_and_template_files();

/// Throws UsageError when there is no such file of micro-kernels.
const TemplateFile& kernel_file(std::string_view path);

}  // namespace test
}  // namespace moe_tune
