#include "tests/mutation/support/router_subject.hpp"

#include <memory>
#include <utility>

#include "generator/emit_router.hpp"
#include "tests/support/emulated_router_device.hpp"

namespace moe_tune::test {

Subject router_subject(std::string name, const std::vector<RouterCall>& calls) {
  const RouterProblem problem = calls.front().problem;
  return {std::move(name), emit_router(problem), [problem, calls](const std::string& source) {
            return [calls, kernel = std::make_shared<const emulator::RouterKernel>(problem, source)](std::uint64_t seed) {
              for (const RouterCall& call : calls) {
                EmulatedRouterDevice device(*kernel, seed);
                if (const std::string wrong = RouterCase(device, call).run(); !wrong.empty()) return wrong;
              }
              return std::string();
            };
          }};
}

}  // namespace moe_tune::test
