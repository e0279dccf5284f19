// Records as JSON objects and back, one pair of functions per record. The database and the journal are both made of these.
#pragma once

#include <string>

#include "generator/support/json.hpp"
#include "tuning_db/enum_names.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

inline constexpr EnumNames<RoutingKind, 4> routing_kind_names{{"uniform", "zipf", "dirichlet", "trace"}};
inline constexpr EnumNames<VerifyStatus, 3> verify_status_names{{"not_run", "pass", "fail"}};
inline constexpr EnumNames<DeviceKind, 2> device_kind_names{{"gpu", "emulator"}};
inline constexpr EnumNames<Source, 4> source_names{{"predicted", "imported", "tuned", "manual"}};

// Writing. Throws UsageError for a number that is not finite, which JSON cannot hold.
Json workload_json(const Problem& problem);
Json device_key_json(const DeviceKey& key);  ///< the key fields of an environment
Json generator_json(const GeneratorId& id);
Json config_json(const KernelConfig& config);
Json routing_json(const Routing& routing);
Json timing_json(const Timing& time);
Json baseline_json(const Baseline& baseline);
Json alternatives_json(const std::vector<Alternative>& alternatives);
Json resources_json(const Resources& resources);
Json verification_json(const Verification& verify);
Json search_json(const SearchSummary& search);

// Reading. Throws UsageError naming the place for anything missing, of another type or out of range; unknown keys are skipped.
Problem workload_from(const JsonView& view);
DeviceKey device_key_from(const JsonView& view);
GeneratorId generator_from(const JsonView& view);
Family family_from(const JsonView& view);
int config_value_from(const ConfigField& field, const JsonView& view, Family family);  ///< one of field.allowed(family), always
KernelConfig config_from(const JsonView& view);
Routing routing_from(const JsonView& view);
Timing timing_from(const JsonView& view);
Baseline baseline_from(const JsonView& view);
std::vector<Alternative> alternatives_from(const JsonView& view);
Resources resources_from(const JsonView& view);
Verification verification_from(const JsonView& view);
SearchSummary search_from(const JsonView& view);

}  // namespace moe_tune
