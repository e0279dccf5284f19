// What libmoe_tune.so exports: the C API and namespace moe_tune. Anything else could clash with an application's own copy of fmt,
// the JSON library or a template of the standard library.
#include <stdio.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <sstream>
#include <string>

namespace {

/// The mangled names of the defined dynamic symbols.
std::set<std::string> exported_symbols() {
  const std::string command = std::string("'") + MOE_TUNE_NM + "' -D --defined-only '" + MOE_TUNE_LIBRARY + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  REQUIRE(pipe);
  std::string text;
  std::array<char, 4096> part;
  while (const std::size_t size = fread(part.data(), 1, part.size(), pipe.get())) text.append(part.data(), size);
  std::set<std::string> symbols;
  std::istringstream lines(text);
  for (std::string address, kind, name; lines >> address >> kind >> name;) symbols.insert(name);
  return symbols;
}

}  // namespace

TEST_CASE("The shared library exports the C API and namespace moe_tune, and nothing else") {
  const auto symbols = exported_symbols();
  REQUIRE(symbols.size() > 20);
  for (const std::string& symbol : symbols) {
    const auto starts = [&](const char* prefix) { return symbol.starts_with(prefix); };
    INFO(symbol);
    CHECK((starts("moe_tune_") || starts("_ZN8moe_tune") || starts("_ZNK8moe_tune") || starts("_ZTIN8moe_tune") ||
           starts("_ZTSN8moe_tune") || starts("_ZTVN8moe_tune")));
    CHECK(symbol.find("nlohmann") == std::string::npos);
    CHECK(symbol.find("3fmt") == std::string::npos);
  }
}

TEST_CASE("The C API is exported as it stands in moe_tune.h") {
  const auto symbols = exported_symbols();
  std::set<std::string> wanted{"moe_tune_device_status",
                               "moe_tune_last_error",
                               "moe_tune_version",
                               "moe_tune_permute_rows",
                               "moe_tune_combine_rows",
                               "moe_tune_swiglu_gradient",
                               "moe_tune_prepare_row_operations",
                               "moe_tune_unpermute_rows",
                               "moe_tune_act_and_mul",
                               "moe_tune_router",
                               "moe_tune_prepare_router",
                               "moe_tune_router_workspace_bytes",
                               "moe_tune_router_gradient",
                               "moe_tune_prepare_router_gradient",
                               "moe_tune_router_gradient_workspace_bytes"};
  for (const std::string name : {"create", "from_hf", "destroy", "forward", "workspace_bytes", "prepare", "explain", "backward",
                                 "saved_bytes", "training_workspace_bytes", "prepare_training"}) {
    wanted.insert("moe_tune_block_" + name);
  }
  for (const std::string name : {"grouped_gemm", "prepare", "explain", "workspace_bytes"}) {
    for (const std::string op : {"forward", "backward_dX", "backward_dW"}) wanted.insert("moe_tune_" + name + "_" + op);
  }
  std::set<std::string> c_symbols;
  std::copy_if(symbols.begin(), symbols.end(), std::inserter(c_symbols, c_symbols.end()),
               [](const std::string& symbol) { return symbol.starts_with("moe_tune_"); });
  CHECK(c_symbols == wanted);
}

TEST_CASE("Both exceptions can be caught outside the library") {
  const auto symbols = exported_symbols();
  for (const char* name : {"10UsageErrorE", "16EnvironmentErrorE"}) {
    for (const char* prefix : {"_ZTIN8moe_tune", "_ZTSN8moe_tune", "_ZTVN8moe_tune"}) {
      CHECK(symbols.contains(std::string(prefix) + name));
    }
  }
}
