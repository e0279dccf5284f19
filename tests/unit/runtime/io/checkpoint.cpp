#include "runtime/io/checkpoint.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "moe_tune/error.hpp"
#include "runtime/io/shard_index.hpp"
#include "tests/support/safetensors_files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

constexpr const char* config = R"({"model_type": "qwen3_moe", "hidden_size": 16, "moe_intermediate_size": 8, "num_experts": 2,
  "num_experts_per_tok": 1, "num_hidden_layers": 3, "decoder_sparse_step": 2, "torch_dtype": "bfloat16"})";

struct Folder : TemporaryFolder {
  Folder() { write_file_atomic(*this / "config.json", config); }

  void tensor(const fs::path& file, const std::string& name) const {
    TensorFile().add(name, ElementType::fp32, {1}, std::vector<float>{1}).write(*this / file);
  }
  void index(const std::string& weight_map) const {
    write_file_atomic(*this / "model.safetensors.index.json",
                      R"({"metadata": {"total_size": 8}, "weight_map": )" + weight_map + "}");
  }
};

}  // namespace

TEST_CASE("A checkpoint of one file") {
  const Folder folder;
  folder.tensor("model.safetensors", "x");
  folder.tensor("other.safetensors", "y");
  const Checkpoint checkpoint(folder.path());
  CHECK(checkpoint.config().shape.E == 2);
  CHECK(checkpoint.config().dtype == "bfloat16");
  CHECK(checkpoint.config().num_hidden_layers() == 3);
  CHECK(checkpoint.config().is_moe_layer(1));
  CHECK_FALSE(checkpoint.config().is_moe_layer(2));
  CHECK(checkpoint.tensor("x").name == "x");
  CHECK(checkpoint.find("y") == nullptr);
  CHECK(checkpoint.file_of("x") == folder / "model.safetensors");
  CHECK_THROWS_WITH(checkpoint.tensor("y"), Contains("model.safetensors: there is no tensor \"y\" among its 1"));
}

TEST_CASE("A checkpoint whose only file has a name of its own") {
  const Folder folder;
  CHECK_THROWS_AS(Checkpoint(folder.path()), UsageError);
  CHECK_THROWS_WITH(Checkpoint(folder.path()),
                    Contains("neither model.safetensors nor model.safetensors.index.json, and 0 other"));
  folder.tensor("layer.safetensors", "x");
  CHECK(Checkpoint(folder.path()).tensor("x").name == "x");
  folder.tensor("layer2.safetensors", "x");
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("and 2 other .safetensors files"));
}

TEST_CASE("A checkpoint in several files, opened when they are asked for") {
  const Folder folder;
  folder.tensor("a.safetensors", "x");
  folder.index(R"({"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"})");
  Checkpoint first(folder.path());
  const HostTensor& x = first.tensor("x");
  const Checkpoint checkpoint = std::move(first);
  CHECK(&checkpoint.tensor("x") == &x);
  CHECK(checkpoint.file_of("y") == folder / "b.safetensors");
  CHECK(checkpoint.find("w") == nullptr);
  CHECK_THROWS_AS(checkpoint.tensor("y"), EnvironmentError);
  CHECK_THROWS_WITH(checkpoint.tensor("y"), Contains("b.safetensors"));
  CHECK_THROWS_WITH(checkpoint.tensor("z"),
                    Contains("a.safetensors: there is no tensor \"z\", which model.safetensors.index.json"));
  CHECK_THROWS_WITH(checkpoint.tensor("xx"), Contains("index.json: there is no tensor \"xx\" among its 3; near it: x"));
  folder.tensor("b.safetensors", "y");
  CHECK(checkpoint.tensor("y").name == "y");
}

