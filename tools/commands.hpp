// The verbs of the program. Each add_ function declares its verb's flags on `app`; when the verb is on the command line, `action`
// becomes what to run, returning an ExitCode.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <utility>

namespace moe_tune::cli {

using Action = std::function<int()>;

void add_tune(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_list_configs(CLI::App& app, Action& action);
void add_emit(CLI::App& app, Action& action);
void add_show(CLI::App& app, Action& action);
void add_lookup(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_worker(CLI::App& app, Action& action);

/// Declares the verb `name` with an example in its help; `run(options)` becomes the action. The options live as long as it does.
template <class Options, class Run>
std::pair<CLI::App*, Options*> add_verb(CLI::App& app, Action& action, const char* name, const char* summary,
                                        const char* examples, Run run) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(name, summary);
  verb->footer(examples);
  verb->callback([&action, options, run] { action = [options, run] { return run(*options); }; });
  return {verb, options.get()};
}

}  // namespace moe_tune::cli
