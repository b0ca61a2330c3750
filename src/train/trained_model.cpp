#include "train/trained_model.h"

#include "base/check.h"
#include "base/log.h"
#include "ops/isa.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_restore.h"
#include "train/run_directory.h"

namespace granule {

TrainedModel load_trained_model(World& world, const std::string& path, const std::vector<std::string>& overrides) {
  TrainedModel trained;
  const auto checkpoint = open_newest_checkpoint(path, world.all(), {});
  if (!checkpoint) throw InputError(path, "holds no checkpoint: neither a run directory nor a checkpoint of one");
  trained.checkpoint = checkpoint->path();
  trained.tokenizer = existing_tokenizer(checkpoint->path());

  // The layout is this job's, not the run's; the batch must fit no layout, since nothing is trained.
  std::vector<std::string> all_overrides{"parallel.expert=1", "parallel.data=0"};
  all_overrides.insert(all_overrides.end(), overrides.begin(), overrides.end());
  ConfigDocument(checkpoint->path() + "/" + kConfigName, all_overrides)
      .read_into<RunConfig>(trained.config, [&](const RunConfig& config) { config.check_model(world.size()); });

  set_kernel_isa(trained.config.train.kernel_isa);
  trained.mesh = std::make_unique<Mesh>(world, trained.config.parallel);
  trained.model = std::make_unique<Transformer>(trained.config.model, trained.mesh->expert(),
                                                trained.config.train.dtype());
  restore_parameters(*checkpoint, trained.model->placed_parameters(), world.all());
  log_info("loaded " + checkpoint->path());
  return trained;
}

}  // namespace granule
