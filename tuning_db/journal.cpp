#include "tuning_db/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "generator/support/file.hpp"
#include "generator/support/folder.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/record_json.hpp"
#include "tuning_db/sealed.hpp"

namespace moe_tune {
namespace {

namespace fs = std::filesystem;

constexpr size_t max_journal_bytes = size_t{1} << 30;

constexpr EnumNames<AttemptStatus, 11> attempt_status_names{{"predicted", "compiled", "spilled", "compile_error",
                                                             "compile_timeout", "crashed", "fault", "hung", "wrong", "verified",
                                                             "timed"}};

Json environment_json(const Environment& env) {
  Json json = device_key_json(env.key);
  json.update(
      {{"smem_optin", env.smem_optin}, {"uuid", env.uuid}, {"driver", env.driver}, {"cuda", env.cuda}, {"nvrtc", env.nvrtc}});
  return json;
}

Environment environment_from(const JsonView& view) {
  Environment env;
  env.key = device_key_from(view);
  env.smem_optin = view.at("smem_optin").integer<int>(0);
  env.uuid = view.at("uuid").string();
  env.driver = view.at("driver").string();
  env.cuda = view.at("cuda").string();
  env.nvrtc = view.at("nvrtc").string();
  return env;
}

template <class Record>
Json common_json(std::string_view kind, const Record& record, const KernelConfig& config) {
  return {{"kind", kind},
          {"workload", workload_json(record.problem)},
          {"env", environment_json(record.env)},
          {"gen", generator_json(record.gen)},
          {"tokens", record.tokens},
          {"config", config_json(config)},
          {"date", record.date}};
}

template <class Record>
Record common_from(const JsonView& view) {
  Record record;
  record.problem = workload_from(view.at("workload"));
  record.env = environment_from(view.at("env"));
  record.gen = generator_from(view.at("gen"));
  record.tokens = view.at("tokens").integer<int64_t>(0);
  record.date = view.at("date").string();
  return record;
}

Attempt attempt_from(const JsonView& view) {
  Attempt attempt = common_from<Attempt>(view);
  attempt.config = config_from(view.at("config"));
  attempt.status = attempt_status_names.parse(view.at("status"));
  attempt.message = view.at("message").string();
  attempt.rung = view.at("rung").integer<int>(0);
  if (const auto resources = view.find("resources")) attempt.resources = resources_from(*resources);
  if (const auto verify = view.find("verify")) attempt.verify = verification_from(*verify);
  if (const auto time = view.find("time_us")) attempt.time = timing_from(*time);
  return attempt;
}

Completed completed_from(const JsonView& view) {
  Completed completed = common_from<Completed>(view);
  completed.winner = config_from(view.at("config"));
  return completed;
}

}  // namespace

std::string_view to_string(AttemptStatus status) { return attempt_status_names.name(status); }

bool is_failure(AttemptStatus status) { return AttemptStatus::spilled <= status && status <= AttemptStatus::wrong; }

Journal::Journal(fs::path path) : path_(std::move(path)) {
  ensure_private_folder(path_.parent_path());
  fd_ = Descriptor(::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd_) throw_errno("cannot open the journal", path_);
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw_errno("cannot read the journal", path_);
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid()) {
    throw EnvironmentError(
        fmt::format("the journal {} is not a regular file of this user. Delete it or use another folder", path_.string()));
  }
}

void Journal::append(const Attempt& attempt) {
  Json json = common_json("attempt", attempt, attempt.config);
  json["status"] = to_string(attempt.status);
  json["message"] = attempt.message.substr(0, max_message_bytes);
  json["rung"] = attempt.rung;
  if (attempt.resources) json["resources"] = resources_json(*attempt.resources);
  if (attempt.verify) json["verify"] = verification_json(*attempt.verify);
  if (attempt.time) json["time_us"] = timing_json(*attempt.time);
  append_line(json);
}

void Journal::append(const Completed& completed) { append_line(common_json("completed", completed, completed.winner)); }

void Journal::append_line(const Json& record) {
  // Through the text first: it replaces invalid UTF-8 (a compiler's message may hold any byte), which the checksum must cover.
  const std::string line = json_text(seal(parse_json(json_text(record), path_.string()).root().raw())) + "\n";
  // One write, so that writers do not interleave. A short one leaves a torn record, which replay skips wherever it stands; the
  // record is then written once more, whole.
  constexpr int tries = 3;
  for (int attempt = 0;; ++attempt) {
    const ssize_t written = ::write(fd_.get(), line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) break;
    if (written < 0 && errno == EINTR) continue;
    if (written >= 0) errno = ENOSPC;
    if (written < 0 || attempt + 1 == tries) throw_errno("cannot append to the journal", path_, "Is the disk full?");
  }
  if (::fsync(fd_.get()) != 0) throw_errno("cannot flush the journal", path_);
}

Replay Journal::replay(const fs::path& path) {
  Replay replay;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 && errno == ENOENT) return replay;
  const SealedScan scan = scan_sealed(read_file(path, max_journal_bytes));
  replay.bad_records = scan.bad_records;
  for (const Json& record : scan.records) {
    const JsonView view(record, path.native(), "record");
    try {
      const std::string kind = view.at("kind").string();
      if (kind == "attempt") {
        replay.attempts.push_back(attempt_from(view));
      } else if (kind == "completed") {
        replay.completed.push_back(completed_from(view));
      } else {
        ++replay.bad_records;
      }
    } catch (const UsageError&) {
      ++replay.bad_records;  // intact, but of a version that knows more
    }
  }
  return replay;
}

}  // namespace moe_tune
