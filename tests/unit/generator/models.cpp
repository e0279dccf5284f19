#include "generator/models.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "moe_tune/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

constexpr const char* qwen3_config = R"({"model_type": "qwen3_moe", "hidden_size": 1408, "moe_intermediate_size": 1000,
  "intermediate_size": 6144, "num_experts": 60, "num_experts_per_tok": 4, "hidden_act": "silu", "norm_topk_prob": true})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

ModelShape parse(const std::string& text) { return parse_model_config(text, "my-model/config.json"); }

}  // namespace

TEST_CASE("Every preset has two valid GEMMs") {
  for (const ModelShape& model : preset_models()) {
    INFO(model.name);
    for (const Problem& problem : gemm_problems(model, DType::bf16)) CHECK_NOTHROW(validate(problem));
    CHECK(find_model(model.name) == model);
  }
}

TEST_CASE("The GEMMs of qwen3-30b-a3b") {
  const auto [gate_up, down] = gemm_problems(find_model("qwen3-30b-a3b"), DType::fp16);
  CHECK(describe(gate_up) == "forward gate_up fp16 E=128 N=1536 K=2048 top_k=8 permute_x");
  CHECK(describe(down) == "forward down fp16 E=128 N=2048 K=768 top_k=8 permute_y");
}

TEST_CASE("A Qwen3-MoE config.json") {
  const ModelShape model = parse(qwen3_config);
  CHECK(model == ModelShape{"my-model", 60, 4, 1408, 1000, RouterKind::softmax_norm_topk, 0});
  CHECK(parse(replaced(qwen3_config, R"("norm_topk_prob": true)", R"("norm_topk_prob": false)")).router == RouterKind::softmax);
  CHECK(parse(replaced(qwen3_config, R"("model_type": "qwen3_moe",)", "")) == model);
}

TEST_CASE("A Llama4 config.json, with the text model nested") {
  const ModelShape model = parse(R"({"model_type": "llama4", "hidden_size": 99, "text_config": {"model_type": "llama4_text",
    "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_local_experts": 16,
    "num_experts_per_tok": 1, "hidden_act": "silu"}})");
  CHECK(model == ModelShape{"my-model", 16, 1, 5120, 8192, RouterKind::sigmoid, 8192});
}

TEST_CASE("A Qwen3-MoE config.json as transformers 5 writes it") {
  CHECK(parse(replaced(qwen3_config, "\"num_experts\"", "\"num_local_experts\"")) == parse(qwen3_config));
  CHECK_THROWS_WITH(parse(replaced(qwen3_config, "\"num_experts\"", "\"experts\"")), Contains("\"num_experts\" is missing"));
}

TEST_CASE("Which layers have experts") {
  const auto layers = [](const std::string& kind, const std::string& members) {
    const std::string text =
        R"({"hidden_size": 64, "num_experts_per_tok": 1, "intermediate_size": 32, "moe_intermediate_size": 32,
      "num_local_experts": 4, "model_type": ")" +
        kind + "\"" + members + "}";
    const ModelConfig config = parse_whole_model_config(text, "config.json");
    std::string found;
    for (int layer = 0; layer < config.num_hidden_layers(); ++layer) found += config.is_moe_layer(layer) ? 'M' : '-';
    CHECK_FALSE(config.is_moe_layer(-1));
    CHECK_FALSE(config.is_moe_layer(config.num_hidden_layers()));
    return found;
  };
  const auto qwen3 = [&](const std::string& members) { return layers("qwen3_moe", R"(, "num_hidden_layers": 6)" + members); };
  const auto llama4 = [&](const std::string& members) { return layers("llama4_text", R"(, "num_hidden_layers": 6)" + members); };
  CHECK(layers("qwen3_moe", "") == "");
  CHECK(qwen3("") == "MMMMMM");
  CHECK(qwen3(R"(, "mlp_only_layers": null, "decoder_sparse_step": null)") == "MMMMMM");
  CHECK(qwen3(R"(, "decoder_sparse_step": 2)") == "-M-M-M");
  CHECK(qwen3(R"(, "decoder_sparse_step": 4)") == "---M--");
  CHECK(qwen3(R"(, "decoder_sparse_step": 7)") == "------");
  CHECK(qwen3(R"(, "mlp_only_layers": [0, 5, 17])") == "-MMMM-");
  CHECK(qwen3(R"(, "mlp_only_layers": [3], "decoder_sparse_step": 2)") == "-M---M");
  CHECK(qwen3(R"(, "moe_layers": [3])") == "MMMMMM");
  CHECK(llama4("") == "MMMMMM");
  CHECK(llama4(R"(, "interleave_moe_layer_step": 2)") == "-M-M-M");
  CHECK(llama4(R"(, "interleave_moe_layer_step": 4)") == "---M--");
  CHECK(llama4(R"(, "moe_layers": null, "interleave_moe_layer_step": 3)") == "--M--M");
  CHECK(llama4(R"(, "moe_layers": [0, 4, 9], "interleave_moe_layer_step": 3)") == "M---M-");
  CHECK(llama4(R"(, "moe_layers": [])") == "------");
  CHECK(llama4(R"(, "mlp_only_layers": [0])") == "MMMMMM");
  for (const char* wrong : {R"(, "decoder_sparse_step": 0)", R"(, "decoder_sparse_step": -2)", R"(, "mlp_only_layers": 3)",
                            R"(, "mlp_only_layers": [-1])", R"(, "mlp_only_layers": [1.5])"}) {
    INFO(wrong);
    CHECK_THROWS_AS(qwen3(wrong), UsageError);
  }
  CHECK_THROWS_AS(layers("qwen3_moe", R"(, "num_hidden_layers": 0)"), UsageError);
  CHECK_THROWS_AS(layers("qwen3_moe", R"(, "num_hidden_layers": 1000000000)"), UsageError);
}

