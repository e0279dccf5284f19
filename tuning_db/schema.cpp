#include "tuning_db/schema.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "moe_tune/error.hpp"
#include "tuning_db/json_difference.hpp"
#include "tuning_db/record_json.hpp"
#include "tuning_db/sealed.hpp"

namespace moe_tune {
namespace {

constexpr std::string_view schema_name = "moe-tune-db";
constexpr std::string_view file_start = R"({"checksum":")";

/// The tables of the file and the first letter of their records' ids.
struct Table {
  std::string_view key;
  std::string_view id_prefix;
};
constexpr std::array<Table, 3> tables = {{{"environments", "e:"}, {"generators", "g:"}, {"workloads", "w:"}}};

bool is_table_key(std::string_view key) {
  return key == "entries" || key == tables[0].key || key == tables[1].key || key == tables[2].key;
}

JsonDocument parse_own(const std::string& text) { return parse_json(text, "record"); }

// ---- writing ----

Json with_id(std::string id, const Json& record) {
  Json json = {{"id", std::move(id)}};
  json.update(record);
  return json;
}

Json environment_record(const Environment& env) {
  Json json = with_id(environment_id(env.key), device_key_json(env.key));
  json["smem_optin"] = env.smem_optin;
  return json;
}

Json generator_record(const GeneratorId& gen) { return with_id(generator_id(gen), generator_json(gen)); }

Json workload_record(const Problem& problem) { return with_id(workload_id(problem), workload_json(problem)); }

/// The ids of the table records that an entry refers to.
struct References {
  std::string workload;
  std::string env;
  std::string gen;
};

Json entry_json(const Entry& entry, const References& references) {
  return {
      {"workload", references.workload},
      {"env", references.env},
      {"gen", references.gen},
      {"tokens", {{"measured", entry.tokens.measured}, {"range", Json::array({entry.tokens.lo, entry.tokens.hi})}}},
      {"routing", routing_json(entry.routing)},
      {"config", config_json(entry.config)},
      {"time_us", timing_json(entry.time)},
      {"default", entry.baseline ? baseline_json(*entry.baseline) : Json(nullptr)},
      {"alternatives", alternatives_json(entry.alternatives)},
      {"resources", resources_json(entry.resources)},
      {"verify", verification_json(entry.verify)},
      {"search", search_json(entry.search)},
      {"source", to_string(entry.source)},
      {"date", entry.date},
      {"provenance",
       {{"uuid", entry.env.uuid}, {"driver", entry.env.driver}, {"cuda", entry.env.cuda}, {"nvrtc", entry.env.nvrtc}}},
  };
}

using Records = std::map<std::string, Json>;  // by id

void append_table(std::string& text, std::string_view key, std::string_view id_prefix, const Records& records) {
  text += fmt::format(",\n\"{}\":{{", key);
  std::string_view separator = "\n";
  for (auto record = records.lower_bound(std::string(id_prefix)); record != records.end() && record->first.starts_with(id_prefix);
       ++record) {
    text += fmt::format("{}{}:{}", separator, json_text(Json(record->first)), json_text(seal(record->second)));
    separator = ",\n";
  }
  text += "\n}";
}

// ---- reading ----

/// The records of a file before anything is made of them.
struct RawFile {
  Records table_records;
  std::vector<Json> entries;
  Json header = Json::object();
  std::vector<std::string> damage;

