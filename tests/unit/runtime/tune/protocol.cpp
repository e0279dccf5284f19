#include "runtime/tune/protocol.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"

using namespace moe_tune;

namespace {

/// What arrives at the other end.
JsonDocument sent(const Json& message) { return parse_json(json_text(message), "message"); }

}  // namespace

TEST_CASE("requests survive the way to the worker") {
  const CompileRequest compile{test::sample_problem(), test::sample_config(), "sm_90a"};
  const JsonDocument compile_message = sent(to_json(compile));
  const CompileRequest compile_read = compile_request_from(compile_message.root());
  CHECK(compile_read.problem == compile.problem);
  CHECK(compile_read.config == compile.config);
  CHECK(compile_read.arch == "sm_90a");

  SetUpRequest set_up{{.ordinal = 3}, {test::sample_problem(), 77, {RoutingSpec::Kind::zipf, 0.1, 42}, 43}};
  const JsonDocument set_up_message = sent(to_json(set_up));
  const SetUpRequest set_up_read = set_up_request_from(set_up_message.root());
  CHECK(set_up_read.place.device == DeviceKind::gpu);
  CHECK(set_up_read.place.ordinal == 3);
  CHECK(set_up_read.workload.problem == set_up.workload.problem);
  CHECK(set_up_read.workload.tokens == 77);
  CHECK(set_up_read.workload.routing.kind == RoutingSpec::Kind::zipf);
  CHECK(set_up_read.workload.routing.alpha == 0.1);
  CHECK(set_up_read.workload.routing.seed == 42);
  CHECK(set_up_read.workload.seed == 43);

  const TimeRequest time{{test::sample_config(64), test::sample_config(128)}, 7, std::numeric_limits<std::uint64_t>::max()};
  const JsonDocument time_message = sent(to_json(time));
  const TimeRequest time_read = time_request_from(time_message.root());
  CHECK(time_read.configs == time.configs);
  CHECK(time_read.rounds == 7);
  CHECK(time_read.seed == std::numeric_limits<std::int64_t>::max());

  const JsonDocument verify_message = sent(to_json(VerifyRequest{test::sample_config()}));
  CHECK(verify_request_from(verify_message.root()).config == test::sample_config());
}

TEST_CASE("a set-up for the emulated device says so, with its schedules and experts") {
  const SetUpRequest request{{.device = DeviceKind::emulator, .schedules = 7, .experts = 2}, {test::sample_problem(), 3, {}, 5}};
  const JsonDocument message = sent(to_json(request));
  const Place place = set_up_request_from(message.root()).place;
  CHECK(place.device == DeviceKind::emulator);
  CHECK(place.schedules == 7);
  CHECK(place.experts == 2);
  for (const char* bad : {R"({"device":"emulator","schedules":0,"experts":1})", R"({"device":"emulator","schedules":1})",
                          R"({"device":"tpu","ordinal":0})", R"({"device":"gpu"})", R"({"device":"gpu","ordinal":-1})"}) {
    CAPTURE(bad);
    Json changed = to_json(request);
    const JsonDocument document = parse_json(bad, "place");
    changed["place"] = document.root().raw();
    const JsonDocument bad_message = sent(changed);
    CHECK_THROWS_AS(set_up_request_from(bad_message.root()), UsageError);
  }
}

TEST_CASE("an error arrives with who is to blame") {
  for (const auto kind : {WorkerErrorKind::usage, WorkerErrorKind::environment, WorkerErrorKind::no_device,
                          WorkerErrorKind::compile, WorkerErrorKind::fault, WorkerErrorKind::hang, WorkerErrorKind::other}) {
    const JsonDocument message = sent(to_json(WorkerError{kind, "line 1\nline 2"}));
    const WorkerError error = worker_error_from(message.root());
    CHECK(error.kind == kind);
    CHECK(error.message == "line 1\nline 2");
  }
  const JsonDocument unknown = parse_json(R"({"error":"x","kind":"weather"})", "message");
  CHECK_THROWS_AS(worker_error_from(unknown.root()), UsageError);
}

