#include "tuning_db/record_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

double finite(double value, std::string_view what) {
  if (!std::isfinite(value)) throw UsageError(fmt::format("cannot store {}: {} is not a finite number", what, value));
  return value;
}

Json pair_json(const std::array<double, 2>& pair, std::string_view what) {
  return Json::array({finite(pair[0], what), finite(pair[1], what)});
}

std::array<double, 2> pair_from(const JsonView& view) {
  const auto elements = view.elements();
  if (elements.size() != 2) view.fail("expected two numbers");
  return {elements[0].number(), elements[1].number()};
}

/// The problem's words are parsed by their own functions; what those throw gets the place in the file.
template <class Parse>
auto word_from(const JsonView& view, Parse parse) {
  const std::string text = view.string();
  try {
    return parse(text);
  } catch (const UsageError& e) {
    view.fail(e.what());
  }
}

int count_from(const JsonView& view) { return view.integer<int>(0); }

/// "9.0" as {9, 0}.
std::pair<int, int> capability_from(const JsonView& view) {
  const std::string text = view.string();
  const auto digits = [&](std::string_view part) {
    const bool good =
        !part.empty() && part.size() <= 2 && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!good) view.fail(fmt::format("\"{}\" is not a compute capability like \"9.0\"", text));
    return std::stoi(std::string(part));
  };
  const size_t dot = std::min(text.find('.'), text.size());
  const std::string_view whole = text;
  return {digits(whole.substr(0, dot)), digits(whole.substr(std::min(dot + 1, text.size())))};
}

/// A family writes the fields that it has a choice of, so that a record of sm80 has the bytes from before there was sm90.
bool is_written(const ConfigField& field, Family family) {
  return field.get == config_fields().front().get || field.allowed(family).size() > 1;
}

}  // namespace

int config_value_from(const ConfigField& field, const JsonView& view, Family family) {
  if (!field.spelling.empty()) {
    const std::string text = view.string();
    const auto found = std::find(field.spelling.begin(), field.spelling.end(), text);
    const auto value = static_cast<int>(found - field.spelling.begin());
    if (found != field.spelling.end() && field.allows(family, value)) return value;
    view.fail(fmt::format("\"{}\" is not allowed; allowed: {}", text, allowed_text(field, family)));
  }
  const int64_t value = view.integer<int64_t>();
  const auto allowed = field.allowed(family);
  const auto found = std::find(allowed.begin(), allowed.end(), value);
  if (found == allowed.end()) view.fail(fmt::format("{} is not allowed; allowed: {}", value, allowed_text(field, family)));
  return *found;
}

Family family_from(const JsonView& view) {
  const std::string text = view.string();
  const auto names = family_names();
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) view.fail(fmt::format("\"{}\" is not allowed; allowed: {}", text, fmt::join(names, ", ")));
  return static_cast<Family>(found - names.begin());
}

Json workload_json(const Problem& problem) {
  Json fusions = Json::array();
  for (const ProblemFlag& flag : problem_flags()) {
    if (!flag.fusion.empty() && problem.*flag.member) fusions.push_back(flag.fusion);
  }
  return {{"op", to_string(problem.op)},
          {"gemm", to_string(problem.gemm)},
          {"E", problem.E},
          {"N", problem.N},
          {"K", problem.K},
          {"top_k", problem.top_k},
          {"dtype", to_string(problem.dtype)},
          {"permute_x", problem.permute_x},
          {"permute_y", problem.permute_y},
          {"fusions", std::move(fusions)}};
}

Problem workload_from(const JsonView& view) {
  Problem problem;
  problem.op = word_from(view.at("op"), parse_op);
  problem.gemm = word_from(view.at("gemm"), parse_gemm);
  problem.E = view.at("E").integer<int>(1);
  problem.N = view.at("N").integer<int>(1);
  problem.K = view.at("K").integer<int>(1);
  problem.top_k = view.at("top_k").integer<int>(1);
  problem.dtype = word_from(view.at("dtype"), parse_dtype);
  problem.permute_x = view.at("permute_x").boolean();
  problem.permute_y = view.at("permute_y").boolean();
  for (const JsonView& fusion : view.at("fusions").elements()) problem.*word_from(fusion, parse_fusion) = true;
  return problem;
}

Json device_key_json(const DeviceKey& key) {
  return {{"name", key.name},
          {"cc", fmt::format("{}.{}", key.cc_major, key.cc_minor)},
          {"sm_count", key.sm_count},
          {"mig", key.mig.empty() ? Json(nullptr) : Json(key.mig)}};
}

DeviceKey device_key_from(const JsonView& view) {
  DeviceKey key;
  key.name = view.at("name").string();
  std::tie(key.cc_major, key.cc_minor) = capability_from(view.at("cc"));
  key.sm_count = count_from(view.at("sm_count"));
  if (const JsonView mig = view.at("mig"); !mig.is_null()) key.mig = mig.string();
  return key;
}

Json generator_json(const GeneratorId& id) {
  return {{"version", id.version}, {"source_hash", id.source_hash}, {"flags", id.flags}};
}

GeneratorId generator_from(const JsonView& view) {
  GeneratorId id;
  id.version = view.at("version").string();
  id.source_hash = view.at("source_hash").string();
  for (const JsonView& flag : view.at("flags").elements()) id.flags.push_back(flag.string());
  return id;
}

