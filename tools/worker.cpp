// moe-tune worker: the process that compiles and measures for tune, bench and verify. Not for people, so not in the help.
#include "runtime/tune/worker.hpp"

#include "tools/commands.hpp"

namespace moe_tune::cli {

void add_worker(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("worker", "serve a tuner through file descriptor 3");
  verb->group("");  // hides it
  verb->callback([&action] { action = [] { return run_worker(worker_fd); }; });
}

}  // namespace moe_tune::cli
