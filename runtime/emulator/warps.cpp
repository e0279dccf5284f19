// Instructions that the 32 lanes of a warp execute together.
#include <fmt/format.h>

#include <cstring>

#include "runtime/emulator/grid_run.hpp"
#include "runtime/emulator/matrix_math.hpp"
#include "runtime/reference/half.hpp"

namespace moe_tune::emulator {

namespace {

DType dtype_of(Half type) { return type == Half::bf16 ? DType::bf16 : DType::fp16; }

struct ShuffleArgument {
  Shuffle kind;
  unsigned value;
  unsigned operand;
  unsigned result;
};

struct BallotArgument {
  bool predicate;
  unsigned result;
};

struct MatrixArgument {
  unsigned* fragment;
  unsigned count;
  bool transposed;
  unsigned address;
};

struct MmaArgument {
  Half type;
  float* d;
  const unsigned* a;
  unsigned b[2];
};

/// The lanes' arguments; a lane's own object lives on its stack while it waits.
template <class Argument>
Argument& argument(const Warp& warp, unsigned lane) {
  return *static_cast<Argument*>(const_cast<void*>(warp.collective.argument[lane]));
}

unsigned shuffle_source(const ShuffleArgument& argument, unsigned lane) {
  switch (argument.kind) {
    case Shuffle::up:
      return argument.operand > lane ? lane : lane - argument.operand;
    case Shuffle::index:
      return argument.operand % 32;
    case Shuffle::exclusive_or:
      return (lane ^ argument.operand) % 32;
  }
  return lane;
}

}  // namespace

unsigned GridRun::shuffle(Shuffle kind, unsigned value, unsigned operand) {
  ShuffleArgument own{kind, value, operand, 0};
  collect("shfl.sync", &own, [](Warp& warp) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      auto& mine = argument<ShuffleArgument>(warp, lane);
      mine.result = argument<ShuffleArgument>(warp, shuffle_source(mine, lane)).value;
    }
  });
  return own.result;
}

unsigned GridRun::ballot(bool predicate) {
  BallotArgument own{predicate, 0};
  collect("vote.sync", &own, [](Warp& warp) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane) votes |= unsigned{argument<BallotArgument>(warp, lane).predicate} << lane;
    for (unsigned lane = 0; lane < 32; ++lane) argument<BallotArgument>(warp, lane).result = votes;
  });
  return own.result;
}

bool GridRun::elect() {
  collect("elect.sync", nullptr, [](Warp&) {});
  // Which lane it is, is not said; that it is always the same one, is.
  return current_->lane == (launch_.seed < 2 ? 0 : launch_.seed * 7 % 32);
}

void GridRun::load_matrices(unsigned* fragment, unsigned count, bool transposed, unsigned address) {
  maybe_preempt();
  MatrixArgument own{fragment, count, transposed, address};
  collect("ldmatrix", &own, [this](Warp& warp) {
    const auto& first = argument<MatrixArgument>(warp, 0);
    MatrixRow rows[32];
    Thread* const acting = current_;
    for (unsigned lane = 0; lane < first.count * 8; ++lane) {
      current_ = warp.threads[lane];
      const SharedPlace place = data_place(argument<MatrixArgument>(warp, lane).address, 16, 16, "ldmatrix");
      touch_shared(place, 16, false, own_access(Touch::load_matrix, Space::shared));
      std::memcpy(rows[lane].data(), place.data(), 16);
    }
    current_ = acting;
    MatrixFragments fragments;
    ldmatrix({rows, first.count * 8}, first.transposed, fragments);
    for (unsigned lane = 0; lane < 32; ++lane) {
      std::memcpy(argument<MatrixArgument>(warp, lane).fragment, fragments[lane], first.count * sizeof(unsigned));
    }
  });
}

void GridRun::store_matrices(const unsigned* fragment, unsigned count, bool transposed, unsigned address) {
  maybe_preempt();
  MatrixArgument own{const_cast<unsigned*>(fragment), count, transposed, address};
  collect("stmatrix", &own, [this](Warp& warp) {
    const auto& first = argument<MatrixArgument>(warp, 0);
    MatrixFragments fragments;
    for (unsigned lane = 0; lane < 32; ++lane) {
      std::memcpy(fragments[lane], argument<MatrixArgument>(warp, lane).fragment, first.count * sizeof(unsigned));
    }
    MatrixRow rows[32];
    stmatrix(fragments, first.transposed, {rows, first.count * 8});
    Thread* const acting = current_;
    for (unsigned lane = 0; lane < first.count * 8; ++lane) {
      current_ = warp.threads[lane];
      const SharedPlace place = data_place(argument<MatrixArgument>(warp, lane).address, 16, 16, "stmatrix");
      touch_shared(place, 16, true, own_access(Touch::store_matrix, Space::shared));
      std::memcpy(place.data(), rows[lane].data(), 16);
    }
    current_ = acting;
  });
}

void GridRun::mma_m16n8k16(Half type, float* d, const unsigned* a, unsigned b0, unsigned b1) {
  MmaArgument own{type, d, a, {b0, b1}};
  collect("mma.sync", &own, [](Warp& warp) {
    MatrixFragments a_registers;
    MmaB b_registers;
    MmaD d_registers;
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto& mine = argument<MmaArgument>(warp, lane);
      std::memcpy(a_registers[lane], mine.a, sizeof(a_registers[lane]));
      std::memcpy(b_registers[lane], mine.b, sizeof(b_registers[lane]));
      std::memcpy(d_registers[lane], mine.d, sizeof(d_registers[lane]));
    }
    emulator::mma_m16n8k16(dtype_of(argument<MmaArgument>(warp, 0).type), a_registers, b_registers, d_registers);
    for (unsigned lane = 0; lane < 32; ++lane) {
      std::memcpy(argument<MmaArgument>(warp, lane).d, d_registers[lane], sizeof(d_registers[lane]));
    }
  });
}

unsigned GridRun::pack(Half type, float low, float high) {
  const DType dtype = dtype_of(type);
  return unsigned{from_float(low, dtype)} | unsigned{from_float(high, dtype)} << 16;
}

float GridRun::unpack(Half type, unsigned short bits) { return to_float(bits, dtype_of(type)); }

}  // namespace moe_tune::emulator
