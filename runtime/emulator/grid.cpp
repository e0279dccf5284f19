#include "runtime/emulator/grid.hpp"

namespace moe_tune::emulator {

void Learned::join(const Learned& other) {
  seen.join(other.seen);
  for (std::size_t space = 0; space < fence_spaces; ++space) fenced[space].join(other.fenced[space]);
}

void Meeting::add(const Learned& learned) {
  seen.add(learned.seen);
  for (std::size_t space = 0; space < fence_spaces; ++space) fenced[space].add(learned.fenced[space]);
}

}  // namespace moe_tune::emulator
