#include "runtime/tune/protocol.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/tune/tokens.hpp"
#include "tuning_db/record_json.hpp"

namespace moe_tune {
namespace {

constexpr int max_rounds = 100'000;

constexpr EnumNames<WorkerErrorKind, 7> error_kind_names{
    {"usage", "environment", "no_device", "compile", "fault", "hang", "other"}};

/// JSON integers are signed.
Json seed_json(std::uint64_t seed) { return static_cast<std::int64_t>(seed & INT64_MAX); }

std::uint64_t seed_from(const JsonView& view) { return static_cast<std::uint64_t>(view.integer<std::int64_t>(0)); }

KernelConfig named_config(const JsonView& view) { return parse_config(view.string()); }

Json routing_spec_json(const RoutingSpec& spec) {
  return {
      {"kind", spec.kind == RoutingSpec::Kind::zipf ? "zipf" : "uniform"}, {"alpha", spec.alpha}, {"seed", seed_json(spec.seed)}};
}

RoutingSpec routing_spec_from(const JsonView& view) {
  constexpr EnumNames<RoutingSpec::Kind, 2> kinds{{"uniform", "zipf"}};
  RoutingSpec spec;
  spec.kind = kinds.parse(view.at("kind"));
  spec.alpha = view.at("alpha").number();
  spec.seed = seed_from(view.at("seed"));
  return spec;
}

Json place_json(const Place& place) {
  if (place.device == DeviceKind::emulator)
    return {{"device", to_string(place.device)}, {"schedules", place.schedules}, {"experts", place.experts}};
  return {{"device", to_string(place.device)}, {"ordinal", place.ordinal}};
}

Place place_from(const JsonView& view) {
  Place place;
  place.device = device_kind_names.parse(view.at("device"));
  if (place.device == DeviceKind::emulator) {
    place.schedules = view.at("schedules").integer<int>(1, max_schedules);
    place.experts = view.at("experts").integer<int>(1);
  } else {
    place.ordinal = view.at("ordinal").integer<int>(0);
  }
  return place;
}

/// The fields of DeviceInfo under their names.
template <class Info, class Visitor>
void for_each_field(Info& info, const Visitor& visit) {
  visit("ordinal", info.ordinal);
  visit("name", info.name);
  visit("cc_major", info.cc_major);
  visit("cc_minor", info.cc_minor);
  visit("sm_count", info.sm_count);
  visit("smem_optin", info.smem_optin);
  visit("smem_per_sm", info.smem_per_sm);
  visit("regs_per_sm", info.regs_per_sm);
  visit("l2_bytes", info.l2_bytes);
  visit("total_bytes", info.total_bytes);
  visit("clock_khz", info.clock_khz);
  visit("memory_clock_khz", info.memory_clock_khz);
  visit("memory_bus_bits", info.memory_bus_bits);
  visit("uuid", info.uuid);
  visit("cuda", info.cuda);
  visit("driver", info.driver);
  visit("mig", info.mig);
}

struct FieldReader {
  const JsonView& view;

