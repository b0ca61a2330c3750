#include "bench/data_cases.h"

#include <ATen/ATen.h>

#include <memory>

#include "data/loader.h"
#include "train/run_parts.h"

namespace granule {

std::vector<TimedCase> data_cases(World& world, const RunConfig& config) {
  const auto& train = config.train;
  const auto loader = std::make_shared<Loader>(open_training(config));
  const int64_t rows = train.global_batch_size / world.size();
  const auto step = std::make_shared<int64_t>(0);
  const int64_t first_row = world.rank() * rows;
  return {{.name = "batch",
           .run =
               [=] {
                 return seconds_of([&] { loader->load((*step)++ % loader->num_steps(), first_row, rows); });
               },
           .bytes = static_cast<double>(rows * (train.seq_length + 1)) * sizeof(int64_t)}};
}

}  // namespace granule
