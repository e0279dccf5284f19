// The one hash of the project: names of cached things and checksums of records. It detects accidents, not attackers.
#pragma once

#include <string>
#include <string_view>

namespace moe_tune {

/// XXH3-128 of `bytes` as 32 lower-case hexadecimal digits, the same on every machine.
std::string hash_hex(std::string_view bytes);

}  // namespace moe_tune
