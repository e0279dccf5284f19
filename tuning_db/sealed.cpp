#include "tuning_db/sealed.hpp"

#include <optional>

#include "generator/support/hash.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

constexpr std::string_view checksum_key = "checksum";
// Inside a JSON string the quotes would be escaped, so these bytes begin a record and nothing else.
constexpr std::string_view record_start = R"({"checksum":")";

std::string checksum_of(const Json& unsealed) { return hash_hex(json_text(unsealed)); }

/// The object at the start of `text`, up to its closing brace; the whole text when it does not end.
std::string_view object_at_start(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return text.substr(0, i + 1);
    }
  }
  return text;
}

std::optional<Json> intact_record(std::string_view text) {
  try {
    const JsonDocument document = parse_json(text, "record");
    if (is_sealed(document.root().raw())) return unseal(document.root().raw());
  } catch (const UsageError&) {
    // Not a record: that is what the caller counts.
  }
  return std::nullopt;
}

}  // namespace

Json seal(const Json& record) {
  Json sealed = {{checksum_key, checksum_of(record)}};
  sealed.update(record);
  return sealed;
}

bool is_sealed(const Json& record) {
  if (!record.is_object()) return false;
  const auto checksum = record.find(checksum_key);
  return checksum != record.end() && checksum->is_string() &&
         checksum->get_ref<const std::string&>() == checksum_of(unseal(record));
}

Json unseal(const Json& sealed) {
  Json record = sealed;
  record.erase(std::string(checksum_key));
  return record;
}

SealedScan scan_sealed(std::string_view text) {
  SealedScan scan;
  for (size_t start = text.find(record_start); start != std::string_view::npos;) {
    const size_t next = text.find(record_start, start + 1);
    // A record never reaches into the next one, so a damaged one cannot take its neighbour along.
    const std::string_view candidate = text.substr(start, next == std::string_view::npos ? next : next - start);
    if (auto record = intact_record(object_at_start(candidate))) {
      scan.records.push_back(*std::move(record));
    } else {
      ++scan.bad_records;
    }
    start = next;
  }
  return scan;
}

}  // namespace moe_tune
