// Ctrl-C: the first one asks the running verb to stop at its next safe point, the second one ends the process.
#pragma once

#include <atomic>

namespace moe_tune::cli {

/// Installs the handler for SIGINT and SIGTERM. The flag becomes true with the first signal; it lives as long as the process.
const std::atomic<bool>& catch_interrupts();

}  // namespace moe_tune::cli
