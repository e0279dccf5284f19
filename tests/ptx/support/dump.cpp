#include "tests/ptx/support/dump.hpp"

#include <cstdlib>
#include <string_view>

#include "generator/support/file.hpp"
#include "generator/support/hash.hpp"
#include "generator/support/json.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

void dump(const InstructionFamily& family, const MicroTest& test, std::span<const std::uint32_t> output) {
  const char* file = std::getenv("MOE_TUNE_PTX_DUMP");
  if (file == nullptr || *file == '\0') return;
  static Json all = Json::object();
  Json& entry = all[family.name + ": " + test.name];
  entry["hash"] = hash_hex({reinterpret_cast<const char*>(output.data()), output.size_bytes()});
  if (!test.exact()) {
    for (const std::uint32_t word : output) entry["values"].push_back(value_of(word));
  }
  // The last test of a family writes the file, so that a crash later leaves what came before.
  if (&test == &family.tests.back()) write_file_atomic(file, json_text(all, 1) + "\n");
}

}  // namespace moe_tune::test
