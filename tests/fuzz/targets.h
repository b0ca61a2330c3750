#pragma once
// Parsers of foreign bytes, each as a function of any bytes at all. They return or throw what a test may not
// throw: errors of the user's end inside, since damaged input should end in them. libFuzzer feeds them
// (scripts/fuzz.sh), and fuzz_test feeds them the seeds.

#include <string_view>

namespace granule {

/// PREFIX.idx and PREFIX.bin: the first two bytes say how long the .idx is, the .bin follows it.
void fuzz_token_file(std::string_view input);

/// A whole safetensors file.
void fuzz_safetensors(std::string_view input);

/// tokenizer.json; behind the first NUL, text for it.
void fuzz_tokenizer(std::string_view input);

/// A config file; behind the first NUL, an override on each line.
void fuzz_yaml(std::string_view input);

}  // namespace granule
