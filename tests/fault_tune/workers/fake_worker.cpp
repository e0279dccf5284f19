// A worker that answers as its argument says; what a parent must survive.
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tune/worker.hpp"

namespace {

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(moe_tune::worker_fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) _exit(0);
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

/// One request; ends the process when the parent is gone.
std::string listen() {
  std::string line;
  char byte;
  while (recv(moe_tune::worker_fd, &byte, 1, 0) == 1) {
    if (byte == '\n') return line;
    line += byte;
  }
  _exit(0);
}

[[noreturn]] void hang() {
  while (true) pause();
}

void answer(std::string_view mode) {
  if (mode == "echo") return say("{\"reply\":" + listen() + "}\n");
  if (mode == "refuse") {
    listen();
    return say("{\"error\":\"I would rather not\",\"kind\":\"environment\"}\n");
  }
  if (mode.starts_with("fail_as_")) {  // sets up, and announces and fails everything else as what follows
    const bool sets_up = listen().find("\"set_up\"") != std::string::npos;
    if (sets_up) return say("{\"reply\":{}}\n");
    return say("{\"running\":0}\n{\"error\":\"it did not go well\",\"kind\":\"" + std::string(mode.substr(8)) + "\"}\n");
  }
  if (mode == "announce_then_hang") {
    listen();
    say("{\"running\":3}\n{\"running\":5}\n");
    hang();
  }
  if (mode == "announce_slowly") {
    listen();
    for (int i = 0; i < 5; ++i) {
      say("{\"running\":" + std::to_string(i) + "}\n");
      usleep(100'000);
    }
    return say("{\"reply\":{}}\n");
  }
  if (mode == "deaf") hang();  // does not even read
  if (mode == "exit") {
    listen();
    std::fprintf(stderr, "the last words\n");
    std::exit(42);
  }
  if (mode == "segfault") {
    listen();
    say("{\"running\":7}\n");
    raise(SIGSEGV);
  }
  if (mode == "garbage") {
    listen();
    say("\x01\xff not JSON\n");
    hang();
  }
  if (mode == "wrong_type") {
    listen();
    say("{\"running\":\"one\"}\n");
    hang();
  }
  if (mode == "half_a_line") {
    listen();
    say("{\"reply\":{\"a\":");
    std::exit(0);
  }
  if (mode == "endless_line") {
    listen();
    const std::string chunk(1 << 20, 'x');
    while (true) say(chunk);
  }
  if (mode == "endless_announcements") {
    listen();
    std::string chunk;
    for (int i = 0; i < 1000; ++i) chunk += "{\"running\":1}\n";
    while (true) say(chunk);
  }
  if (mode == "flood_stdout") {
    listen();
    const std::string chunk(1 << 16, 'y');
    for (int i = 0; i < 200; ++i) {
      std::fwrite(chunk.data(), 1, chunk.size(), stdout);
      std::fwrite(chunk.data(), 1, chunk.size(), stderr);
    }
    std::fflush(stdout);
    return say("{\"reply\":{}}\n");
  }
  if (mode == "dies_when_idle") {
    listen();
    say("{\"reply\":{\"pid\":" + std::to_string(getpid()) + "}}\n");
    std::exit(1);
  }
  if (mode == "talks_when_idle") {
    listen();
    return say("{\"reply\":{\"pid\":" + std::to_string(getpid()) + "}}\n{\"reply\":{\"pid\":0}}\n");
  }
  if (mode == "eat_memory") {
    listen();
    for (std::vector<std::string> eaten;;) eaten.emplace_back(64 << 20, 'z');
  }
  std::exit(3);
}

}  // namespace

int main(int, char** argv) {
  while (true) answer(argv[1]);
}