  void add(const Json& record) {
    const auto id = record.find("id");
    if (id != record.end() && id->is_string()) {
      table_records.emplace(id->get<std::string>(), record);
    } else if (record.contains("workload")) {
      entries.push_back(record);
    }
  }
};

void refuse_newer(const JsonView& root) {
  const Json& top = root.raw();
  if (!top.is_object() || !top.contains("schema") || top["schema"] != schema_name) return;
  const auto version = top.find("schema_version");
  if (version == top.end() || !version->is_number_integer() || *version <= database_schema_version) return;
  // A version that is merely damaged must not lock the user out: the header's checksum tells.
  Json header = Json::object();
  for (const auto& [key, value] : top.items()) {
    if (!is_table_key(key)) header[key] = value;
  }
  if (top.contains("checksum") && !is_sealed(header)) return;
  root.fail(
      fmt::format("schema_version {} is newer than this program's {}; use a newer moe-tune, or name another database "
                  "with --db or MOE_TUNE_DB",
                  version->dump(), database_schema_version));
}

/// The records of a file that is valid JSON of the right form; none when it is not of that form.
std::optional<RawFile> read_tree(const JsonView& root) {
  const Json& top = root.raw();
  if (!top.is_object() || !top.contains("entries") || !top["entries"].is_array()) return std::nullopt;
  for (const Table& table : tables) {
    const auto found = top.find(std::string(table.key));
    if (found == top.end() || !found->is_object()) return std::nullopt;
  }
  RawFile file;
  for (const auto& [key, value] : top.items()) {
    if (!is_table_key(key)) file.header[key] = value;
  }
  if (!is_sealed(file.header) || file.header["schema"] != schema_name) return std::nullopt;
  file.header = unseal(file.header);

  const auto take = [&](const JsonView& view) {
    if (is_sealed(view.raw())) return file.add(unseal(view.raw()));
    file.damage.push_back(fmt::format("{}: wrong checksum", view.where()));
  };
  for (const Table& table : tables) {
    for (const auto& [id, record] : root.at(table.key).members()) take(record);
  }
  for (const JsonView& entry : root.at("entries").elements()) take(entry);
  return file;
}

RawFile read_raw(std::string_view text, const std::string& source_name) {
  std::string reason = fmt::format("{}: not a whole database", source_name);
  std::optional<JsonDocument> document;
  try {
    document = parse_json(text, source_name);
  } catch (const UsageError& e) {
    reason = e.what();
  }
  if (document) {
    refuse_newer(document->root());
    if (auto file = read_tree(document->root())) return *std::move(file);
  }
  SealedScan scan = scan_sealed(text);
  const size_t shown = std::min(text.size(), file_start.size());
  const bool ours = !scan.records.empty() || text.substr(0, shown) == file_start.substr(0, shown) ||
                    text.find(schema_name) != std::string_view::npos;
  if (!ours) throw UsageError(fmt::format("{}: not a moe-tune database ({}); name another file", source_name, reason));
  RawFile file;
  file.damage.push_back(fmt::format("{}; {} intact records found", reason, scan.records.size()));
  for (const Json& record : scan.records) file.add(record);
  return file;
}

Environment environment_from(const JsonView& view) {
  Environment env;
  env.key = device_key_from(view);
  env.smem_optin = view.at("smem_optin").integer<int>(0);
  return env;
}

void keep(const Json& table_record, Database& database) {
  database.opaque_records.emplace(table_record["id"].get<std::string>(), json_text(table_record));
}

/// The records of one table as values, each decoded once however many entries refer to it.
template <class Value>
class DecodedTable {
 public:
  DecodedTable(Value (*read)(const JsonView&), Json (*write)(const Value&)) : read_(read), write_(write) {}

  /// Throws UsageError when this version does not understand the record.
  const Value& get(const JsonView& record, Database& database) {
    const std::string id = record.at("id").string();
    const auto found = decoded_.find(id);
    if (found != decoded_.end()) return found->second;
    Value value = read_(record);
    const Json known = write_(value);
    // A version whose ids hash other fields also matches entries by other rules.
    if (known["id"] != id) record.fail("the id is not what this version makes of the record");
    if (!json_difference(record.raw(), known).is_null()) keep(record.raw(), database);
    return decoded_.emplace(id, std::move(value)).first->second;
  }

 private:
  Value (*read_)(const JsonView&);
  Json (*write_)(const Value&);
  std::map<std::string, Value> decoded_;
};

/// Turns raw records into entries.
class Interpreter {
 public:
  Interpreter(const RawFile& file, const std::string& source_name) : file_(file), source_(source_name) {}

  void interpret(const Json& record, Database& database) {
    const JsonView view(record, source_, fmt::format("entry {}", ++count_));
    std::vector<JsonView> referenced;
    try {
      for (const char* key : {"workload", "env", "gen"}) referenced.push_back(table_record(view.at(key)));
    } catch (const UsageError& e) {
      database.damage.emplace_back(e.what());
      return;
    }
    try {
      Entry entry;
      entry.problem = workloads_.get(referenced[0], database);
      entry.env = environments_.get(referenced[1], database);
      entry.gen = generators_.get(referenced[2], database);
      read_fields(view, entry);
      database.entries.push_back(std::move(entry));
    } catch (const UsageError&) {
      // Intact, so some other version wrote what this one does not understand.
      database.opaque_entries.push_back(json_text(record));
      for (const JsonView& needed : referenced) keep(needed.raw(), database);
    }
  }

