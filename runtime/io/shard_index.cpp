#include "runtime/io/shard_index.hpp"

#include "generator/support/json.hpp"

namespace moe_tune {
namespace {

/// Refuses "..", absolute paths and folders: an index must not reach for files outside of its folder.
bool is_plain_file_name(std::string_view name) {
  return name.ends_with(".safetensors") && !name.starts_with(".") &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

}  // namespace

ShardIndex parse_shard_index(std::string_view text, const std::string& source_name) {
  const JsonDocument document = parse_json(text, source_name);
  ShardIndex index;
  for (const auto& [tensor, file] : document.root().at("weight_map").members()) {
    std::string name = file.string();
    if (!is_plain_file_name(name)) file.fail("expected the name of a .safetensors file in the same folder, without a path");
    index.emplace_hint(index.end(), tensor, std::move(name));
  }
  return index;
}

}  // namespace moe_tune
