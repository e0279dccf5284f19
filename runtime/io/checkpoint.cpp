#include "runtime/io/checkpoint.hpp"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "generator/support/file.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "runtime/io/near_names.hpp"
#include "runtime/io/safetensors.hpp"
#include "runtime/io/shard_index.hpp"

namespace moe_tune {
namespace {

namespace fs = std::filesystem;

constexpr const char* whole_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code unreadable;  // is an error where it is opened
  return fs::exists(path, unreadable) || unreadable;
}

std::string read_small_file(const fs::path& path) { return read_file(follow_links(path), max_json_bytes); }

/// The name of the only safetensors file in a folder.
std::string only_safetensors_file(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().filename().string());
  }
  if (names.size() == 1) return names.front();
  throw UsageError(fmt::format("{}: there is neither {} nor {}, and {} other .safetensors files where one would do",
                               folder.string(), whole_name, index_name, names.size()));
}

}  // namespace

/// The files, and which of them holds what.
class Checkpoint::Weights {
 public:
  explicit Weights(fs::path folder) : folder_(std::move(folder)) {
    if (is_there(folder_ / whole_name)) {
      single_ = whole_name;
    } else if (is_there(folder_ / index_name)) {
      const fs::path path = folder_ / index_name;
      index_ = parse_shard_index(read_small_file(path), path.string());
    } else {
      single_ = only_safetensors_file(folder_);
    }
  }

  const HostTensor* find(std::string_view name) {
    const std::string* file = file_name(name);
    if (file == nullptr) return nullptr;
    const SafetensorsFile& opened = open(*file);
    const HostTensor* tensor = opened.find(name);
    if (tensor == nullptr && single_.empty()) {
      throw UsageError(
          fmt::format("{}: there is no tensor \"{}\", which {} says is here", opened.path().string(), name, index_name));
    }
    return tensor;
  }

  [[noreturn]] void fail_missing(std::string_view name) {
    if (!single_.empty()) open(single_).at(name);
    std::vector<std::string_view> names;
    for (const auto& [tensor, file] : index_) names.push_back(tensor);
    throw UsageError(fmt::format("{}: there is no tensor \"{}\" among its {}{}", (folder_ / index_name).string(), name,
                                 names.size(), near_names(names, name)));
  }

  fs::path file_of(std::string_view name) const {
    const std::string* file = file_name(name);
    return folder_ / (file != nullptr ? *file : index_name);
  }

 private:
  const std::string* file_name(std::string_view tensor) const {
    if (!single_.empty()) return &single_;
    const auto entry = index_.find(tensor);
    return entry == index_.end() ? nullptr : &entry->second;
  }

  const SafetensorsFile& open(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(name);
    return found != files_.end() ? found->second : files_.emplace(name, SafetensorsFile(folder_ / name)).first->second;
  }

  fs::path folder_;
  std::string single_;  ///< the file that has everything, else empty
  ShardIndex index_;
  std::mutex mutex_;  ///< of files_
  std::map<std::string, SafetensorsFile, std::less<>> files_;
};

Checkpoint::Checkpoint(fs::path folder)
    : folder_(std::move(folder)),
      config_(parse_whole_model_config(read_small_file(folder_ / "config.json"), folder_ / "config.json")),
      weights_(std::make_unique<Weights>(folder_)) {
  if (config_.num_hidden_layers() == 0) {
    throw UsageError(fmt::format("{}: the key \"num_hidden_layers\" is missing", (folder_ / "config.json").string()));
  }
}

Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const HostTensor* Checkpoint::find(std::string_view name) const { return weights_->find(name); }

const HostTensor& Checkpoint::tensor(std::string_view name) const {
  if (const HostTensor* found = find(name)) return *found;
  weights_->fail_missing(name);
}

fs::path Checkpoint::file_of(std::string_view name) const { return weights_->file_of(name); }

}  // namespace moe_tune
