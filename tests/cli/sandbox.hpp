// A machine of one's own for a CLI test: private cache and database, no override, no GPU, a small model.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/cli/run_cli.hpp"
#include "tests/support/temporary_folder.hpp"

namespace moe_tune::test {

class Sandbox {
 public:
  Sandbox() {
    std::filesystem::create_directory(folder_ / "small model");
    std::ofstream(model()) << R"({"model_type": "qwen3_moe", "hidden_size": 256, "moe_intermediate_size": 256, "num_experts": 8,
      "num_experts_per_tok": 2, "hidden_act": "silu", "norm_topk_prob": true})";
    variables_ = {{"MOE_TUNE_CACHE_DIR", cache()}, {"MOE_TUNE_DB", ""},  {"MOE_TUNE_OVERRIDE", ""},
                  {"MOE_TUNE_MODE", ""},           {"MOE_TUNE_LOG", ""}, {"MOE_TUNE_CACHE_LIMIT", ""},
                  {"CUDA_VISIBLE_DEVICES", "-1"},  {"NO_COLOR", ""}};
  }

  std::filesystem::path operator/(const std::filesystem::path& name) const { return folder_ / name; }
  std::string model() const { return (folder_ / "small model" / "config.json").string(); }
  std::string cache() const { return (folder_ / "cache").string(); }
  void set(const std::string& variable, const std::string& value) { variables_[variable] = value; }

  CliResult run(const std::vector<std::string>& arguments) const { return run_cli(arguments, variables_); }
  CliResult run_and_interrupt(const std::vector<std::string>& arguments, const std::function<bool()>& due) const {
    return run_cli_and_interrupt(arguments, variables_, due);
  }

 private:
  TemporaryFolder folder_;
  Variables variables_;
};

}  // namespace moe_tune::test
