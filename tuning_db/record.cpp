#include "tuning_db/record.hpp"

#include "generator/support/hash.hpp"
#include "tuning_db/record_json.hpp"

namespace moe_tune {

std::string_view to_string(RoutingKind kind) { return routing_kind_names.name(kind); }
std::string_view to_string(VerifyStatus status) { return verify_status_names.name(status); }
std::string_view to_string(DeviceKind kind) { return device_kind_names.name(kind); }
std::string_view to_string(Source source) { return source_names.name(source); }

std::string workload_id(const Problem& problem) { return "w:" + hash_hex(json_text(workload_json(problem))); }
std::string environment_id(const DeviceKey& key) { return "e:" + hash_hex(json_text(device_key_json(key))); }
std::string generator_id(const GeneratorId& id) { return "g:" + hash_hex(json_text(generator_json(id))); }

}  // namespace moe_tune
