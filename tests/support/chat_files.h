#pragma once
// A tokenizer that can be read by eye, for tests of conversations.

#include <string>
#include <vector>

namespace granule {

/// tokenizer.json: a byte is its own id, " h" is 256, and `added` special tokens follow from 257 on,
/// or ones that are not `special`. `bos`, if any, is one of them that the tokenizer puts before a text.
std::string byte_tokenizer(const std::vector<std::string>& added, const std::string& bos = "",
                           bool special = true);

/// The ids of text in that tokenizer, with "<...>" names of `added` standing for themselves.
std::vector<int64_t> byte_ids(const std::string& text, const std::vector<std::string>& added);

}  // namespace granule
