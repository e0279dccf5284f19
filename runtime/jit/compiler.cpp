#include "runtime/jit/compiler.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/jit/nvrtc.hpp"

namespace moe_tune {

CompileError::CompileError(const std::string& name, const std::string& arch, std::string log)
    : EnvironmentError(fmt::format("{} does not compile for {}:\n{}", name, arch, log)), log_(std::move(log)) {}

const std::vector<std::string>& compile_flags() {
  // ptxas -v prints registers, spills, stack and shared memory into the log.
  static const std::vector<std::string> flags = {"--std=c++17", "--ptxas-options=-v"};
  return flags;
}

CompiledKernel compile(const std::string& source, const std::string& arch, const std::string& name) {
  const Nvrtc& compiler = nvrtc();
  if (!compiler.supports(arch)) {
    throw EnvironmentError(fmt::format(
        "NVRTC {} ({}) does not compile for {}; it knows sm_{}. Install a newer CUDA toolkit, or set "
        "MOE_TUNE_NVRTC to a newer libnvrtc.so",
        to_string(compiler.version()), compiler.path().string(), arch, fmt::join(compiler.supported_archs(), ", sm_")));
  }
  std::vector<std::string> options = {"--gpu-architecture=" + arch};
  options.insert(options.end(), compile_flags().begin(), compile_flags().end());
  Nvrtc::Output output = compiler.compile(source, name, options);
  if (!output.ok) throw CompileError(name, arch, std::move(output.log));
  ResourceReport resources = parse_resource_report(output.log);
  return {std::move(output.cubin), std::move(output.log), std::move(resources)};
}

Compiler nvrtc_compiler() {
  const auto identity = [] { return fmt::format("nvrtc {} {}", to_string(nvrtc().version()), fmt::join(compile_flags(), " ")); };
  return {identity, compile};
}

}  // namespace moe_tune
