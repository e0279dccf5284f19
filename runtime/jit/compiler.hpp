// From one self-contained CUDA source to a cubin and its resource report.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/jit/resource_report.hpp"

namespace moe_tune {

struct CompiledKernel {
  std::string cubin;
  std::string log;
  ResourceReport resources;
};

/// A source that this NVRTC does not compile. It is an EnvironmentError because sources come from our own emitter: what the
/// caller asked for was in the config space, and whether the result compiles depends on the compiler found on this machine. A
/// tuner catches it first and records the candidate as failed.
class CompileError : public EnvironmentError {
 public:
  CompileError(const std::string& name, const std::string& arch, std::string log);
  const std::string& log() const { return log_; }

 private:
  std::string log_;
};

/// The flags of every compilation besides --gpu-architecture, in order: part of the cubin cache's key and of a record's
/// provenance.
const std::vector<std::string>& compile_flags();

/// Compiles with nvrtc() for `arch` ("sm_80", "sm_90a"). `name` stands for the file in messages. Throws CompileError, or
/// EnvironmentError when NVRTC is missing or does not know the arch.
CompiledKernel compile(const std::string& source, const std::string& arch, const std::string& name);

/// A compiler as the cubin cache sees one: tests plug in others.
struct Compiler {
  /// Version and flags: everything that changes the output for the same source and arch.
  std::function<std::string()> identity;
  std::function<CompiledKernel(const std::string& source, const std::string& arch, const std::string& name)> compile;
};

/// compile() with the identity of nvrtc(), which is opened by the first use of either.
Compiler nvrtc_compiler();

}  // namespace moe_tune
