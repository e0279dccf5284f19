// Which entry speaks for which token counts when several do.
#pragma once

#include <vector>

#include "tuning_db/record.hpp"

namespace moe_tune {

/// Entries ordered by precedence, best first -> entries whose ranges of one (workload, device) do not overlap: each keeps what
/// no better one speaks for, in up to several pieces (copies with a smaller range), or vanishes. Entries of one source, generator
/// and compiler are peers: among them the one that was measured nearest is the better one, whatever its place; of two that were
/// measured at the same token count the first is. Other entries have the place of their first peer. Sorted by workload, device,
/// range.
std::vector<Entry> resolve_overlaps(const std::vector<Entry>& by_precedence);

/// A database's entries after `incoming` arrived: a higher source rank goes first, then the later date, then `incoming`.
std::vector<Entry> merge_entries(const std::vector<Entry>& existing, const std::vector<Entry>& incoming);

}  // namespace moe_tune
