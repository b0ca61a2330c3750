#pragma once
// The table of a hash router: which expert each token id belongs to, for good. Experts get equal numbers of
// ids, or, given how often each id occurs, equal numbers of tokens as nearly as a greedy choice can.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "comm/placement.h"
#include "model/router_config.h"

namespace granule {

/// Name of the table within its router, and so the end of its global name.
inline constexpr char kHashTable[] = "tid2eid";

/// The expert of each id: ids from the most frequent down, each to the expert that has least so far; ids and
/// experts that are equal so far come in an order drawn from `stream`. A function of its arguments alone.
std::vector<int64_t> make_hash_table(const std::vector<int64_t>& count_V, int64_t num_experts,
                                     const RandomStream& stream);

/// Line i of the text file: how often id i (from 0) occurs. Ids beyond the last line do not occur. Throws
/// InputError for anything but whole numbers from 0, one a line, at most `vocab_size` of them.
std::vector<int64_t> read_token_counts(const std::string& path, int64_t vocab_size);

/// Fills the hash tables among `parameters`, each from (seed, its name) and the counts of `config`.
void fill_hash_tables(const std::vector<PlacedParameter>& parameters, const RouterConfig& config,
                      uint64_t seed);

}  // namespace granule
