#include "tests/mutation/support/rows_subject.hpp"

#include <memory>
#include <utility>

#include "generator/templates.hpp"
#include "tests/support/emulated_row_device.hpp"

namespace moe_tune::test {

Subject rows_subject(std::string name, const std::vector<RowCall>& calls) {
  return {std::move(name), inline_template("kernels/row_operations.cuh"), [calls](const std::string& source) {
            return [calls, kernel = std::make_shared<const emulator::Kernel>(source)](std::uint64_t seed) {
              for (const RowCall& call : calls) {
                EmulatedRowDevice device(*kernel, seed);
                if (const std::string wrong = call(device); !wrong.empty()) return wrong;
              }
              return std::string();
            };
          }};
}

}  // namespace moe_tune::test
