// Tuning on demand with a tuner, kernels and a device by script.
#include "runtime/ops/kernel_table.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/ops/library_entries.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/runtime/ops/internal/allocations.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using test::sample_config;
using test::sample_problem;

namespace {

constexpr auto contiguous = WeightLayout::contiguous;
constexpr int default_rows = 16, many_default_rows = 128, tuned_rows = 64;

Entry entry_at(std::int64_t tokens, Source source = Source::tuned) {
  Entry entry = test::sample_entry(tokens / 2 + 1, tokens, source);
  entry.tokens.measured = tokens;
  entry.config = sample_config(tuned_rows);
  return entry;
}

struct ScriptedTuner final : OnlineTuner {
  std::vector<std::int64_t> asked;
  std::string fails_with;
  bool publishes = true;
  Source source = Source::tuned;
  std::atomic<int> running{0};
  bool misused = false;  ///< asked for something else, or twice at a time

  void tune(const Problem& problem, int device, std::int64_t tokens, const std::filesystem::path& database) override {
    misused = misused || ++running > 1 || problem != sample_problem() || device != 3;
    asked.push_back(tokens);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --running;
    if (!fails_with.empty()) throw std::runtime_error(fails_with);
    if (publishes) Store(database).publish({entry_at(tokens, source)});
  }
};

struct FakeKernel {
  KernelConfig config;
};

/// A library with one database.
struct Machine {
  test::TemporaryFolder folder;
  std::filesystem::path database = folder / "db.json";
  std::shared_ptr<ScriptedTuner> tuner = std::make_shared<ScriptedTuner>();
  std::optional<Override> override_file;
  std::optional<LibraryEntries> entries;

  void open() { entries.emplace(std::vector{database}, tuner); }
  ~Machine() {
    if (tuner) CHECK_FALSE(tuner->misused);
  }
};

/// An operation of it.
struct Operation {
  explicit Operation(Machine& of) : machine(of) {
    if (!machine.entries) machine.open();
    KernelTableSources<FakeKernel> sources;
    sources.look_up = [this] { return look_up(); };
    sources.on_first_use = [this](const Choice& choice, std::int64_t) { served.push_back(choice.grade); };
    sources.load = [this](const KernelConfig& config, WeightLayout) {
      ++loads;
      return std::make_unique<FakeKernel>(config);
    };
    if (machine.entries->tunes()) {
      sources.tune = [this](std::int64_t tokens, const std::function<bool()>& missing) {
        machine.entries->tune(sample_problem(), 3, tokens, missing);
      };
    }
    table.emplace(std::move(sources));
  }

  Ladder look_up() const {
    LookupRequest request;
    request.problem = sample_problem();
    request.device = test::sample_environment().key;
    request.source_hashes = {"0123abcd", "4567cdef"};
    request.nvrtc = "13.0.48";
    request.heuristic = [](std::int64_t tokens) { return sample_config(tokens <= 64 ? default_rows : many_default_rows); };
    request.in_space = [](const KernelConfig&) { return true; };
    if (machine.override_file) request.override_file = &*machine.override_file;
    return Ladder(*machine.entries->get(), request);
  }

  /// As GroupedGemm asks.
  const FakeKernel& kernel(std::int64_t tokens, bool captured = false) {
    if (const FakeKernel* ready = table->find(tokens, contiguous)) return *ready;
    return table->load(tokens, contiguous, machine.entries->tunes() && !captured);
  }
  int rows(std::int64_t tokens) { return kernel(tokens).config.BLOCK_M; }