Json config_json(const KernelConfig& config) {
  if (const auto reason = reject_field_values(config)) {
    throw UsageError(fmt::format("cannot store the config {}: {}", to_string(config), *reason));
  }
  Json json = Json::object();
  for (const ConfigField& field : config_fields()) {
    if (!is_written(field, config.family)) continue;
    json[std::string(field.name)] = field.spelling.empty() ? Json(field.get(config)) : Json(field_text(field, config));
  }
  return json;
}

KernelConfig config_from(const JsonView& view) {
  KernelConfig config = first_config(family_from(view.at("family")));
  for (const ConfigField& field : config_fields()) {
    const auto value = view.find(field.name);
    if (value || is_written(field, config.family)) {
      field.set(config, config_value_from(field, view.at(field.name), config.family));
    }
  }
  return config;
}

Json routing_json(const Routing& routing) {
  return {{"kind", to_string(routing.kind)},
          {"alpha", routing.alpha ? Json(finite(*routing.alpha, "routing.alpha")) : Json(nullptr)},
          {"effective_experts", finite(routing.effective_experts, "routing.effective_experts")},
          {"max_share", finite(routing.max_share, "routing.max_share")}};
}

Routing routing_from(const JsonView& view) {
  Routing routing;
  routing.kind = routing_kind_names.parse(view.at("kind"));
  if (const JsonView alpha = view.at("alpha"); !alpha.is_null()) routing.alpha = alpha.number();
  routing.effective_experts = view.at("effective_experts").number();
  routing.max_share = view.at("max_share").number();
  return routing;
}

Json timing_json(const Timing& time) {
  return {{"median", finite(time.median, "time.median")},
          {"ci95", pair_json(time.ci95, "time.ci95")},
          {"n", time.n},
          {"cache", time.cache},
          {"sm_mhz", time.sm_mhz},
          {"discarded", time.discarded}};
}

Timing timing_from(const JsonView& view) {
  Timing time;
  time.median = view.at("median").number();
  time.ci95 = pair_from(view.at("ci95"));
  time.n = count_from(view.at("n"));
  time.cache = view.at("cache").string();
  time.sm_mhz = count_from(view.at("sm_mhz"));
  time.discarded = count_from(view.at("discarded"));
  return time;
}

Json baseline_json(const Baseline& baseline) {
  return {{"config", config_json(baseline.config)},
          {"median", finite(baseline.median, "default.median")},
          {"speedup", finite(baseline.speedup, "default.speedup")},
          {"speedup_ci95", pair_json(baseline.speedup_ci95, "default.speedup_ci95")}};
}

Baseline baseline_from(const JsonView& view) {
  Baseline baseline;
  baseline.config = config_from(view.at("config"));
  baseline.median = view.at("median").number();
  baseline.speedup = view.at("speedup").number();
  baseline.speedup_ci95 = pair_from(view.at("speedup_ci95"));
  return baseline;
}

Json alternatives_json(const std::vector<Alternative>& alternatives) {
  Json json = Json::array();
  for (const Alternative& a : alternatives) {
    json.push_back({{"config", config_json(a.config)}, {"median", finite(a.median, "alternatives.median")}});
  }
  return json;
}

std::vector<Alternative> alternatives_from(const JsonView& view) {
  std::vector<Alternative> result;
  for (const JsonView& element : view.elements()) {
    result.push_back({config_from(element.at("config")), element.at("median").number()});
  }
  return result;
}

Json resources_json(const Resources& resources) {
  return {{"regs", resources.regs},
          {"smem", resources.smem},
          {"spill_bytes", resources.spill_bytes},
          {"stack_bytes", resources.stack_bytes},
          {"ctas_per_sm", resources.ctas_per_sm}};
}

Resources resources_from(const JsonView& view) {
  Resources resources;
  resources.regs = count_from(view.at("regs"));
  resources.smem = view.at("smem").integer<int64_t>(0);
  resources.spill_bytes = view.at("spill_bytes").integer<int64_t>(0);
  resources.stack_bytes = view.at("stack_bytes").integer<int64_t>(0);
  resources.ctas_per_sm = count_from(view.at("ctas_per_sm"));
  return resources;
}

Json verification_json(const Verification& verify) {
  Json json = {{"status", to_string(verify.status)},
               {"reference", verify.reference},
               {"max_rel_err", std::isfinite(verify.max_rel_err) ? Json(verify.max_rel_err) : Json(nullptr)}};
  // Records from before there was an emulator do not say "gpu": they keep their bytes.
  if (verify.device != DeviceKind::gpu) json["device"] = to_string(verify.device);
  return json;
}

Verification verification_from(const JsonView& view) {
  Verification verify;
  verify.status = verify_status_names.parse(view.at("status"));
  verify.reference = view.at("reference").string();
  const JsonView error = view.at("max_rel_err");  // null: a result that held NaN or infinity
  verify.max_rel_err = error.is_null() ? std::numeric_limits<double>::infinity() : error.number();
  if (const auto device = view.find("device")) verify.device = device_kind_names.parse(*device);
  return verify;
}

Json search_json(const SearchSummary& search) {
  return {{"space", search.space},
          {"pruned", search.pruned},
          {"compiled", search.compiled},
          {"failed", search.failed},
          {"stop", search.stop}};
}

SearchSummary search_from(const JsonView& view) {
  SearchSummary search;
  search.space = count_from(view.at("space"));
  search.pruned = count_from(view.at("pruned"));
  search.compiled = count_from(view.at("compiled"));
  search.failed = count_from(view.at("failed"));
  search.stop = view.at("stop").string();
  return search;
}

}  // namespace moe_tune
