// A machine by script: every candidate compiles, verifies and runs as the test says.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/tune/bench.hpp"

namespace moe_tune::test {

/// What a candidate does.
struct Behaviour {
  double us = 100;
  AttemptStatus compile = AttemptStatus::compiled;
  AttemptStatus verify = AttemptStatus::verified;
  AttemptStatus time = AttemptStatus::timed;  ///< crashed or hung: when it is timed
  int fails_verify_from = 1'000'000;          ///< is wrong from this verification on, counted from 1
};

class ScriptedBench final : public Bench {
 public:
  explicit ScriptedBench(std::function<Behaviour(const KernelConfig&)> behaviour) : behaviour_(std::move(behaviour)) {}

  std::vector<CompileOutcome> compile(const Problem&, std::span<const KernelConfig> configs, const DeviceDescription&,
                                      const OnCompiled& on_compiled) override {
    std::vector<CompileOutcome> outcomes;
    for (std::size_t i = 0; i < configs.size(); ++i) {
      if (cancel_after_compiles >= 0 && static_cast<int>(compiled.size()) >= cancel_after_compiles) throw Cancelled();
      std::this_thread::sleep_for(compile_time);
      CompileOutcome outcome;
      outcome.status = behaviour_(configs[i]).compile;
      outcome.resources.regs = 128;
      outcome.resources.smem = 32768;
      outcome.message = "scripted";
      compiled.push_back(configs[i]);
      if (on_compiled) on_compiled(i, outcome);
      outcomes.push_back(outcome);
    }
    return outcomes;
  }

  void set_up(const Workload& workload) override {
    if (on_set_up) on_set_up(workload);
    set_ups.push_back(workload);
  }

  VerifyOutcome verify(const KernelConfig& config) override {
    const Behaviour behaviour = behaviour_(config);
    VerifyOutcome outcome;
    outcome.status = ++verifications[config] >= behaviour.fails_verify_from ? AttemptStatus::wrong : behaviour.verify;
    const bool right = outcome.status == AttemptStatus::verified;
    outcome.verification = {right ? VerifyStatus::pass : VerifyStatus::fail, "fp32", right ? 0.001 : 0.5, device};
    outcome.resident_blocks = 2;
    return outcome;
  }

  TimeOutcome time(std::span<const KernelConfig> configs, int rounds) override {
    TimeOutcome outcome;
    for (std::size_t i = 0; i < configs.size(); ++i) {
      const AttemptStatus status = behaviour_(configs[i]).time;
      if (status == AttemptStatus::timed) continue;
      outcome.culprit = static_cast<int>(i);
      outcome.status = status;
      return outcome;
    }
    std::normal_distribution<double> noise(1.0, noise_of_a_sample);
    std::uniform_real_distribution<double> drift(1.0, 1.2);
    for (int round = 0; round < rounds; ++round) {
      const double clock = drift(random_);
      std::vector<double> samples;
      for (const KernelConfig& config : configs) samples.push_back(behaviour_(config).us * clock * noise(random_));
      outcome.timed.rounds.push_back(std::move(samples));
    }
    outcome.timed.sm_mhz = 1700;
    return outcome;
  }

  double noise_of_a_sample = 0.005;
  std::chrono::milliseconds compile_time{0};
  int cancel_after_compiles = -1;                  ///< throws Cancelled then; -1: never
  std::function<void(const Workload&)> on_set_up;  ///< may throw; empty: all goes well
  DeviceKind device = DeviceKind::gpu;             ///< where it says that it verified
  std::vector<KernelConfig> compiled;
  std::vector<Workload> set_ups;
  std::map<KernelConfig, int> verifications;

 private:
  std::function<Behaviour(const KernelConfig&)> behaviour_;
  std::mt19937_64 random_{11};
};

}  // namespace moe_tune::test