TEST_CASE("Several threads read one checkpoint") {
  const Folder folder;
  std::string index = "{";
  for (int i = 0; i < 8; ++i) {
    const std::string name = fmt::format("t{}", i);
    folder.tensor(name + ".safetensors", name);
    index += fmt::format(R"({}"{}": "{}.safetensors")", i == 0 ? "" : ", ", name, name);
  }
  folder.index(index + "}");
  const Checkpoint checkpoint(folder.path());
  std::vector<const HostTensor*> found[4];
  {
    std::vector<std::jthread> threads;
    for (auto& list : found) {
      threads.emplace_back([&] {
        for (int i = 0; i < 8; ++i) list.push_back(checkpoint.find(fmt::format("t{}", i)));
      });
    }
  }
  for (const auto& list : found) CHECK(list == found[0]);
}

TEST_CASE("Files of a cache that are links are read") {
  const Folder folder;
  fs::create_directory(folder / "blobs");
  fs::create_directory(folder / "snapshot");
  folder.tensor("blobs/1", "x");
  fs::create_symlink(folder / "config.json", folder / "snapshot/config.json");
  fs::create_symlink("../blobs/1", folder / "snapshot/a.safetensors");
  write_file_atomic(folder / "blobs/2", R"({"weight_map": {"x": "a.safetensors"}})");
  fs::create_symlink("../blobs/2", folder / "snapshot/model.safetensors.index.json");
  CHECK(Checkpoint(folder / "snapshot").tensor("x").name == "x");
}

TEST_CASE("An index that leaves its folder is refused") {
  const auto parse = [](const std::string& file) {
    return parse_shard_index(R"({"weight_map": {"x": ")" + file + "\"}}", "i.json");
  };
  CHECK(parse("model-00001-of-00002.safetensors").at("x") == "model-00001-of-00002.safetensors");
  for (const char* file : {"../a.safetensors", "/etc/a.safetensors", "b/a.safetensors", "b\\\\a.safetensors", "", ".", "..",
                           ".safetensors", ".a.safetensors", "a.bin", "config.json", "a\\u0000.safetensors", "~/a.safetensors"}) {
    INFO(file);
    CHECK_THROWS_AS(parse(file), UsageError);
    CHECK_THROWS_WITH(parse(file), Contains("i.json: weight_map.x: expected the name of a .safetensors file in the same folder"));
  }
  const Folder folder;
  folder.index(R"({"x": "../a.safetensors"})");
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("index.json: weight_map.x"));
}

TEST_CASE("An index that is not sound is refused") {
  for (const char* text : {"", "[]", "{}", R"({"weight_map": []})", R"({"weight_map": {"x": 1}})",
                           R"({"weight_map": {"x": null}})", R"({"weight_map": {"x": "a.safetensors", "x": "b.safetensors"}})"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_shard_index(text, "i.json"), UsageError);
  }
}

TEST_CASE("A folder that is no checkpoint is refused") {
  const Folder folder;
  folder.tensor("model.safetensors", "x");
  SECTION("no such folder") { CHECK_THROWS_AS(Checkpoint(folder / "absent"), EnvironmentError); }
  SECTION("no config.json") {
    fs::remove(folder / "config.json");
    CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("config.json"));
  }
  SECTION("a config.json of another kind") {
    write_file_atomic(folder / "config.json", R"({"model_type": "bert"})");
    CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("config.json: model_type: \"bert\""));
  }
  SECTION("no number of layers") {
    std::string text = config;
    text.replace(text.find("num_hidden_layers"), 17, "layers");
    write_file_atomic(folder / "config.json", text);
    CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("config.json: the key \"num_hidden_layers\" is missing"));
  }
  SECTION("a pipe") {
    fs::remove(folder / "model.safetensors");
    REQUIRE(mkfifo((folder / "model.safetensors").c_str(), 0600) == 0);
    CHECK_THROWS_WITH(Checkpoint(folder.path()).tensor("x"), Contains("model.safetensors: not a regular file"));
  }
  SECTION("a folder in place of the config") {
    fs::remove(folder / "config.json");
    fs::create_directory(folder / "config.json");
    CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("config.json: not a regular file"));
  }
}
