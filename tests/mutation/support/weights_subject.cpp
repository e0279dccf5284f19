#include "tests/mutation/support/weights_subject.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "generator/emit.hpp"
#include "runtime/emulator/weights_case.hpp"
#include "runtime/reference/comparison.hpp"

namespace moe_tune::test {

namespace {

std::string run(emulator::WeightsCase& call, const emulator::GemmKernel& kernel, std::uint64_t seed) {
  if (const unsigned status = call.run(kernel, seed); status != call.expected_status())
    return fmt::format("status {} instead of {}", status, call.expected_status());
  const Comparison comparison = call.compare();
  if (!comparison.pass()) {
    return fmt::format("dW, {} rows, the first is {}: error {:.2g}", comparison.bad_rows, comparison.first_bad_row,
                       comparison.max_row_error);
  }
  const CaseSpec& spec = call.spec();
  for (int expert = 0; spec.problem.accumulate && expert < spec.problem.E; ++expert) {
    const bool without_rows = spec.m_sizes[static_cast<std::size_t>(expert)] == 0;
    if (without_rows && !call.kept(expert)) return fmt::format("dW of expert {} changed without rows", expert);
  }
  return "";
}

}  // namespace

Subject weights_subject(std::string name, const CaseSpec& spec, const KernelConfig& config) {
  return {std::move(name), emit_kernel(spec.problem, config), [spec, config](const std::string& source) {
            return [call = std::make_shared<emulator::WeightsCase>(spec),
                    kernel = std::make_shared<const emulator::GemmKernel>(spec.problem, config, source)](std::uint64_t seed) {
              return run(*call, *kernel, seed);
            };
          }};
}

}  // namespace moe_tune::test
