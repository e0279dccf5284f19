// The file format of one cubin cache entry: see docs/FORMATS.md, "Cubin cache".
//
//   entry    := magic[8] version:u32 reserved:u32 key[32] cubin_length:u64 log_length:u64 cubin log checksum[32]
//   magic    := "moecubin"
//   version  := 1
//   reserved := 0
//   key      := the entry's name, 32 lower-case hex digits
//   checksum := hash_hex of every byte before it
//
// Integers are little-endian. The file ends with the checksum.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/jit/compiler.hpp"

namespace moe_tune {

/// The bytes of an entry. `key` has 32 characters.
std::string encode_cache_entry(std::string_view key, const CompiledKernel& kernel);

/// The kernel in an entry, or nothing unless every byte is as encode_cache_entry wrote it for this very key. The resource report
/// is read from the log again, so that an older entry profits from a better parser.
std::optional<CompiledKernel> decode_cache_entry(std::string_view key, std::string_view bytes);

}  // namespace moe_tune
