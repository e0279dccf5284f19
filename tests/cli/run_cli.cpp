#include "tests/cli/run_cli.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "tests/support/temporary_folder.hpp"

namespace moe_tune::test {

namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

[[noreturn]] void become_cli(const std::vector<std::string>& arguments, const Variables& variables,
                             const std::filesystem::path& out, const std::filesystem::path& err) {
  for (const auto& [name, value] : variables) {
    if (value.empty()) {
      unsetenv(name.c_str());
    } else {
      setenv(name.c_str(), value.c_str(), 1);
    }
  }
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
  std::vector<char*> argv = {const_cast<char*>(MOE_TUNE_CLI)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(MOE_TUNE_CLI, argv.data());
  _exit(127);
}

CliResult run(const std::vector<std::string>& arguments, const Variables& variables, const std::function<bool()>& due) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become_cli(arguments, variables, folder / "out", folder / "err");
  if (due) {
    const auto latest = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!due() && std::chrono::steady_clock::now() < latest) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    kill(child, SIGINT);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), content(folder / "out"), content(folder / "err")};
}

}  // namespace

CliResult run_cli(const std::vector<std::string>& arguments, const Variables& variables) { return run(arguments, variables, {}); }

CliResult run_cli_and_interrupt(const std::vector<std::string>& arguments, const Variables& variables,
                                const std::function<bool()>& due) {
  return run(arguments, variables, due);
}

}  // namespace moe_tune::test
