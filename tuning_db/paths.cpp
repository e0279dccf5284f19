#include "tuning_db/paths.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "generator/support/folder.hpp"
#include "tuning_db/merge.hpp"
#include "tuning_db/store.hpp"

namespace moe_tune {

std::vector<std::filesystem::path> database_paths() {
  std::vector<std::filesystem::path> paths;
  const char* list = std::getenv("MOE_TUNE_DB");
  for (std::string_view rest = list == nullptr ? "" : list; !rest.empty();) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) paths.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (paths.empty()) paths.push_back(user_cache_folder() / "db.json");
  return paths;
}

std::filesystem::path journal_path(const std::filesystem::path& database) {
  std::filesystem::path path = database;
  path += ".journal.jsonl";
  return path;
}

Database read_databases(const std::vector<std::filesystem::path>& paths) {
  Database all;
  for (const std::filesystem::path& path : paths) {
    Database one = Store(path).read();
    all.entries.insert(all.entries.end(), one.entries.begin(), one.entries.end());
    all.damage.insert(all.damage.end(), one.damage.begin(), one.damage.end());
  }
  std::stable_sort(all.entries.begin(), all.entries.end(), [](const Entry& a, const Entry& b) { return a.source > b.source; });
  all.entries = resolve_overlaps(all.entries);
  return all;
}

}  // namespace moe_tune
