// The C++ API: trains an MoE block (Qwen3) to do what another one does, a random "teacher". On GPU 0 it is the fused block in
// bf16 with gradients in float32; where that cannot be, the reference block on the CPU. Master weights and Adam are on the host.
// Ends with 0, or 1 when the loss does not fall to a tenth.
//   train_block_cpp
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <moe_tune/moe_block.hpp>
#include <moe_tune/moe_reference.hpp>
#include <random>
#include <vector>

#include "values.h"

using moe_tune::OwnedTensor;
using moe_tune::TensorType;
using Values = std::vector<float>;

static const moe_tune::ModelShape model = {.name = "small", .E = 8, .top_k = 2, .H = 64, .I = 64};
static const std::vector<std::int64_t> batch = {64, model.H};
/// gate, gate_up_proj and down_proj, in this order in what follows.
static const std::vector<std::int64_t> weight_shapes[] = {
    {model.E, model.H}, {model.E, 2 * model.I, model.H}, {model.E, model.H, model.I}};

/// A tensor of `type` with these values: float32 or bf16.
static OwnedTensor tensor_of(const Values& values, const std::vector<std::int64_t>& shape, TensorType type, int device) {
  OwnedTensor tensor(type, shape, device);
  std::vector<std::uint16_t> bf16;
  for (const float value : values) bf16.push_back(rounded_bfloat16(value));
  tensor.write(type == TensorType::bf16 ? static_cast<const void*>(bf16.data()) : values.data(), tensor.bytes());
  return tensor;
}

static Values values_of(const OwnedTensor& tensor) {
  Values values(static_cast<std::size_t>(tensor.elements()));
  if (tensor.type() == TensorType::fp32) {
    tensor.read(values.data(), tensor.bytes());
    return values;
  }
  std::vector<std::uint16_t> bf16(values.size());
  tensor.read(bf16.data(), tensor.bytes());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = from_bfloat16(bf16[i]);
  return values;
}

/// A block and one batch of hidden states.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual void set_weights(const std::vector<Values>& weights) = 0;
  virtual Values forward() = 0;
  /// The gradients of the weights, given that of what forward() returned.
  virtual std::vector<Values> backward(const Values& d_out) = 0;
};

/// Works on the default stream, which reading a tensor waits for.
class FusedLayer : public Layer {
 public:
  explicit FusedLayer(const Values& x)
      : block_(moe_tune::Library::instance(), model, moe_tune::DType::bf16, /*weights come later*/ {}, /*device*/ 0, options()),
        x_(tensor_of(x, batch, TensorType::bf16, 0)),
        out_(TensorType::bf16, batch, 0),
        saved_(TensorType::int32, {static_cast<std::int64_t>(block_.saved_bytes(batch[0]) / 4 + 1)}, 0) {
    for (const auto& shape : weight_shapes) gradients_.emplace_back(TensorType::fp32, shape, 0);
  }

  void set_weights(const std::vector<Values>& weights) override {
    std::vector<OwnedTensor> rounded;
    for (int w = 0; w < 3; ++w) rounded.push_back(tensor_of(weights[w], weight_shapes[w], TensorType::bf16, 0));
    block_.copy_weights({rounded[0].data(), rounded[1].data(), rounded[2].data()});
  }

  Values forward() override {
    moe_tune::MoeForwardArgs args;
    args.hidden_states = x_.data();
    args.out = out_.data();
    args.tokens = batch[0];
    args.saved = saved_.data();  // here the forward keeps what its backward reads
    args.saved_bytes = saved_.bytes();
    block_.forward(args, /*stream*/ nullptr);
    return values_of(out_);
  }

  std::vector<Values> backward(const Values& d_out) override {
    const OwnedTensor rounded = tensor_of(d_out, batch, TensorType::bf16, 0);
    moe_tune::MoeBackwardArgs args;
    args.hidden_states = x_.data();
    args.d_out = rounded.data();
    args.weights.gate = gradients_[0].data();
    args.weights.gate_up_proj = gradients_[1].data();
    args.weights.down_proj = gradients_[2].data();
    args.tokens = batch[0];
    args.saved = saved_.data();
    args.saved_bytes = saved_.bytes();
    block_.backward(args, /*stream*/ nullptr);
    return {values_of(gradients_[0]), values_of(gradients_[1]), values_of(gradients_[2])};
  }

