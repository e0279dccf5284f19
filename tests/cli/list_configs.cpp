#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <sstream>

#include "generator/support/json.hpp"
#include "moe_tune/config.hpp"
#include "tests/cli/sandbox.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> list(const Sandbox& box, std::initializer_list<std::string> more) {
  std::vector<std::string> arguments = {"list-configs", "--model", box.model(), "--device", "a100"};
  arguments.insert(arguments.end(), more);
  return arguments;
}

}  // namespace

TEST_CASE("list-configs ranks the space of both GEMMs by the predicted time") {
  const Sandbox box;
  const CliResult result = box.run(list(box, {"--format", "json"}));
  REQUIRE(result.code == 0);
  const auto document = parse_json(result.out, "list-configs");
  std::set<std::string> seen;
  std::set<std::string> gemms;
  double last = 0;
  for (const JsonView& row : document.root().elements()) {
    const std::string config = row.at("config").string();
    const std::string gemm = row.at("gemm").string();
    CHECK(to_string(parse_config(config)) == config);
    CHECK(seen.insert(gemm + config).second);
    if (gemms.insert(gemm).second) last = 0;
    CHECK(row.at("predicted_us").number() >= last);
    last = row.at("predicted_us").number();
    CHECK(row.at("smem_bytes").integer<int>(1, 166912) > 0);
  }
  CHECK(gemms == std::set<std::string>{"gate_up", "down"});
  CHECK(seen.size() > 100);
}

TEST_CASE("list-configs --rejected gives every other config a reason") {
  const Sandbox box;
  const CliResult good = box.run(list(box, {"--gemm", "down", "--format", "json"}));
  const CliResult bad = box.run(list(box, {"--gemm", "down", "--rejected", "--format", "csv"}));
  REQUIRE(bad.code == 0);
  std::set<std::string> space;
  const auto accepted = parse_json(good.out, "good");
  for (const JsonView& row : accepted.root().elements()) space.insert(row.at("config").string());
  std::istringstream lines(bad.out);
  std::string line;
  std::getline(lines, line);
  CHECK_THAT(line, Catch::StartsWith("op,gemm,config,reason,"));
  int rejected = 0;
  int without_reason = 0;
  int in_space = 0;
  while (std::getline(lines, line)) {
    const size_t config = line.find(',') + 1;
    const size_t reason = line.find(',', config) + 1;
    ++rejected;
    without_reason += line[reason] == ',' ? 1 : 0;
    in_space += space.contains(line.substr(config, reason - 1 - config)) ? 1 : 0;
  }
  CHECK(rejected > 1000);
  CHECK(without_reason == 0);
  CHECK(in_space == 0);
}

TEST_CASE("list-configs on a Hopper device has both families, with every field as a column") {
  const Sandbox box;
  const CliResult result =
      box.run({"list-configs", "--model", box.model(), "--device", "h200", "--gemm", "gate_up", "--format", "json"});
  REQUIRE(result.code == 0);
  std::set<std::string> families;
  const auto document = parse_json(result.out, "list-configs");
  for (const JsonView& row : document.root().elements()) {
    const KernelConfig config = parse_config(row.at("config").string());
    for (const ConfigField& field : config_fields()) {
      const JsonView value = row.at(field.name);
      const std::string text = field.spelling.empty() ? std::to_string(value.integer<int>()) : value.string();
      if (text != field_text(field, config)) FAIL(row.at("config").string() << ": " << field.name << " = " << text);
    }
    families.insert(row.at("family").string());
  }
  CHECK(families == std::set<std::string>{"sm80", "sm90"});
}

TEST_CASE("list-configs --block is of the GEMMs that a fused block runs") {
  const Sandbox box;
  const auto rows = [&](std::vector<std::string> more, const std::string& device = "h200") {
    more.insert(more.begin(), {"list-configs", "--model", "llama4-scout", "--device", device, "--limit", "1", "--format", "csv"});
    return box.run(more);
  };
  const auto count = [](const CliResult& result) { return std::count(result.out.begin(), result.out.end(), '\n') - 1; };
  const CliResult block = rows({"--block"});
  INFO(block.err);
  CHECK(count(block) == 5);  // the first twice, as Llama4 may copy its rows or gather them; two are of the shared expert
  CHECK(count(rows({"--block", "--gemm", "down"})) == 2);
  // The family without a fused epilogue cannot serve the first GEMM of a block.
  CHECK(count(rows({"--block", "--gemm", "gate_up"}, "a100")) == 0);
  const CliResult copied = rows({"--block", "--gemm", "gate_up", "--unpermuted", "permute_x,permute_y"});
  CHECK(count(copied) == 2);
  CHECK_THAT(copied.out, !Contains("inkernel") && !Contains("copyahead"));

  // Of each gradient four, as their rows are in expert order; of the forward three more, which keep what the gradients need.
  CHECK(count(rows({"--block", "--op", "dX"})) == 4);
  CHECK(count(rows({"--block", "--op", "forward,dX,dW"})) == 5 + 3 + 4 + 4);
  CHECK(rows({"--unpermuted", "permute_x"}).code == 2);
}

TEST_CASE("list-configs --limit and the other formats") {
  const Sandbox box;
  const CliResult table = box.run(list(box, {"--gemm", "down", "--limit", "3"}));
  CHECK(std::count(table.out.begin(), table.out.end(), '\n') == 4);
  CHECK_THAT(table.out, Contains("predicted_us") && !Contains("BLOCK_M"));
  const CliResult csv = box.run(list(box, {"--gemm", "down", "--limit", "3", "--format", "csv"}));
  CHECK(std::count(csv.out.begin(), csv.out.end(), '\n') == 4);
  CHECK_THAT(csv.out, Catch::StartsWith("op,gemm,rank,config,") && Contains(",BLOCK_M,"));
}
