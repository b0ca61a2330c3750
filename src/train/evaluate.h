#pragma once
// Loss of a model on data it does not train on, on any number of ranks with the same result.

#include <functional>
#include <string>

#include "comm/communicator.h"
#include "comm/world.h"
#include "data/loader.h"
#include "model/transformer.h"

namespace granule {

/// What to say where `num_tokens` is 0: a loss of 0 would look perfect.
inline constexpr char kNothingCounts[] = "no token counts in the loss";

struct Evaluation {
  double loss = 0;           ///< nats per token
  double perplexity = 0;     ///< e^loss
  double bits_per_byte = 0;  ///< nats over (ln 2 x bytes of the labels' text); 0 if the bytes are not known
  int64_t num_tokens = 0;
  int64_t num_bytes = 0;
  bool complete = true;      ///< false: `is_to_end` ended it
};

/// Reads all of `loader`, whose global batch is a multiple of the ranks of `replica` (data x expert), each reading
/// its own rows. `bytes_V` (int64) holds the bytes of text that each id stands for; may be undefined. `is_to_end`, if
/// set, is asked before each batch and says the same on all ranks. Collective.
Evaluation evaluate(const Transformer& model, Communicator& replica, Loader& loader, const at::Tensor& bytes_V,
                    const RoutingIntervention& intervention = {}, const std::function<bool()>& is_to_end = {});

/// Bytes of text that each of `vocab_size` ids stands for, int64 [V]; undefined if there is no such tokenizer. One
/// that cannot be read is an InputError if the user `named` it; else rank 0 warns, and the result is undefined.
at::Tensor bytes_of_tokens(const World& world, const std::string& tokenizer_path, bool named, int64_t vocab_size);

}  // namespace granule
