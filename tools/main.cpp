// The moe-tune program: parses the command line, runs one verb, turns exceptions into exit codes.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "moe_tune/error.hpp"
#include "runtime/tune/bench.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/terminal.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* description =
    "moe-tune: finds the fastest grouped-GEMM kernels for a Mixture-of-Experts model on your GPU, and remembers them";

constexpr const char* footer =
    "Start here:\n"
    "  moe-tune doctor                            what works on this machine, and what to do about the rest\n"
    "  moe-tune tune --model qwen3-30b-a3b        tune a model's GEMMs for the GPU of this machine\n"
    "  moe-tune lookup --model qwen3-30b-a3b --tokens 64\n"
    "                                             what the library will use for 64 tokens\n"
    "\n"
    "Exit codes: 0 done; 1 ran, but something failed (a wrong kernel, nothing tuned); 2 bad usage, file or shape;\n"
    "            3 environment (driver, NVRTC, file system); 130 interrupted\n"
    "Environment: MOE_TUNE_DB (database files, separated by ':'), MOE_TUNE_CACHE_DIR, MOE_TUNE_CACHE_LIMIT, MOE_TUNE_OVERRIDE,\n"
    "             MOE_TUNE_MODE=read|tune|off, MOE_TUNE_CHECK=1, MOE_TUNE_LOG=error|warn|info|debug, MOE_TUNE_NVRTC, "
    "MOE_TUNE_DEPS, "
    "MOE_TUNE_HOST_CXX, NO_COLOR";

void print_error(const char* message) {
  std::fprintf(stderr, colour_stderr() ? "\x1b[31mmoe-tune: error:\x1b[0m %s\n" : "moe-tune: error: %s\n", message);
}

int run(int argc, char** argv) {
  CLI::App app(description, "moe-tune");
  app.footer(footer);
  app.require_subcommand(0, 1);  // an unknown verb is then named in the error
  app.set_version_flag("--version", MOE_TUNE_VERSION);
  Action action;
  add_tune(app, action);
  add_bench(app, action);
  add_run(app, action);
  add_verify(app, action);
  add_list_configs(app, action);
  add_emit(app, action);
  add_show(app, action);
  add_lookup(app, action);
  add_explain(app, action);
  add_doctor(app, action);
  add_worker(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == static_cast<int>(CLI::ExitCodes::Success) ? exit_ok : exit_usage;
  }
  if (!action) {
    std::fputs(app.help().c_str(), stderr);
    return exit_usage;
  }
  return action();
}

}  // namespace

}  // namespace moe_tune::cli

int main(int argc, char** argv) {
  using namespace moe_tune;
  using namespace moe_tune::cli;
  try {
    return run(argc, argv);
  } catch (const Cancelled&) {
    print_error("interrupted");
    return exit_interrupted;
  } catch (const UsageError& error) {
    print_error(error.what());
    return exit_usage;
  } catch (const EnvironmentError& error) {
    print_error(error.what());
    return exit_environment;
  } catch (const std::exception& error) {
    print_error(error.what());
    return exit_environment;
  }
}