  void operator()(std::string_view name, std::string& field) const { field = view.at(name).string(); }
  template <std::integral T>
  void operator()(std::string_view name, T& field) const {
    field = view.at(name).integer<T>(0);
  }
};

}  // namespace

Json nvrtc_request() { return {{"verb", "nvrtc"}}; }

Json device_request(int ordinal) { return {{"verb", "device"}, {"ordinal", ordinal}}; }

Json to_json(const CompileRequest& request) {
  return {{"verb", "compile"},
          {"problem", workload_json(request.problem)},
          {"config", to_string(request.config)},
          {"arch", request.arch}};
}

CompileRequest compile_request_from(const JsonView& view) {
  return {workload_from(view.at("problem")), named_config(view.at("config")), view.at("arch").string()};
}

Json to_json(const SetUpRequest& request) {
  return {{"verb", "set_up"},
          {"place", place_json(request.place)},
          {"problem", workload_json(request.workload.problem)},
          {"tokens", request.workload.tokens},
          {"routing", routing_spec_json(request.workload.routing)},
          {"seed", seed_json(request.workload.seed)}};
}

SetUpRequest set_up_request_from(const JsonView& view) {
  return {place_from(view.at("place")),
          {workload_from(view.at("problem")), view.at("tokens").integer<int>(0, max_tuned_tokens),
           routing_spec_from(view.at("routing")), seed_from(view.at("seed"))}};
}

Json to_json(const VerifyRequest& request) { return {{"verb", "verify"}, {"config", to_string(request.config)}}; }

VerifyRequest verify_request_from(const JsonView& view) { return {named_config(view.at("config"))}; }

Json to_json(const TimeRequest& request) {
  Json names = Json::array();
  for (const KernelConfig& config : request.configs) names.push_back(to_string(config));
  return {{"verb", "time"}, {"configs", names}, {"rounds", request.rounds}, {"seed", seed_json(request.seed)}};
}

TimeRequest time_request_from(const JsonView& view) {
  TimeRequest request;
  for (const JsonView& name : view.at("configs").elements()) request.configs.push_back(named_config(name));
  request.rounds = view.at("rounds").integer<int>(1, max_rounds);
  request.seed = seed_from(view.at("seed"));
  return request;
}

Json to_json(const WorkerError& error) { return {{"error", error.message}, {"kind", error_kind_names.name(error.kind)}}; }

WorkerError worker_error_from(const JsonView& message) {
  return {error_kind_names.parse(message.at("kind")), message.at("error").string()};
}

Json to_json(const DeviceReply& reply) {
  Json info = Json::object();
  for_each_field(reply.info, [&](std::string_view name, const auto& field) { info[std::string(name)] = field; });
  return {{"devices", reply.devices}, {"why_none", reply.why_none}, {"info", info}, {"free_bytes", reply.free_bytes}};
}

DeviceReply device_reply_from(const JsonView& view) {
  DeviceReply reply;
  reply.devices = view.at("devices").integer<int>(0);
  reply.why_none = view.at("why_none").string();
  const JsonView info = view.at("info");
  for_each_field(reply.info, FieldReader{info});
  reply.free_bytes = view.at("free_bytes").integer<std::int64_t>(0);
  return reply;
}

Json to_json(const CompileReply& reply) { return {{"resources", resources_json(reply.resources)}, {"seconds", reply.seconds}}; }

CompileReply compile_reply_from(const JsonView& view) {
  return {resources_from(view.at("resources")), view.at("seconds").number()};
}

Json to_json(const VerifyReply& reply) {
  return {{"verification", verification_json(reply.verification)},
          {"bad_rows", reply.bad_rows},
          {"first_bad_row", reply.first_bad_row},
          {"worst_expert", reply.worst_expert},
          {"resident_blocks", reply.resident_blocks},
          {"schedule", reply.schedule}};
}

VerifyReply verify_reply_from(const JsonView& view) {
  VerifyReply reply;
  reply.verification = verification_from(view.at("verification"));
  reply.bad_rows = view.at("bad_rows").integer<std::int64_t>(0);
  reply.first_bad_row = view.at("first_bad_row").integer<int>(-1);
  reply.worst_expert = view.at("worst_expert").integer<int>(-1);
  reply.resident_blocks = view.at("resident_blocks").integer<int>(0);
  reply.schedule = view.at("schedule").integer<int>(-1);
  return reply;
}

VerifyReply verify_reply(const Comparison& comparison, int resident_blocks) {
  VerifyReply reply;
  reply.verification = {comparison.pass() ? VerifyStatus::pass : VerifyStatus::fail, "fp32", comparison.max_row_error};
  reply.bad_rows = comparison.bad_rows;
  reply.first_bad_row = comparison.first_bad_row;
  const auto worst = std::max_element(comparison.expert_error.begin(), comparison.expert_error.end());
  if (worst != comparison.expert_error.end()) reply.worst_expert = static_cast<int>(worst - comparison.expert_error.begin());
  reply.resident_blocks = resident_blocks;
  return reply;
}

VerifyReply emulated_verify_reply(const Comparison& comparison, int schedule) {
  VerifyReply reply = verify_reply(comparison, 0);
  reply.verification.device = DeviceKind::emulator;
  if (!comparison.pass()) reply.schedule = schedule;
  return reply;
}

Json to_json(const TimedRounds& reply) {
  return {{"rounds", reply.rounds}, {"discarded", reply.discarded}, {"sm_mhz", reply.sm_mhz}};
}

TimedRounds timed_rounds_from(const JsonView& view, std::size_t configs) {
  TimedRounds timed;
  for (const JsonView& round : view.at("rounds").elements()) {
    std::vector<double> samples;
    for (const JsonView& sample : round.elements()) {
      samples.push_back(sample.number());
      if (samples.back() <= 0) sample.fail("a time that is not positive");
    }
    if (samples.size() != configs) round.fail("not one sample per config");
    timed.rounds.push_back(std::move(samples));
  }
  timed.discarded = view.at("discarded").integer<int>(0);
  timed.sm_mhz = view.at("sm_mhz").integer<int>(0);
  return timed;
}

}  // namespace moe_tune
