// The study: subjects that are right, faults planted in copies of their source, and what becomes of them on the emulated device.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace moe_tune::test {

/// A kernel with its data.
struct Subject {
  std::string name;
  std::string source;  ///< CUDA, as emitted
  /// Builds a (mutated) source; the result runs it with one seed and says what is wrong with its outputs, nothing where they are
  /// right. Running throws KernelFault.
  std::function<std::function<std::string(std::uint64_t seed)>(const std::string& source)> build;
};

/// One text replacement. It must find what it replaces as often as it says, outside of templates/ptx/, or the study fails: a
/// mutant does not rot unseen.
struct Mutant {
  std::string fault;  ///< what is planted
  std::string from;
  std::string to;
  int which = 1;              ///< of the matches, the one that is replaced
  int matches = 1;            ///< that there are
  std::string survives = "";  ///< why it is not caught; empty: it must be
};

/// How a run of a kernel ended.
enum class Ending { right, wrong_result, report, deadlock };

struct Outcome {
  Ending ending = Ending::right;
  std::uint64_t seed = 0;  ///< the first that caught it
  std::string what;        ///< first line of the report, or what is wrong with the result
};

/// Every kernel of the study runs with the seeds 0 to seeds - 1: each of the emulator's ways to schedule, twice.
inline constexpr std::uint64_t seeds = 8;

/// `source` with the mutant's fault. Throws std::runtime_error when the text does not match as the mutant says.
std::string mutate(const std::string& source, const Mutant& mutant);

/// Runs a source with one seed after the other until one shows a fault.
Outcome examine(const Subject& subject, const std::string& source);

/// A subject and the mutants of it.
struct Study {
  Subject subject;
  std::vector<Mutant> mutants;
};

/// CHECKs (Catch2) that the subject passes all seeds and that each mutant ends as its entry says; prints a line for each. The
/// outcomes of the mutants, in their order.
std::vector<Outcome> check_study(const Study& study);

}  // namespace moe_tune::test
