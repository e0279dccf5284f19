#include "tests/fault/system_calls.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>

namespace moe_tune::test {
namespace {

std::atomic<int> calls_left = 0;  // 0: not armed
std::atomic<bool> locks_ignored = false;
Fault armed_fault = Fault::error;
int armed_error = 0;
const char* failed_call = nullptr;

/// Whether this call is the one. A kill does not return.
bool is_due(const char* name) {
  int left = calls_left.load();
  if (left == 0) return false;
  while (!calls_left.compare_exchange_weak(left, left - 1)) {
    if (left == 0) return false;
  }
  if (left != 1) return false;
  failed_call = name;
  if (armed_fault == Fault::kill) kill(getpid(), SIGKILL);
  errno = armed_error;
  return true;
}

bool fails(const char* name) { return is_due(name) && armed_fault == Fault::error; }

}  // namespace

FailingCall::FailingCall(int which, Fault fault, int error_number) {
  armed_fault = fault;
  armed_error = error_number;
  failed_call = nullptr;
  calls_left = which;
}
FailingCall::~FailingCall() { calls_left = 0; }
bool FailingCall::happened() const { return failed_call != nullptr; }
std::string FailingCall::name() const { return failed_call == nullptr ? "none" : failed_call; }

WithoutLocks::WithoutLocks() { locks_ignored = true; }
WithoutLocks::~WithoutLocks() { locks_ignored = false; }

}  // namespace moe_tune::test

using moe_tune::test::armed_fault;
using moe_tune::test::fails;
using moe_tune::test::Fault;
using moe_tune::test::is_due;

// The C library's own definitions give way to these at link time. They go to the kernel directly.
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return fails("open") ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t read(int fd, void* bytes, size_t count) { return fails("read") ? -1 : syscall(SYS_read, fd, bytes, count); }

ssize_t write(int fd, const void* bytes, size_t count) {
  if (is_due("write")) {
    if (armed_fault == Fault::error) return -1;
    count /= 2;
  }
  return syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd) { return fails("fsync") ? -1 : static_cast<int>(syscall(SYS_fsync, fd)); }

int close(int fd) {
  const bool failed = fails("close");
  const int error_number = errno;
  const int result = static_cast<int>(syscall(SYS_close, fd));
  if (!failed) return result;
  errno = error_number;
  return -1;
}

int rename(const char* from, const char* to) noexcept {
  return fails("rename") ? -1 : static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int flock(int fd, int operation) noexcept {
  if (moe_tune::test::locks_ignored) return 0;
  return fails("flock") ? -1 : static_cast<int>(syscall(SYS_flock, fd, operation));
}

int fstat(int fd, struct stat* info) noexcept {
  return fails("fstat") ? -1 : static_cast<int>(syscall(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH));
}

int fchmod(int fd, mode_t mode) noexcept { return fails("fchmod") ? -1 : static_cast<int>(syscall(SYS_fchmod, fd, mode)); }

int mkdir(const char* path, mode_t mode) noexcept {
  return fails("mkdir") ? -1 : static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

}  // extern "C"
