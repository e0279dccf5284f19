// model.safetensors.index.json: which file of a checkpoint holds which tensor.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace moe_tune {

/// Tensor name to file name.
using ShardIndex = std::map<std::string, std::string, std::less<>>;

/// Reads the "weight_map". `text` is not trusted: throws UsageError naming `source_name` when it is not sound, or a file is
/// anything but the plain name of a .safetensors file in the index's own folder.
ShardIndex parse_shard_index(std::string_view text, const std::string& source_name);

}  // namespace moe_tune
