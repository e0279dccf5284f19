// Runs the built moe-tune like a shell does.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace moe_tune::test {

struct CliResult {
  int code = 0;     ///< exit code, or minus the number of the signal that ended it
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

/// Variables set for a run on top of this process's; an empty value unsets.
using Variables = std::map<std::string, std::string>;

CliResult run_cli(const std::vector<std::string>& arguments, const Variables& variables = {});

/// The same, with a SIGINT to the process as soon as `due()` holds; it is asked every 20 ms. After a minute the signal goes out
/// anyway.
CliResult run_cli_and_interrupt(const std::vector<std::string>& arguments, const Variables& variables,
                                const std::function<bool()>& due);

}  // namespace moe_tune::test