TEST_CASE("an emulated comparison names the schedule of bad rows, and where it ran") {
  Comparison comparison;
  comparison.max_row_error = 0.5;
  comparison.bad_rows = 2;
  const JsonDocument message = sent(to_json(emulated_verify_reply(comparison, 6)));
  const VerifyReply bad = verify_reply_from(message.root());
  CHECK(bad.schedule == 6);
  CHECK(bad.verification.status == VerifyStatus::fail);
  CHECK(bad.verification.device == DeviceKind::emulator);
  CHECK(emulated_verify_reply(Comparison{}, 6).schedule == -1);
  CHECK(verify_reply(comparison, 1).verification.device == DeviceKind::gpu);
}

TEST_CASE("replies survive the way back") {
  DeviceReply device;
  device.devices = 2;
  device.info = {1,       "NVIDIA H200", 9,    0,       132,    232448,   233472,   65536, 62914560, 150'000'000'000,
                 1980000, 3201000,       6144, "GPU-1", "13.0", "580.95", "1g.18gb"};
  device.free_bytes = 149'000'000'000;
  const JsonDocument device_message = sent(to_json(device));
  const DeviceReply device_read = device_reply_from(device_message.root());
  CHECK(device_read.devices == 2);
  CHECK(device_read.info == device.info);
  CHECK(device_read.free_bytes == device.free_bytes);

  const JsonDocument compile_message = sent(to_json(CompileReply{{168, 98304, 16, 32, 0}, 0.5}));
  const CompileReply compile_read = compile_reply_from(compile_message.root());
  CHECK(compile_read.resources == Resources{168, 98304, 16, 32, 0});
  CHECK(compile_read.seconds == 0.5);

  const JsonDocument timed_message = sent(to_json(TimedRounds{{{1.5, 2.5}, {1.25, 2.75}}, 4, 1980}));
  const TimedRounds timed_read = timed_rounds_from(timed_message.root(), 2);
  CHECK(timed_read.rounds == std::vector<std::vector<double>>{{1.5, 2.5}, {1.25, 2.75}});
  CHECK(timed_read.discarded == 4);
  CHECK(timed_read.sm_mhz == 1980);
}

TEST_CASE("a comparison with NaN arrives as infinity and a failure") {
  Comparison comparison;
  comparison.max_row_error = std::numeric_limits<double>::infinity();
  comparison.bad_rows = 5;
  comparison.first_bad_row = 3;
  comparison.expert_error = {0.001, std::numeric_limits<double>::infinity(), 0.5};
  const JsonDocument message = sent(to_json(verify_reply(comparison, 2)));
  const VerifyReply reply = verify_reply_from(message.root());
  CHECK(reply.verification.status == VerifyStatus::fail);
  CHECK(reply.verification.max_rel_err == std::numeric_limits<double>::infinity());
  CHECK(reply.bad_rows == 5);
  CHECK(reply.first_bad_row == 3);
  CHECK(reply.worst_expert == 1);
  CHECK(reply.resident_blocks == 2);
  CHECK(verify_reply(Comparison{}, 1).verification.status == VerifyStatus::pass);
}

TEST_CASE("samples that cannot be are refused") {
  const auto read = [](const char* text) {
    const JsonDocument message = parse_json(text, "message");
    return timed_rounds_from(message.root(), 2);
  };
  CHECK_NOTHROW(read(R"({"rounds":[[1,2]],"discarded":0,"sm_mhz":0})"));
  CHECK_THROWS_AS(read(R"({"rounds":[[1]],"discarded":0,"sm_mhz":0})"), UsageError);
  CHECK_THROWS_AS(read(R"({"rounds":[[1,0]],"discarded":0,"sm_mhz":0})"), UsageError);
  CHECK_THROWS_AS(read(R"({"rounds":[[1,-2]],"discarded":0,"sm_mhz":0})"), UsageError);
  CHECK_THROWS_AS(read(R"({"rounds":[[1,null]],"discarded":0,"sm_mhz":0})"), UsageError);
  CHECK_THROWS_AS(read(R"({"rounds":3})"), UsageError);
}

TEST_CASE("a config outside the space is no request") {
  const JsonDocument message = parse_json(R"({"config":"sm80_100x128x64_w4m2_s3_c1_mfast"})", "message");
  CHECK_THROWS_AS(verify_request_from(message.root()), UsageError);
}
