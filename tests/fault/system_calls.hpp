// System calls that fail on demand. This executable defines open(), write(), fsync() and others itself (system_calls.cpp), so
// the code under test runs unchanged and every call it makes passes through here.
#pragma once

#include <string>

namespace moe_tune::test {

enum class Fault {
  error,        ///< the call does nothing and fails with `error_number` (close() closes all the same)
  short_write,  ///< write() takes half of the bytes; other calls are left alone
  kill,         ///< the process dies before the call, as by kill -9
};

/// While it lives, the `which`-th counted call (from 1) suffers the fault. One at a time.
class FailingCall {
 public:
  FailingCall(int which, Fault fault, int error_number = 0);
  ~FailingCall();
  FailingCall(const FailingCall&) = delete;
  FailingCall& operator=(const FailingCall&) = delete;

  /// Whether the call was reached.
  bool happened() const;
  /// Its name, e.g. "fsync".
  std::string name() const;
};

/// While it lives, flock() succeeds without locking.
class WithoutLocks {
 public:
  WithoutLocks();
  ~WithoutLocks();
  WithoutLocks(const WithoutLocks&) = delete;
  WithoutLocks& operator=(const WithoutLocks&) = delete;
};

}  // namespace moe_tune::test
