// Which database files to read and write.
#pragma once

#include <filesystem>
#include <vector>

#include "tuning_db/schema.hpp"

namespace moe_tune {

/// The list in MOE_TUNE_DB (separated by ':'), else user_cache_folder()/db.json alone. The first is written, all are read.
std::vector<std::filesystem::path> database_paths();

/// The journal of tuning runs that publish to `database`: "<database>.journal.jsonl" beside it.
std::filesystem::path journal_path(const std::filesystem::path& database);

/// The entries of all files, without overlaps: a higher source rank wins, then the earlier file. Missing files are empty.
/// Throws as Store::read does. For lookup only: what a file holds beyond its entries stays in that file.
Database read_databases(const std::vector<std::filesystem::path>& paths);

}  // namespace moe_tune
