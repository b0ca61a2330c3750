#pragma once
// The sources that section `data` asks for.

#include <memory>

#include "data/data_config.h"
#include "data/sample_source.h"

namespace granule {

/// Training samples of `seq_length` + 1 tokens, all ids below `vocab_size`: `num_epochs` times all
/// conversations, or endless with 0, which token files always are. What conversations there are is logged.
/// Throws ConfigError without training files, InputError for a damaged or too short file.
std::unique_ptr<SampleSource> open_training_source(const DataConfig& config, int64_t seq_length,
                                                   int64_t vocab_size, uint64_t seed, int64_t num_epochs = 0);

/// Validation samples in file order (or that of packing), at most `max_samples` of them, evenly spread.
/// Throws ConfigError without validation files, InputError for a damaged one or if all are empty.
std::unique_ptr<SampleSource> open_validation_source(const DataConfig& config, int64_t seq_length,
                                                     int64_t vocab_size,
                                                     int64_t max_samples = SampleSource::kEndless);

}  // namespace granule