 private:
  JsonView table_record(const JsonView& id) const {
    const auto found = file_.table_records.find(id.string());
    if (found == file_.table_records.end()) id.fail(fmt::format("the record {} is missing or damaged", id.string()));
    return {found->second, source_, found->first};
  }

  static void read_fields(const JsonView& view, Entry& entry) {
    const JsonView provenance = view.at("provenance");
    entry.env.uuid = provenance.at("uuid").string();
    entry.env.driver = provenance.at("driver").string();
    entry.env.cuda = provenance.at("cuda").string();
    entry.env.nvrtc = provenance.at("nvrtc").string();
    const JsonView tokens = view.at("tokens");
    const auto range = tokens.at("range").elements();
    if (range.size() != 2) tokens.fail("range: expected two integers");
    entry.tokens.measured = tokens.at("measured").integer<int64_t>(1);
    entry.tokens.lo = range[0].integer<int64_t>(1);
    entry.tokens.hi = range[1].integer<int64_t>(entry.tokens.lo);
    entry.routing = routing_from(view.at("routing"));
    entry.config = config_from(view.at("config"));
    entry.time = timing_from(view.at("time_us"));
    if (const JsonView baseline = view.at("default"); !baseline.is_null()) entry.baseline = baseline_from(baseline);
    entry.alternatives = alternatives_from(view.at("alternatives"));
    entry.resources = resources_from(view.at("resources"));
    entry.verify = verification_from(view.at("verify"));
    entry.search = search_from(view.at("search"));
    entry.source = source_names.parse(view.at("source"));
    entry.date = view.at("date").string();
    const References references{view.at("workload").string(), view.at("env").string(), view.at("gen").string()};
    const Json unknown = json_difference(view.raw(), entry_json(entry, references));
    if (!unknown.is_null()) entry.unknown_fields = json_text(unknown);
  }

  const RawFile& file_;
  const std::string& source_;
  int count_ = 0;
  DecodedTable<Problem> workloads_{workload_from, workload_record};
  DecodedTable<Environment> environments_{environment_from, environment_record};
  DecodedTable<GeneratorId> generators_{generator_from, generator_record};
};

}  // namespace

std::string encode_database(const Database& database) {
  Records records;
  for (const auto& [id, text] : database.opaque_records) records[id] = parse_own(text).root().raw();
  const auto add_record = [&](Json known) {
    std::string id = known["id"].get<std::string>();
    const auto kept = records.find(id);
    if (kept != records.end()) add_json_difference(known, json_difference(kept->second, known));
    records[id] = std::move(known);
    return id;
  };
  std::vector<Json> entries;
  for (const Entry& entry : database.entries) {
    const References references{add_record(workload_record(entry.problem)), add_record(environment_record(entry.env)),
                                add_record(generator_record(entry.gen))};
    entries.push_back(entry_json(entry, references));
    if (!entry.unknown_fields.empty()) add_json_difference(entries.back(), parse_own(entry.unknown_fields).root().raw());
  }
  for (const std::string& opaque : database.opaque_entries) entries.push_back(parse_own(opaque).root().raw());

  Json header = {{"schema", schema_name}, {"schema_version", database_schema_version}};
  if (!database.unknown_fields.empty()) add_json_difference(header, parse_own(database.unknown_fields).root().raw());
  std::string text = json_text(seal(header));
  text.pop_back();
  for (const Table& table : tables) append_table(text, table.key, table.id_prefix, records);

  text += ",\n\"entries\":[";
  std::string_view separator = "\n";
  for (const Json& entry : entries) {
    text += fmt::format("{}{}", separator, json_text(seal(entry)));
    separator = ",\n";
  }
  return text + "\n]}\n";
}

Database decode_database(std::string_view text, const std::string& source_name) {
  RawFile file = read_raw(text, source_name);
  Database database;
  database.damage = std::move(file.damage);
  const Json unknown = json_difference(file.header, {{"schema", schema_name}, {"schema_version", database_schema_version}});
  if (!unknown.is_null()) database.unknown_fields = json_text(unknown);
  Interpreter interpreter(file, source_name);
  for (const Json& record : file.entries) interpreter.interpret(record, database);
  return database;
}

}  // namespace moe_tune
