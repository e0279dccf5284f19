#include "runtime/emulator/stacks.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::size_t stack_bytes = 128 * 1024;

/// The stacks that nobody uses.
struct Kept {
  boost::context::protected_fixedsize_stack source{stack_bytes};
  std::vector<boost::context::stack_context> stacks;

  ~Kept() {
    for (boost::context::stack_context& stack : stacks) source.deallocate(stack);
  }
};

Kept& kept() {
  thread_local Kept stacks;
  return stacks;
}

}  // namespace

boost::context::stack_context Stacks::allocate() {
  std::vector<boost::context::stack_context>& stacks = kept().stacks;
  if (stacks.empty()) return kept().source.allocate();
  const boost::context::stack_context stack = stacks.back();
  stacks.pop_back();
  return stack;
}

void Stacks::deallocate(boost::context::stack_context& stack) { kept().stacks.push_back(stack); }

}  // namespace moe_tune::emulator
