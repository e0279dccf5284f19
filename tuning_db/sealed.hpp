// Records that carry their own checksum. Of all single-bit flips of a JSON record about half still parse as valid but say
// something else; the checksum tells them apart. It is no signature: who can write the file can also compute it.
#pragma once

#include <string_view>
#include <vector>

#include "generator/support/json.hpp"

namespace moe_tune {

/// `record` (an object) with "checksum" put first: hash_hex of the compact text of the rest.
Json seal(const Json& record);

/// Whether an object carries the checksum of the rest of its members.
bool is_sealed(const Json& record);

/// `sealed` without its checksum.
Json unseal(const Json& sealed);

/// What a text holds, whatever happened to it: torn lines, lost newlines, garbage.
struct SealedScan {
  std::vector<Json> records;  ///< intact ones, unsealed, in order
  int64_t bad_records = 0;    ///< places where a record begins that is not intact
};

/// Finds every sealed record in `text`, each by the bytes that begin one. Linear in the size of the text.
SealedScan scan_sealed(std::string_view text);

}  // namespace moe_tune
