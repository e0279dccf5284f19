#include "tests/fuzz/targets.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/override.hpp"
#include "tuning_db/schema.hpp"
#include "tuning_db/sealed.hpp"

namespace moe_tune::test {
namespace {

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

int depth_of(const Json& value) {
  int deepest = 0;
  if (value.is_structured()) {
    for (const Json& inner : value) deepest = std::max(deepest, depth_of(inner));
    ++deepest;
  }
  return deepest;
}

void require_in_space(const KernelConfig& config) {
  require(!reject_field_values(config), "a config value outside the allowed set came through");
}

}  // namespace

void fuzz_json(std::string_view bytes) {
  std::string text;
  try {
    const JsonDocument document = parse_json(bytes, "f");
    require(depth_of(document.root().raw()) <= max_json_depth, "nested too deeply");
    text = json_text(document.root().raw());
  } catch (const UsageError&) {
    return;
  }
  // Outside of the try block: what was written must be readable.
  require(json_text(parse_json(text, "f").root().raw()) == text, "writing and reading changed the value");
}

void fuzz_override(std::string_view bytes) {
  try {
    const Override file = parse_override(bytes, "f");
    for (const auto& [kind, chosen] : file.configs) require_in_space(chosen.config);
  } catch (const UsageError&) {
    return;
  }
}

void fuzz_database(std::string_view bytes) {
  Database database;
  try {
    database = decode_database(bytes, "f");
  } catch (const UsageError&) {
    return;
  }
  for (const Entry& entry : database.entries) {
    require_in_space(entry.config);
    require(1 <= entry.tokens.lo && entry.tokens.lo <= entry.tokens.hi, "an empty token range came through");
  }
  const std::string text = encode_database(database);
  const Database again = decode_database(text, "f");
  require(again.damage.empty(), "writing made a damaged file");
  require(again.entries.size() == database.entries.size(), "writing lost entries");
  require(encode_database(again) == text, "writing twice gave two texts");
}

void fuzz_journal(std::string_view bytes) {
  for (const Json& record : scan_sealed(bytes).records) require(is_sealed(seal(record)), "a record that cannot be sealed");
}

}  // namespace moe_tune::test
