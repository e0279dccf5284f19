#include "tests/mutation/support/router_gradient_subject.hpp"

#include <memory>
#include <utility>

#include "generator/emit_router_gradient.hpp"
#include "tests/support/emulated_router_gradient_device.hpp"

namespace moe_tune::test {

Subject router_gradient_subject(std::string name, const std::vector<RouterGradientCall>& calls) {
  const RouterProblem problem = calls.front().problem;
  return {std::move(name), emit_router_gradient(problem), [problem, calls](const std::string& source) {
            return [calls, kernel = std::make_shared<const emulator::RouterGradientKernel>(problem, source)](std::uint64_t seed) {
              for (const RouterGradientCall& call : calls) {
                EmulatedRouterGradientDevice device(*kernel, seed);
                if (const std::string wrong = RouterGradientCase(device, call).run(); !wrong.empty()) return wrong;
              }
              return std::string();
            };
          }};
}

}  // namespace moe_tune::test
