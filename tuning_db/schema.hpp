// The database as JSON text. docs/FORMATS.md has the grammar.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tuning_db/record.hpp"

namespace moe_tune {

constexpr int database_schema_version = 1;

/// A database in memory.
struct Database {
  std::vector<Entry> entries;

  /// Sentences about records that were not accepted (wrong checksum, unreadable, reference missing); empty: undamaged.
  std::vector<std::string> damage;

  /// What this version cannot interpret but writes back: intact entries with an op, family or value of a later version (JSON
  /// texts), fields of the top level and of workloads (JSON objects), and table records by id (JSON texts).
  std::vector<std::string> opaque_entries;
  std::string unknown_fields;
  std::map<std::string, std::string> opaque_table_records;
};

/// The file text: a JSON document with one record per line, each with its checksum. Throws UsageError for a value that JSON
/// cannot hold (NaN).
std::string encode_database(const Database& database);

/// The reverse. Records whose checksum is wrong are left out, the others kept; a text that is no JSON at all is searched for
/// intact records. Throws UsageError for a newer schema version, or when the text is no database.
Database decode_database(std::string_view text, const std::string& source_name);

}  // namespace moe_tune
