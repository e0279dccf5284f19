// Counts allocations, for tests of what must not allocate.
#pragma once

#include <cstdint>

namespace moe_tune::test {

/// How often the calling thread has called operator new.
std::int64_t allocations();

}  // namespace moe_tune::test
