#pragma once
// Which tokenizer a run has, and whether its data are of that one's ids.

#include <string>
#include <vector>

#include "train/run_config.h"

namespace granule {

/// The tokenizer.json of a run or checkpoint directory; empty if it has none.
std::string existing_tokenizer(const std::string& directory);

/// The one that the config names, else that of the run if it has begun, else of the model that it starts from
/// (of a run's, the newest checkpoint's), else the one beside the first file of data, which need not exist.
std::string tokenizer_of_run(const RunConfig& config);
/// Section `data` with that one named.
DataConfig data_of_run(const RunConfig& config);

/// Throws InputError for a token file beside which a tokenizer.json lies that knows a token by another id
/// than `tokenizer` does, or one that this does not know. Nothing is compared if there is no `tokenizer`.
void check_vocabularies(const std::vector<std::string>& files, const std::string& tokenizer);
/// The same for all token files of a run and its tokenizer, unless the config names one: that is the user's
/// word. Throws ConfigError if it names another than the run has begun with.
void check_tokenizer_of_run(const RunConfig& config);

/// Copies a tokenizer.json and kTokenizerSideFiles beside it, those that there are, into the run; one that
/// has begun keeps what it has.
void keep_tokenizer(const std::string& tokenizer, const std::string& run_dir);

}  // namespace granule