  Machine& machine;
  int loads = 0;
  std::vector<Grade> served;
  std::optional<KernelTable<FakeKernel>> table;
};

using Tokens = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("What no entry is near is tuned once for each power of two, and then served by what was measured") {
  Machine machine;
  Operation operation(machine);
  CHECK(operation.rows(100) == tuned_rows);
  CHECK(machine.tuner->asked == Tokens{128});
  CHECK(operation.table->choice(100).grade == Grade::exact);
  CHECK(operation.rows(100) == tuned_rows);
  CHECK(operation.rows(65) == tuned_rows);
  CHECK(operation.rows(256) == tuned_rows);  // measured within a factor of two
  CHECK(machine.tuner->asked == Tokens{128});
  CHECK(operation.rows(1000) == tuned_rows);
  CHECK(operation.rows(0) == tuned_rows);
  CHECK(machine.tuner->asked == Tokens{128, 1024, 1});
  CHECK(operation.loads == 1);  // it is one config
  CHECK(Store(machine.database).read().entries.size() == 3);
}

TEST_CASE("A prediction is no measurement") {
  Machine machine;
  Store(machine.database).publish({entry_at(128, Source::predicted)});
  Operation operation(machine);
  REQUIRE(operation.table->choice(100).grade == Grade::predicted);
  operation.kernel(100);
  CHECK(machine.tuner->asked == Tokens{128});
  CHECK(operation.table->choice(100).grade == Grade::exact);
}

TEST_CASE("What was measured, or what a person chose, is not tuned") {
  Machine machine;
  SECTION("measured") { Store(machine.database).publish({entry_at(128)}); }
  SECTION("measured with another generator") {
    Entry entry = entry_at(128);
    entry.gen.source_hash = "other";
    Store(machine.database).publish({entry});
  }
  SECTION("written by a person") { Store(machine.database).publish({entry_at(128, Source::manual)}); }
  SECTION("an override file") {
    machine.override_file.emplace();
    machine.override_file->configs[{Op::forward, std::nullopt}] = OverrideConfig{"test", sample_config(tuned_rows), {}};
  }
  Operation operation(machine);
  CHECK(operation.rows(128) == tuned_rows);
  CHECK(operation.rows(200) == tuned_rows);
  CHECK(machine.tuner->asked.empty());
}

TEST_CASE("Without a tuner the default serves, and its kernel is ready then") {
  Machine machine;
  machine.tuner.reset();
  Operation operation(machine);
  CHECK(operation.table->find(100, contiguous) == nullptr);
  CHECK(operation.rows(100) == many_default_rows);
  CHECK(operation.table->find(100, contiguous) == &operation.kernel(100));
  CHECK(operation.table->find(100, WeightLayout::strided) == nullptr);
  CHECK(operation.served == std::vector{Grade::heuristic});
}

TEST_CASE("Nothing is tuned while a stream is captured, but at the next call that is not") {
  Machine machine;
  Operation operation(machine);
  CHECK(operation.kernel(100, true).config.BLOCK_M == many_default_rows);
  CHECK(operation.kernel(100, true).config.BLOCK_M == many_default_rows);
  CHECK(operation.loads == 1);
  CHECK(operation.served == std::vector{Grade::heuristic});
  CHECK(machine.tuner->asked.empty());
  CHECK(operation.rows(100) == tuned_rows);
  CHECK(machine.tuner->asked == Tokens{128});
  CHECK(operation.kernel(100, true).config.BLOCK_M == tuned_rows);  // it is ready now
  CHECK(operation.served == std::vector{Grade::heuristic, Grade::exact});
}

TEST_CASE("A tuner that fails is not asked again for the same, and the default serves") {
  Machine machine;
  const bool throws = GENERATE(true, false);
  if (throws) machine.tuner->fails_with = "no memory";
  machine.tuner->publishes = throws;
  Operation operation(machine);
  CHECK(operation.rows(100) == many_default_rows);
  CHECK(operation.table->find(100, contiguous) != nullptr);
  CHECK(operation.rows(128) == many_default_rows);
  CHECK(machine.tuner->asked == Tokens{128});
  CHECK(operation.table->load(100, WeightLayout::strided, true).config.BLOCK_M == many_default_rows);
  Operation other(machine);
  CHECK(other.rows(100) == many_default_rows);
  CHECK(machine.tuner->asked == Tokens{128});

  machine.tuner->fails_with.clear();
  machine.tuner->publishes = true;
  CHECK(operation.rows(4) == tuned_rows);
  CHECK(operation.table->find(100, contiguous) != nullptr);
  CHECK(operation.rows(100) == many_default_rows);
  CHECK(other.rows(100) == many_default_rows);
  CHECK(machine.tuner->asked == Tokens{128, 4});
}

TEST_CASE("Kernels that are loaded are kept and used again when the ladder changes") {
  Machine machine;
  Operation operation(machine);
  const FakeKernel& captured = operation.kernel(1000, true);
  const FakeKernel& tuned = operation.kernel(100);
  CHECK(operation.loads == 2);
  CHECK(&operation.kernel(1000, true) == &captured);
  CHECK(&operation.kernel(4) == &tuned);
  CHECK(operation.loads == 2);
  CHECK(captured.config.BLOCK_M == many_default_rows);
}

TEST_CASE("Operations of a library share what one of them had tuned") {
  Machine machine;
  Operation first(machine);
  Operation second(machine);
  first.kernel(100);
  CHECK(second.rows(100) == tuned_rows);
  CHECK(second.rows(250) == tuned_rows);  // near enough to what was measured, which it learns when its turn comes
  Operation later(machine);
  CHECK(later.table->choice(100).grade == Grade::exact);
  CHECK(machine.tuner->asked == Tokens{128});
}

TEST_CASE("Threads that need the same at once have it tuned once, and all get what was measured") {
  Machine machine;
  Operation first(machine);
  Operation second(machine);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Operation& operation = i % 2 == 0 ? first : second;
      for (const std::int64_t tokens : {100, 4, 3000}) {
        if (operation.kernel(tokens).config.BLOCK_M != tuned_rows) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(machine.tuner->asked.size() == 3);
  CHECK(first.loads == 1);
  CHECK(second.loads == 1);
}

TEST_CASE("Kernels that are ready are found while another rung is tuned") {
  Machine machine;
  Store(machine.database).publish({entry_at(128)});
  Operation operation(machine);
  const FakeKernel& ready = operation.kernel(128);
  std::thread tuning([&] { operation.kernel(4096); });
  bool seen_tuning = false;
  bool always_found = true;
  while (operation.table->choice(4096).grade == Grade::heuristic) {
    seen_tuning = seen_tuning || machine.tuner->running > 0;
    always_found = always_found && operation.table->find(128, contiguous) == &ready;
  }
  tuning.join();
  CHECK(seen_tuning);
  CHECK(always_found);
  CHECK(&operation.kernel(128) == &ready);
}

TEST_CASE("Finding a kernel that is ready allocates nothing and does not throw") {
  Machine machine;
  for (std::int64_t tokens = 1; tokens <= 4096; tokens *= 2) Store(machine.database).publish({entry_at(tokens)});
  Operation operation(machine);
  for (std::int64_t tokens = 1; tokens <= 4096; tokens *= 2) operation.kernel(tokens);
  STATIC_REQUIRE(noexcept(operation.table->find(1, contiguous)));
  const std::int64_t before = test::allocations();
  REQUIRE(before > 0);
  int found = 0;
  for (std::int64_t tokens = 1; tokens <= 4096; ++tokens) found += operation.table->find(tokens, contiguous) != nullptr ? 1 : 0;
  const std::int64_t after = test::allocations();
  CHECK(after == before);
  CHECK(found == 4096);
}
