#include "tests/mutation/support/weights_subject.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "generator/emit.hpp"
#include "runtime/emulator/weights_case.hpp"
#include "runtime/reference/comparison.hpp"

namespace moe_tune::test {

namespace {

std::string run(emulator::WeightsCase& call, const emulator::GemmKernel& kernel, const Problem& problem, std::uint64_t seed) {
  if (const unsigned status = call.run(kernel, seed); status != call.expected_status())
    return fmt::format("status {} instead of {}", status, call.expected_status());
  for (int expert = 0; expert < problem.E; ++expert) {
    const double error = call.error(expert);
    if (!(error <= row_tolerance(problem))) return fmt::format("dW of expert {}: error {:.2g}", expert, error);
    const bool without_rows = call.spec().m_sizes[static_cast<std::size_t>(expert)] == 0;
    if (problem.accumulate && without_rows && !call.kept(expert))
      return fmt::format("dW of expert {} changed without rows", expert);
  }
  return "";
}

}  // namespace

Subject weights_subject(std::string name, const CaseSpec& spec, const KernelConfig& config) {
  return {std::move(name), emit_kernel(spec.problem, config), [spec, config](const std::string& source) {
            return [spec, call = std::make_shared<emulator::WeightsCase>(spec),
                    kernel = std::make_shared<const emulator::GemmKernel>(spec.problem, config, source)](std::uint64_t seed) {
              return run(*call, *kernel, spec.problem, seed);
            };
          }};
}

}  // namespace moe_tune::test
