#include "tuning_db/journal.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "generator/support/file.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;

TEST_CASE("attempts and decisions are replayed in order", "[journal]") {
  const test::TemporaryFolder folder;
  const auto path = folder / "run" / "journal.jsonl";
  CHECK(Journal::replay(path).attempts.empty());

  std::vector<Attempt> attempts;
  for (int status = 0; status < 10; ++status) {
    attempts.push_back(test::sample_attempt(status));
    attempts.back().status = static_cast<AttemptStatus>(status);
  }
  attempts[3].resources.reset();
  attempts[4].verify.reset();
  attempts[5].time.reset();
  const Completed completed{
      test::sample_problem(), test::sample_environment(), {"0.1.0", "x", {}}, 64, test::sample_config(), "d"};
  {
    Journal journal(path);
    for (const Attempt& attempt : attempts) journal.append(attempt);
    journal.append(completed);
  }
  Journal(path).append(attempts[0]);
  attempts.push_back(attempts[0]);

  const Replay replay = Journal::replay(path);
  CHECK(replay.attempts == attempts);
  CHECK(replay.completed == std::vector<Completed>{completed});
  CHECK(replay.bad_records == 0);
}

TEST_CASE("a torn tail is counted and the next record survives it", "[journal]") {
  const test::TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  Journal(path).append(test::sample_attempt(1));
  const std::string text = read_file(path, 1 << 20);
  std::ofstream(path, std::ios::app) << text.substr(0, text.size() / 2);  // killed while writing
  CHECK(Journal::replay(path).bad_records == 1);
  Journal(path).append(test::sample_attempt(2));
  const Replay replay = Journal::replay(path);
  REQUIRE(replay.attempts.size() == 2);
  CHECK(replay.attempts[1] == test::sample_attempt(2));
  CHECK(replay.bad_records == 1);
}

TEST_CASE("records of later versions are counted, not used", "[journal]") {
  const test::TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  Journal(path).append(test::sample_attempt(1));
  std::string text = read_file(path, 1 << 20);
  text.replace(text.find("\"timed\""), 7, "\"dozed\"");
  write_file_atomic(path, text);
  const Replay replay = Journal::replay(path);
  CHECK(replay.attempts.empty());
  CHECK(replay.bad_records == 1);
}

TEST_CASE("messages may hold any bytes and have a limit", "[journal]") {
  const test::TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  Attempt attempt = test::sample_attempt();
  attempt.status = AttemptStatus::wrong;
  attempt.message = "caf\xe9 " + std::string(100000, 'x');
  attempt.verify->max_rel_err = std::numeric_limits<double>::quiet_NaN();
  Journal(path).append(attempt);
  const Replay replay = Journal::replay(path);
  REQUIRE(replay.attempts.size() == 1);
  CHECK_THAT(replay.attempts[0].message, Catch::StartsWith("caf\uFFFD xxx"));
  CHECK(replay.attempts[0].message.size() < Journal::max_message_bytes + 4);
}

TEST_CASE("which attempts must not be tried again", "[journal]") {
  CHECK_FALSE(is_failure(AttemptStatus::predicted));
  CHECK_FALSE(is_failure(AttemptStatus::compiled));
  for (const auto status : {AttemptStatus::spilled, AttemptStatus::compile_error, AttemptStatus::compile_timeout,
                            AttemptStatus::crashed, AttemptStatus::hung, AttemptStatus::wrong}) {
    CHECK(is_failure(status));
  }
  CHECK_FALSE(is_failure(AttemptStatus::verified));
  CHECK_FALSE(is_failure(AttemptStatus::timed));
}
