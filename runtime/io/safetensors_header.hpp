// The safetensors format, read from memory.
//
//   file   = n, header, data          n: 8 bytes, little-endian, length of the header
//   header = { "__metadata__": { name: text ... }?, name: { "dtype", "shape": [...], "data_offsets": [begin, end] } ... } spaces
//
// The tensors' offsets count from the end of the header. Together they cover the data without hole, overlap or rest.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/io/host_tensor.hpp"

namespace moe_tune {

/// The tensors of a file that lies in `file`, which they point into, in the order of their names. `file` is not trusted: throws
/// UsageError naming `source_name` and the tensor where anything is not as the format demands. A header of more than
/// max_json_bytes (16 MiB; the format allows 100 MB) or a tensor of more than 64 dimensions is refused as well. Takes less memory
/// than four times the header and 2 MiB.
std::vector<HostTensor> parse_safetensors(std::span<const std::byte> file, const std::string& source_name);

}  // namespace moe_tune
