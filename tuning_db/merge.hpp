// Which entry speaks for which token counts when several do.
#pragma once

#include <vector>

#include "tuning_db/record.hpp"

namespace moe_tune {

/// Entries ordered by precedence, best first -> entries whose ranges of one (workload, device) do not overlap: each keeps what
/// no better one speaks for, in up to several pieces (copies with a smaller range), or vanishes. Sorted by workload, device,
/// range.
std::vector<Entry> resolve_overlaps(const std::vector<Entry>& by_precedence);

/// A database's entries after `incoming` arrived: a higher source rank wins, then the later date, then `incoming`.
std::vector<Entry> merge_entries(const std::vector<Entry>& existing, const std::vector<Entry>& incoming);

}  // namespace moe_tune
