// The twins of templates/ptx/, embedded at build time.
#pragma once

#include <span>

#include "generator/templates.hpp"

namespace moe_tune {

/// Every .cuh of runtime/emulator/ptx/, sorted by path; paths read like those of the templates, e.g. "ptx/mma.cuh".
std::span<const TemplateFile> embedded_twins();

}  // namespace moe_tune
