// Mutated files against every reader; the same inputs in every run. MOE_TUNE_FUZZ_INPUTS sets how many.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "generator/support/file.hpp"
#include "tests/fuzz/mutation.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/support/safetensors_files.hpp"
#include "tests/support/sample_records.hpp"
#include "tuning_db/record_json.hpp"
#include "tuning_db/schema.hpp"
#include "tuning_db/sealed.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// The files of tests/fuzz/corpus/<name>: seeds, and every input that once was a finding.
std::vector<std::string> corpus(const std::string& name) {
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path folder = std::filesystem::path(MOE_TUNE_SOURCE_DIR) / "tests/fuzz/corpus" / name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) texts.push_back(read_file(path, 1 << 20));
  return texts;
}

void run(void (*target)(std::string_view), const std::vector<std::string>& texts) {
  REQUIRE_FALSE(texts.empty());
  for (const std::string& text : texts) target(text);
  const char* wanted = std::getenv("MOE_TUNE_FUZZ_INPUTS");
  const int inputs = wanted == nullptr ? 20000 : std::atoi(wanted);
  Mutator mutator(texts, 1);
  for (int i = 0; i < inputs; ++i) {
    const std::string text = mutator.next();
    try {
      target(text);
    } catch (const std::exception& e) {
      FAIL("input " << i << ": " << e.what() << "\n" << text);
    }
  }
}

/// A file whose header has the length that it says: mutations of the text alone would hardly get past the length.
std::string with_right_length(const std::string& header) { return safetensors_bytes(header, std::string(24, 'x')); }

/// An object whose checksum is right whatever it says: mutations of the text alone would never get past the checksum.
std::string sealed_anyway(const std::string& text) {
  try {
    return json_text(seal(parse_json(text, "f").root().raw()));
  } catch (const std::exception&) {
    return text;
  }
}

}  // namespace

TEST_CASE("mutated JSON", "[fuzz]") { run(fuzz_json, corpus("json")); }

TEST_CASE("mutated override files", "[fuzz]") { run(fuzz_override, corpus("override")); }

TEST_CASE("mutated databases", "[fuzz]") { run(fuzz_database, corpus("database")); }

TEST_CASE("mutated journals", "[fuzz]") { run(fuzz_journal, corpus("journal")); }

TEST_CASE("mutated safetensors files", "[fuzz]") { run(fuzz_safetensors, corpus("safetensors")); }

TEST_CASE("mutated safetensors headers of the right length", "[fuzz]") {
  std::vector<std::string> headers;
  for (const std::string& file : corpus("safetensors")) {
    if (file.size() > 8) headers.push_back(file.substr(8, file.rfind('}') - 7));
  }
  run([](std::string_view header) { fuzz_safetensors(with_right_length(std::string(header))); }, headers);
}

TEST_CASE("mutated model configs", "[fuzz]") { run(fuzz_model_config, corpus("model_config")); }

TEST_CASE("mutated shard indices", "[fuzz]") { run(fuzz_shard_index, corpus("shard_index")); }

TEST_CASE("mutated database records with right checksums", "[fuzz]") {
  Database database;
  database.entries = {sample_entry()};
  const Json tree = Json::parse(encode_database(database));
  const char* wanted = std::getenv("MOE_TUNE_FUZZ_INPUTS");
  const int inputs = (wanted == nullptr ? 20000 : std::atoi(wanted)) / 4;
  for (const char* table : {"entries", "workloads", "environments", "generators"}) {
    Mutator mutator({json_text(unseal(*tree[table].begin()))}, 2);
    for (int i = 0; i < inputs; ++i) {
      const std::string record = sealed_anyway(mutator.next());
      std::string text = encode_database(database);
      const std::string original = json_text(*tree[table].begin());
      text.replace(text.find(original), original.size(), record);
      INFO("table " << table << ", input " << i << "\n" << record);
      REQUIRE_NOTHROW(fuzz_database(text));
    }
  }
}
