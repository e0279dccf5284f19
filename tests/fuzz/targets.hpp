// What every reader must do with any bytes at all: return something sound or throw UsageError, nothing else.
#pragma once

#include <string_view>

namespace moe_tune::test {

// Each feeds `bytes` to a reader. Throws std::logic_error when the reader breaks its promise; whatever else escapes (another
// exception, a signal, a sanitizer report) is a finding too.
void fuzz_json(std::string_view bytes);          ///< what parses is within the limits and survives writing and reading again
void fuzz_override(std::string_view bytes);      ///< every field of every config is one of the allowed values
void fuzz_database(std::string_view bytes);      ///< the same, and what was read survives writing and reading again
void fuzz_journal(std::string_view bytes);       ///< every record found is intact
void fuzz_safetensors(std::string_view bytes);   ///< the tensors share out the data, each as large as its type and shape
void fuzz_model_config(std::string_view bytes);  ///< the shape is one that can be served, in layers that there are
void fuzz_shard_index(std::string_view bytes);   ///< every file is a plain name

}  // namespace moe_tune::test
