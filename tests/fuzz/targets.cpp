#include "tests/fuzz/targets.hpp"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "generator/models.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "runtime/io/safetensors_header.hpp"
#include "runtime/io/shard_index.hpp"
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

void fuzz_safetensors(std::string_view bytes) {
  std::vector<HostTensor> tensors;
  try {
    tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "f");
  } catch (const UsageError&) {
    return;
  }
  size_t covered = 0;
  for (const HostTensor& tensor : tensors) {
    const auto* begin = reinterpret_cast<const char*>(tensor.bytes.data());
    require(bytes.data() <= begin && begin + tensor.bytes.size() <= bytes.data() + bytes.size(), "a tensor outside of the file");
    double bits = element_bits(tensor.type);
    for (const int64_t dimension : tensor.shape) bits *= static_cast<double>(dimension);
    require(bits == 8.0 * static_cast<double>(tensor.bytes.size()), "a tensor of another size than its shape");
    covered += tensor.bytes.size();
  }
  const auto by_name = [](const HostTensor& a, const HostTensor& b) { return a.name < b.name; };
  require(std::is_sorted(tensors.begin(), tensors.end(), by_name), "tensors that find() would miss");
  const auto* first = std::min_element(tensors.data(), tensors.data() + tensors.size(),
                                       [](const HostTensor& a, const HostTensor& b) { return a.bytes.data() < b.bytes.data(); });
  const size_t before =
      tensors.empty() ? bytes.size() : static_cast<size_t>(reinterpret_cast<const char*>(first->bytes.data()) - bytes.data());
  require(before + covered == bytes.size(), "data that belong to no tensor or to two");
}

void fuzz_model_config(std::string_view bytes) {
  ModelConfig config;
  try {
    config = parse_whole_model_config(bytes, "f");
  } catch (const UsageError&) {
    return;
  }
  for (const Problem& problem : gemm_problems(config.shape, DType::bf16)) validate(problem);
  require(config.shape.top_k <= config.shape.E, "more experts per token than there are");
  require(!config.is_moe_layer(-1) && !config.is_moe_layer(config.num_hidden_layers()), "a layer that there is not");
}

void fuzz_shard_index(std::string_view bytes) {
  try {
    for (const auto& [tensor, file] : parse_shard_index(bytes, "f")) {
      const std::filesystem::path path = file;
      require(path.has_filename() && path.filename() == path && file != "." && file != "..", "a file that may lie anywhere");
      require(file.find('\0') == file.npos, "a file name that ends early");
    }
  } catch (const UsageError&) {
    return;
  }
}

}  // namespace moe_tune::test
