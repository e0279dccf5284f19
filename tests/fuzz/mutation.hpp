// A small deterministic mutator for texts.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace moe_tune::test {

/// Makes inputs out of a corpus: bit flips, bytes, cuts, repetitions, splices, and words that readers trip over.
class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, unsigned seed) : corpus_(std::move(corpus)), random_(seed) {}

  /// The next input: a corpus text after one to eight mutations.
  std::string next();

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  void mutate(std::string& text);

  std::vector<std::string> corpus_;
  std::mt19937 random_;
};

}  // namespace moe_tune::test