TEST_CASE("The dtype of a config.json") {
  const auto dtype = [](const std::string& member) {
    return parse_whole_model_config(replaced(qwen3_config, "{", "{" + member), "config.json").dtype;
  };
  CHECK(dtype("") == "");
  CHECK(dtype(R"("dtype": "bfloat16",)") == "bfloat16");
  CHECK(dtype(R"("torch_dtype": "float16",)") == "float16");
  CHECK(dtype(R"("dtype": null,)") == "");
  CHECK_THROWS_AS(dtype(R"("dtype": 16,)"), UsageError);
  const auto nested = [](const std::string& outer, const std::string& inner) {
    return parse_whole_model_config("{" + outer + R"("text_config": {)" + inner + std::string(qwen3_config).substr(1) + "}", "f")
        .dtype;
  };
  CHECK(nested(R"("dtype": "bfloat16",)", "") == "bfloat16");
  CHECK(nested(R"("dtype": "bfloat16",)", R"("torch_dtype": "float32",)") == "float32");
}

TEST_CASE("A config.json that cannot be served is an error that names the file and the key") {
  const auto [from, to, message] = GENERATE(table<std::string, std::string, std::string>({
      {R"("num_experts": 60,)", "", "num_experts"},
      {R"("num_experts": 60)", R"("num_experts": -1)", "num_experts"},
      {R"("num_experts": 60)", R"("num_experts": 4294967297)", "num_experts"},
      {R"("num_experts": 60)", R"("num_experts": 60.0)", "num_experts"},
      {R"("num_experts": 60)", R"("num_experts": "60")", "num_experts"},
      {R"("num_experts": 60)", R"("num_experts": 60, "num_experts": 61)", "duplicate"},
      {R"("num_experts": 60)", R"("num_experts": 3)", "4 experts per token of only 3"},
      {R"("num_experts": 60)", R"("num_experts": 100000)", "E = 100000"},
      {R"("hidden_size": 1408)", R"("hidden_size": 1409)", "not a multiple of 8"},
      {R"("moe_intermediate_size": 1000)", R"("moe_intermediate_size": 16777216)", "N = 33554432"},
      {R"("hidden_act": "silu")", R"("hidden_act": "gelu")", "\"gelu\" is not supported; allowed: silu"},
      {R"("model_type": "qwen3_moe")", R"("model_type": "bert")", "not one of: qwen3_moe, llama4_text"},
      {"qwen3_moe", "llama4", "a llama4 model has its text model in \"text_config\", which is missing"},
      {qwen3_config, "[]", "object"},
      {qwen3_config, R"({"text_config": 3})", "object"},
      {qwen3_config, "{}", "num_experts"},
      {qwen3_config, "{", "config.json:1"},
  }));
  INFO(to);
  const std::string text = replaced(qwen3_config, from, to);
  CHECK_THROWS_AS(parse(text), UsageError);
  CHECK_THROWS_WITH(parse(text), Contains("my-model/config.json") && Contains(message));
}

TEST_CASE("A model is found by the path of its file, of its folder, or through a link") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "odd shape");
  std::ofstream(folder / "odd shape" / "config.json") << qwen3_config;
  std::filesystem::create_symlink(folder / "odd shape" / "config.json", folder / "link.json");
  CHECK(find_model((folder / "odd shape").string()).name == "odd shape");
  CHECK(find_model((folder / "odd shape" / "config.json").string()).E == 60);
  CHECK(find_model((folder / "link.json").string()).name == "link");
  CHECK_THROWS_WITH(find_model("qwen9"), Contains("qwen9") && Contains("qwen3-30b-a3b, qwen3-235b-a22b"));
}
