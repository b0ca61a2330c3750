#include "comm/mesh.h"

#include "base/check.h"
#include "comm/backend.h"
#include "comm/device.h"

namespace granule {

namespace {

// `count` ranks from `first` on, `stride` apart.
std::vector<int> strided_ranks(int64_t first, int64_t count, int64_t stride) {
  std::vector<int> ranks;
  for (int64_t i = 0; i < count; ++i) ranks.push_back(static_cast<int>(first + i * stride));
  return ranks;
}

}  // namespace

void ParallelConfig::check(int64_t num_ranks) const {
  const auto product = join_text("ranks ", num_ranks, " = pipeline x data x expert");
  if (num_ranks % pipeline != 0) {
    throw ConfigError("parallel.pipeline", pipeline, "does not fit: ", product,
                      ", so parallel.pipeline must divide ", num_ranks);
  }
  const auto ranks_of_stage = num_ranks / pipeline;
  if (ranks_of_stage % expert != 0) {
    throw ConfigError("parallel.expert", expert, "does not fit: ", product,
                      ", so parallel.expert must divide ", ranks_of_stage);
  }
  const auto left = ranks_of_stage / expert;
  if (data != 0 && data != left) {
    throw ConfigError("parallel.data", data, "does not fit: ", product, ", so parallel.data must be ", left,
                      " (or 0: all that are left) with parallel.expert = ", expert,
                      " and parallel.pipeline = ", pipeline, "; or start ", pipeline * data * expert,
                      " ranks");
  }
}

MeshGroups mesh_groups(const ParallelConfig& config, int num_ranks, int rank) {
  const auto ranks_of_stage = num_ranks / config.pipeline;
  const auto first_of_stage = rank / ranks_of_stage * ranks_of_stage;
  const auto expert_place = rank % config.expert;
  return {
      .expert = strided_ranks(rank - expert_place, config.expert, 1),
      .data = strided_ranks(first_of_stage + expert_place, ranks_of_stage / config.expert, config.expert),
      .replica = strided_ranks(first_of_stage, ranks_of_stage, 1),
  };
}

Mesh::Mesh(World& world, const ParallelConfig& config, at::Device device) : world_(world) {
  const auto groups = mesh_groups(config, world.size(), world.rank());
  expert_ = world.group("expert", groups.expert);
  data_ = world.group("data", groups.data);
  replica_ = world.group("replica", groups.replica);
  const bool shared = !device.is_cpu() && device_is_shared(world, device);
  const auto backend = choose_backend(config.backend, device, shared);
  for (auto* group : {expert_.get(), data_.get(), replica_.get()}) {
    const auto transport = make_device_transport(backend, *group, device);
    if (transport == nullptr) continue;
    group->set_device_transport(transport);
    world.abort_with_job(transport);
  }
}

}  // namespace granule
