// Stacks of fibers, kept for the next launch: mapping one and its guard page costs more than running a small kernel on it.
#pragma once

#include <boost/context/protected_fixedsize_stack.hpp>
#include <vector>

namespace moe_tune::emulator {

/// A stack allocator of Boost.Context. All objects of a host thread share its stacks.
class Stacks {
 public:
  boost::context::stack_context allocate();
  void deallocate(boost::context::stack_context& stack);
};

}  // namespace moe_tune::emulator