 private:
  static moe_tune::FusedBlockOptions options() {
    moe_tune::FusedBlockOptions options;
    options.dW_only = true;  // there is no layer before this one
    options.float32_dW = true;
    return options;
  }

  moe_tune::Qwen3MoeFusedGroupedGemmBlock block_;
  OwnedTensor x_, out_, saved_;
  std::vector<OwnedTensor> gradients_;
};

class ReferenceLayer : public Layer {
 public:
  explicit ReferenceLayer(const Values& x)
      : block_(model, TensorType::fp32, {}), x_(tensor_of(x, batch, TensorType::fp32, moe_tune::cpu_device)) {}

  void set_weights(const std::vector<Values>& w) override { block_.copy_weights({w[0].data(), w[1].data(), w[2].data()}); }
  Values forward() override { return values_of(block_.forward(x_).hidden_states); }
  std::vector<Values> backward(const Values& d_out) override {
    const auto result = block_.backward(x_, tensor_of(d_out, batch, TensorType::fp32, moe_tune::cpu_device));
    return {values_of(result.d_gate), values_of(result.d_gate_up_proj), values_of(result.d_down_proj)};
  }

 private:
  moe_tune::Qwen3MoeGroupedGemmBlock block_;
  OwnedTensor x_;
};

static std::unique_ptr<Layer> make_layer(const Values& x) {
  try {
    auto layer = std::make_unique<FusedLayer>(x);
    std::puts("the fused block on GPU 0");
    return layer;
  } catch (const std::exception& error) {  // no GPU, or one that fused blocks do not run on
    std::printf("the reference block on the CPU (%s)\n", error.what());
    return std::make_unique<ReferenceLayer>(x);
  }
}

/// A step of Adam, number `step` from 1 on, for one weight and its running averages.
static void adam(int step, const Values& gradient, Values& weight, Values& mean, Values& square) {
  const float rate = 0.003f / (1 - std::pow(0.9f, step));
  const float correction = 1 - std::pow(0.99f, step);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    mean[i] += 0.1f * (gradient[i] - mean[i]);
    square[i] += 0.01f * (gradient[i] * gradient[i] - square[i]);
    weight[i] -= rate * mean[i] / (std::sqrt(square[i] / correction) + 1e-8f);
  }
}

static Values random_values(std::mt19937& random, const std::vector<std::int64_t>& shape, float deviation) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  Values values(static_cast<std::size_t>(count));
  std::normal_distribution<float> normal(0, deviation);
  for (float& value : values) value = normal(random);
  return values;
}

static std::vector<Values> random_weights(std::mt19937& random) {
  std::vector<Values> weights;
  for (const auto& shape : weight_shapes)
    weights.push_back(random_values(random, shape, 1 / std::sqrt(static_cast<float>(shape.back()))));
  return weights;
}

static int train() {
  std::mt19937 random(1);
  const std::unique_ptr<Layer> layer = make_layer(random_values(random, batch, 1));
  layer->set_weights(random_weights(random));
  const Values target = layer->forward();

  std::vector<Values> weights = random_weights(random);
  std::vector<Values> means, squares;
  for (const Values& weight : weights) means.emplace_back(weight.size());
  squares = means;
  double first = 0;
  double loss = 0;
  for (int step = 0; step <= 100; ++step) {
    layer->set_weights(weights);
    Values d_out = layer->forward();
    loss = 0;
    for (std::size_t i = 0; i < d_out.size(); ++i) {
      const float error = d_out[i] - target[i];
      loss += error * error / static_cast<double>(target.size());
      d_out[i] = 2 * error / static_cast<float>(target.size());
    }
    if (step == 0) first = loss;
    if (step % 20 == 0) std::printf("step %3d: loss %.5f\n", step, loss);
    const std::vector<Values> gradients = layer->backward(d_out);
    for (int w = 0; w < 3; ++w) adam(step + 1, gradients[w], weights[w], means[w], squares[w]);
  }
  return loss < first / 10 ? 0 : 1;
}

int main() {
  try {
    return train();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
