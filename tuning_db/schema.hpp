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

  // What this version cannot interpret and writes back as it was, as JSON texts.
  std::vector<std::string> opaque_entries;            ///< intact, but with an op, family or value of a later version
  std::map<std::string, std::string> opaque_records;  ///< by id: table records that those need, or with unknown fields
  std::string unknown_fields;                         ///< of the top level: an object, or empty
};

/// The file text: a JSON document with one record per line, each with its checksum. Throws UsageError for a value that JSON
/// cannot hold (NaN).
std::string encode_database(const Database& database);

/// The reverse. Records whose checksum is wrong are left out, the others kept; a text that is no JSON at all is searched for
/// intact records. Throws UsageError for a newer schema version, or when the text is no database.
Database decode_database(std::string_view text, const std::string& source_name);

}  // namespace moe_tune
