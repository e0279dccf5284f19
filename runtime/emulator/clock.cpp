#include "runtime/emulator/clock.hpp"

#include <algorithm>

namespace moe_tune::emulator {

namespace {

void maximum(Epochs& into, const Epochs& from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

void Knowledge::join(const Knowledge& other) {
  if (!other.epochs_ || other.epochs_ == epochs_) return;
  if (!epochs_) {
    epochs_ = other.epochs_;
    return;
  }
  // The threads of a warp wait at the same places: the join of the same two tables comes 32 times in a row.
  thread_local std::weak_ptr<const Epochs> last_a, last_b, last_joined;
  if (last_a.lock() == epochs_ && last_b.lock() == other.epochs_) {
    if (auto joined = last_joined.lock()) {
      epochs_ = std::move(joined);
      return;
    }
  }
  auto joined = std::make_shared<Epochs>(*epochs_);
  maximum(*joined, *other.epochs_);
  last_a = epochs_;
  last_b = other.epochs_;
  if (*joined == *other.epochs_) {
    epochs_ = other.epochs_;
  } else {
    epochs_ = std::move(joined);
  }
  last_joined = epochs_;
}

ThreadKnowledge ThreadKnowledge::successor() const {
  ThreadKnowledge next(first_own_);
  next.born_ = next.own_ = own_;
  next.set_own(Own::generic, own(Own::generic) + 1);
  return next;
}

Epochs& Gathering::table() {
  if (!table_) {
    table_ = std::make_shared<Epochs>(agents_);
  } else if (given_away_) {
    table_ = std::make_shared<Epochs>(*table_);
  }
  given_away_ = false;
  return *table_;
}

void Gathering::add(const ThreadKnowledge& thread) {
  add(thread.shared_);
  for (int i = 0; i < own_agents; ++i) {
    if (thread.own_[i] > 0) add(thread.first_own_ + static_cast<Agent>(i), thread.own_[i]);
  }
}

void Gathering::add(const Knowledge& knowledge) {
  if (!knowledge.epochs_ || knowledge.epochs_ == last_ || knowledge.epochs_ == table_) return;
  last_ = knowledge.epochs_;
  maximum(table(), *knowledge.epochs_);
}

void Gathering::add(Agent agent, Epoch epoch) {
  Epoch& known = table()[agent];
  known = std::max(known, epoch);
}

Knowledge Gathering::knowledge() const {
  Knowledge all;
  all.epochs_ = table_;
  given_away_ = table_ != nullptr;
  return all;
}

}  // namespace moe_tune::emulator
