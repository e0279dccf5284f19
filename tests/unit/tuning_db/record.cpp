#include "tuning_db/record.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <vector>

#include "tests/support/sample_records.hpp"

using namespace moe_tune;

TEST_CASE("a workload's id depends on every field of the problem", "[record]") {
  const Problem base = test::sample_problem();
  const std::vector<std::function<void(Problem&)>> changes = {
      [](Problem& p) { p.gemm = Gemm::gate_up; },
      [](Problem& p) { p.dtype = DType::bf16; },
      [](Problem& p) { ++p.E; },
      [](Problem& p) { p.N += 8; },
      [](Problem& p) { p.K += 8; },
      [](Problem& p) { ++p.top_k; },
      [](Problem& p) { p.permute_x = true; },
      [](Problem& p) { p.permute_y = false; },
      [](Problem& p) { p.fuse_mul_post = false; },
      [](Problem& p) { p.fuse_mul_pre = true; },
      [](Problem& p) { p.fuse_swiglu = true; },
      [](Problem& p) { p.keep_pre_activation = true; },
  };
  std::set<std::string> ids = {workload_id(base)};
  for (const auto& change : changes) {
    Problem problem = base;
    change(problem);
    ids.insert(workload_id(problem));
  }
  CHECK(ids.size() == changes.size() + 1);
  CHECK(workload_id(base) == workload_id(test::sample_problem()));
  CHECK(workload_id(base).substr(0, 2) == "w:");
}

TEST_CASE("an environment's id hashes the device key", "[record]") {
  DeviceKey key = test::sample_environment().key;
  const std::string id = environment_id(key);
  CHECK(id == environment_id(test::sample_environment().key));
  key.mig = "";
  CHECK(environment_id(key) != id);
  key = test::sample_environment().key;
  key.sm_count = 114;
  CHECK(environment_id(key) != id);
}

TEST_CASE("a generator's id hashes all of it", "[record]") {
  const GeneratorId base{"0.1.0", "abc", {"-a"}};
  CHECK(generator_id(base) != generator_id({"0.1.1", "abc", {"-a"}}));
  CHECK(generator_id(base) != generator_id({"0.1.0", "abd", {"-a"}}));
  CHECK(generator_id(base) != generator_id({"0.1.0", "abc", {}}));
}
