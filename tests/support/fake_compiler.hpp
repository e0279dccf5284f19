// A compiler for cache tests: instant, counts its runs, and its output shows what it was asked for.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "runtime/jit/compiler.hpp"

namespace moe_tune::test {

class FakeCompiler {
 public:
  explicit FakeCompiler(std::string identity = "fake 1.0 --flag") : identity_(std::move(identity)) {}

  int runs() const { return *runs_; }

  static CompiledKernel kernel(const std::string& source, const std::string& arch) {
    const std::string log = "ptxas info    : Used 42 registers\n";
    return {"cubin of " + source + " for " + arch, log, parse_resource_report(log)};
  }

  /// May outlive this object.
  Compiler compiler() const {
    return {[identity = identity_] { return identity; },
            [runs = runs_](const std::string& source, const std::string& arch, const std::string&) {
              ++*runs;
              return kernel(source, arch);
            }};
  }

 private:
  std::string identity_;
  std::shared_ptr<std::atomic<int>> runs_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace moe_tune::test
