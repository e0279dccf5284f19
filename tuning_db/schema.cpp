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

JsonDocument parse_own(const std::string& text) {
  return parse_json(text, "record");
}

// ---- writing ----

Json environment_json(const Environment& env) {
  Json json = {{"id", environment_id(env.key)}};
  json.update(device_key_json(env.key));
  json["smem_optin"] = env.smem_optin;
  return json;
}

Json with_id(const std::string& id, const Json& record) {
  Json json = {{"id", id}};
  json.update(record);
  return json;
}

Json entry_json(const Entry& entry) {
  return {
      {"workload", workload_id(entry.problem)},
      {"env", environment_id(entry.env.key)},
      {"gen", generator_id(entry.gen)},
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

/// Turns raw records into entries, reading each table record once.
class Interpreter {
 public:
  explicit Interpreter(const RawFile& file, const std::string& source_name) : file_(file), source_(source_name) {}

  void interpret(const Json& record, Database& database) {
    const JsonView view(record, source_, fmt::format("entry {}", ++count_));
    std::array<const Json*, 3> referenced{};
    try {
      referenced = {&table_record(view.at("env")), &table_record(view.at("gen")), &table_record(view.at("workload"))};
    } catch (const UsageError& e) {
      database.damage.emplace_back(e.what());
      return;
    }
    try {
      database.entries.push_back(entry_from(view, *referenced[0], *referenced[1], *referenced[2]));
    } catch (const UsageError&) {
      // Intact, so some other version wrote what this one does not understand.
      database.opaque_entries.push_back(json_text(record));
      for (const Json* needed : referenced) keep(*needed, database);
      return;
    }
    const Entry& entry = database.entries.back();
    keep_unknown(*referenced[0], environment_json(entry.env), database);
    keep_unknown(*referenced[1], with_id(generator_id(entry.gen), generator_json(entry.gen)), database);
    keep_unknown(*referenced[2], with_id(workload_id(entry.problem), workload_json(entry.problem)), database);
  }

 private:
  const Json& table_record(const JsonView& id) const {
    const auto found = file_.table_records.find(id.string());
    if (found == file_.table_records.end()) id.fail(fmt::format("the record {} is missing or damaged", id.string()));
    return found->second;
  }

  Entry entry_from(const JsonView& view, const Json& env, const Json& gen, const Json& workload) const {
    Entry entry;
    const JsonView env_view(env, source_, "environments");
    entry.env.key = device_key_from(env_view);
    entry.env.smem_optin = env_view.at("smem_optin").integer<int>(0);
    const JsonView provenance = view.at("provenance");
    entry.env.uuid = provenance.at("uuid").string();
    entry.env.driver = provenance.at("driver").string();
    entry.env.cuda = provenance.at("cuda").string();
    entry.env.nvrtc = provenance.at("nvrtc").string();
    entry.gen = generator_from(JsonView(gen, source_, "generators"));
    entry.problem = workload_from(JsonView(workload, source_, "workloads"));
    // A version whose ids hash other fields matches entries by other rules.
    if (environment_id(entry.env.key) != view.at("env").string()) view.fail("env: the id is not this version's");
    if (generator_id(entry.gen) != view.at("gen").string()) view.fail("gen: the id is not this version's");
    if (workload_id(entry.problem) != view.at("workload").string()) view.fail("workload: the id is not this version's");
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
    const Json unknown = json_difference(view.raw(), entry_json(entry));
    if (!unknown.is_null()) entry.unknown_fields = json_text(unknown);
    return entry;
  }

  static void keep(const Json& table_record, Database& database) {
    database.opaque_records.emplace(table_record["id"].get<std::string>(), json_text(table_record));
  }

  static void keep_unknown(const Json& table_record, const Json& known, Database& database) {
    if (!json_difference(table_record, known).is_null()) keep(table_record, database);
  }

  const RawFile& file_;
  const std::string& source_;
  int count_ = 0;
};

}  // namespace

std::string encode_database(const Database& database) {
  Records records;
  for (const auto& [id, text] : database.opaque_records) records[id] = parse_own(text).root().raw();
  const auto add_record = [&](Json known) {
    const std::string id = known["id"].get<std::string>();
    const auto kept = records.find(id);
    if (kept != records.end()) add_json_difference(known, json_difference(kept->second, known));
    records[id] = std::move(known);
  };
  for (const Entry& entry : database.entries) {
    add_record(environment_json(entry.env));
    add_record(with_id(generator_id(entry.gen), generator_json(entry.gen)));
    add_record(with_id(workload_id(entry.problem), workload_json(entry.problem)));
  }

  Json header = {{"schema", schema_name}, {"schema_version", database_schema_version}};
  if (!database.unknown_fields.empty()) add_json_difference(header, parse_own(database.unknown_fields).root().raw());
  std::string text = json_text(seal(header));
  text.pop_back();
  for (const Table& table : tables) append_table(text, table.key, table.id_prefix, records);

  text += ",\n\"entries\":[";
  std::string_view separator = "\n";
  const auto append_entry = [&](const Json& record) {
    text += fmt::format("{}{}", separator, json_text(seal(record)));
    separator = ",\n";
  };
  for (const Entry& entry : database.entries) {
    Json record = entry_json(entry);
    if (!entry.unknown_fields.empty()) add_json_difference(record, parse_own(entry.unknown_fields).root().raw());
    append_entry(record);
  }
  for (const std::string& opaque : database.opaque_entries) append_entry(parse_own(opaque).root().raw());
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
