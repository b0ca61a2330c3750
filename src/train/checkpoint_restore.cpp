#include "train/checkpoint_restore.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/log.h"
#include "base/text.h"
#include "ops/master_weights.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

using Json = nlohmann::json;

// Most complaints name the path already.
InputError about(const std::string& path, const std::string& complaint) {
  const auto named = path + ": ";
  return InputError(path, complaint.starts_with(named) ? complaint.substr(named.size()) : complaint);
}

// Every rank sees the same list, also where directories of a shared file system are cached.
std::vector<FoundCheckpoint> find_on_rank_0(const std::string& path, Communicator& world) {
  std::string error, list;  // each path with its step before it and a zero behind
  if (world.rank() == 0) {
    try {
      for (const auto& found : find_checkpoints(path)) list += join_text(found.step, " ", found.path) + '\0';
    } catch (const InputError& failed) {
      error = failed.what();
    }
  }
  error = world.broadcast_bytes(error, 0);
  if (!error.empty()) throw about(path, error);
  list = world.broadcast_bytes(list, 0);
  std::vector<FoundCheckpoint> found;
  for (size_t begin = 0; begin < list.size();) {
    const auto space = list.find(' ', begin), end = list.find('\0', begin);
    found.push_back({std::stoll(list.substr(begin, space - begin)), list.substr(space + 1, end - space - 1)});
    begin = end + 1;
  }
  return found;
}

// The first rank's complaint, with its number, the same text on every rank; empty if nobody has one.
std::string first_error(const std::string& mine, Communicator& world) {
  const auto errors = world.all_gather_bytes(mine);
  for (size_t rank = 0; rank < errors.size(); ++rank) {
    if (!errors[rank].empty()) return join_text(errors[rank], " (seen by rank ", rank, ")");
  }
  return "";
}

// Why a checkpoint could not be opened.
struct Complaint {
  std::string damage;
  std::string obstacle;  // that says nothing about the checkpoint
};

Complaint open_and_hash_own(const std::string& path, bool verify, const Communicator& world,
                            const Checkpoint::OnRead& on_read, std::optional<Checkpoint>& opened) {
  try {
    opened.emplace(path);
    const auto step = static_cast<size_t>(world.size());
    const size_t num_files = verify ? opened->manifest().files.size() : 0;
    for (size_t i = static_cast<size_t>(world.rank()); i < num_files; i += step) {
      opened->verify_file(i, on_read);
    }
    return {};
  } catch (const CheckpointVersionError&) {
    throw;
  } catch (const ReadError& error) {
    return {.damage = "", .obstacle = error.what()};
  } catch (const InputError& error) {
    return {.damage = error.what(), .obstacle = ""};
  }
}

// Opens it and hashes this rank's share of its files.
Complaint try_open(const std::string& path, const CheckpointChoice& choice, Communicator& world,
                   std::optional<Checkpoint>& opened) {
  // Whether any rank has more to read; until then all meet again and again.
  const auto meet = [&](bool reads_on) { return world.all_reduce_max(int64_t{reads_on}) != 0; };
  uint64_t since_meeting = 0;
  const auto on_read = [&](uint64_t bytes) {
    since_meeting += bytes;
    if (since_meeting < choice.verify_round_bytes) return;
    since_meeting = 0;
    meet(true);
  };
  const auto complaint = open_and_hash_own(path, choice.verify, world, on_read, opened);
  while (meet(false)) {
  }
  return complaint;
}

// One that stayed would be among the newest when old ones are removed, and in the way of its step's next one.
void set_aside(const std::string& path, const std::vector<std::string>& damaged, Communicator& world) {
  std::string error;
  if (world.rank() == 0) {
    try {
      for (const auto& bad : damaged)
        log_warning("set aside as " + mark_bad_checkpoint(bad, CheckpointFiles()));
    } catch (const OutputError& failed) {
      error = failed.what();
    }
  }
  error = first_error(error, world);
  if (error.empty()) return;
  throw InputError(path, "holds a damaged checkpoint that cannot be set aside: ", error,
                   "; move it away, then start again");
}

// Runs `work` on every rank and throws the first InputError of any on all of them.
template <class Work>
void on_all_ranks(const ParameterSource& source, Communicator& world, const Work& work) {
  std::string mine;
  try {
    work();
  } catch (const InputError& error) {
    mine = error.what();
  }
  const auto error = first_error(mine, world);
  if (!error.empty()) throw about(source.path(), error);
}

// What the source holds and no rank of the model asked for is as wrong as what it lacks.
void refuse_left_over(const ParameterSource& source, const std::set<std::string>& mine, Communicator& world) {
  std::string text;
  for (const auto& name : mine) text += name + '\n';
  std::set<std::string> wanted;
  for (const auto& names : world.all_gather_bytes(text)) {
    for (size_t begin = 0; begin < names.size();) {
      const auto end = names.find('\n', begin);
      wanted.insert(names.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  for (const auto& name : source.parameter_names()) {
    if (!wanted.contains(name)) {
      throw InputError(source.path(), "holds ", name, ", which the model does not have");
    }
  }
}

std::span<float> values_of(const at::Tensor& values) {
  return {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())};
}

// Elements [begin, begin + count) of a parameter: fp32 in host memory.
at::Tensor read_stretch(const ParameterSource& source, const std::string& name, int64_t begin,
                        int64_t count) {
  const auto values = at::empty({count}, at::kFloat);
  source.read_values(name, begin, values_of(values));
  return values;
}

// Calls `read(span)` with room for `values` in fp32 in host memory, whatever and wherever they are
// themselves.
template <class Read>
void fill(const at::Tensor& values, const Read& read) {
  const bool in_place = values.is_cpu() && values.scalar_type() == at::kFloat;
  const auto host = in_place ? values : at::empty(values.sizes(), at::kFloat);
  read(values_of(host));
  if (!in_place) values.copy_(host);
}

// Calls `work(shard, segment, begin)` for every stretch this rank owns; `begin` is its place in the shard.
template <class Work>
void for_each_segment(const Optimizer& optimizer, const Work& work) {
  for (const auto& shard : optimizer.shards()) {
    for (const auto& segment : shard.buffer->own_segments()) {
      work(shard, segment, segment.flat_begin - shard.buffer->slice_begin());
    }
  }
}

void read_masters(const ParameterSource& source, Optimizer& optimizer, Communicator& world) {
  std::set<std::string> names;
  on_all_ranks(source, world, [&] {
    for_each_segment(optimizer, [&](const OptimizerShard&, const FlatSegment& segment, int64_t) {
      names.insert(segment.piece->name);
      check_parameter(source, segment.piece->name, segment.piece->shape);
    });
  });
  refuse_left_over(source, names, world);
  on_all_ranks(source, world, [&] {
    for_each_segment(optimizer, [&](const OptimizerShard& shard, const FlatSegment& segment, int64_t begin) {
      shard.set_master(begin, read_stretch(source, segment.piece->name, segment.piece_begin, segment.count));
    });
  });
}

void read_moments(const Checkpoint& checkpoint, Optimizer& optimizer, Communicator& world) {
  on_all_ranks(checkpoint, world, [&] {
    for_each_segment(optimizer, [&](const OptimizerShard& shard, const FlatSegment& segment, int64_t begin) {
      const auto& parameter = *checkpoint.manifest().find(segment.piece->name);
      const auto read = [&](StateTensor tensor, const at::Tensor& slice) {
        fill(slice.narrow(0, begin, segment.count), [&](std::span<float> values) {
          checkpoint.read(tensor, parameter, segment.piece_begin, values);
        });
      };
      read(StateTensor::kExpAvg, shard.exp_avg);
      read(StateTensor::kExpAvgSq, shard.exp_avg_sq);
    });
  });
}

}  // namespace

std::optional<Checkpoint> open_newest_checkpoint(const std::string& path, Communicator& world,
                                                 const CheckpointChoice& choice) {
  const auto candidates = find_on_rank_0(path, world);
  std::vector<std::string> damaged, damages;
  for (const auto& candidate : candidates) {
    std::optional<Checkpoint> opened;
    const auto mine = try_open(candidate.path, choice, world, opened);
    const auto obstacle = first_error(mine.obstacle, world), damage = first_error(mine.damage, world);
    if (!obstacle.empty()) throw about(candidate.path, obstacle + "; nothing was changed");
    if (damage.empty()) {
      // Only now: were there no older one, the next start would find nothing and begin anew.
      if (choice.mark_bad) set_aside(path, damaged, world);
      return opened;
    }
    if (world.rank() == 0) log_warning(damage);
    damaged.push_back(candidate.path);
    damages.push_back(damage);
  }
  if (damages.empty()) return std::nullopt;
  throw InputError(path,
                   "has no usable checkpoint; nothing was changed, remove them to begin anew. Tried:\n  ",
                   join(damages, "\n  "));
}

void restore_optimizer(const Checkpoint& checkpoint, Optimizer& optimizer, Communicator& world) {
  if (!checkpoint.manifest().has_moments) return restore_masters(checkpoint, optimizer, world);
  read_masters(checkpoint, optimizer, world);
  read_moments(checkpoint, optimizer, world);
  optimizer.state_changed(checkpoint.manifest().num_updates);
}

void restore_masters(const ParameterSource& source, Optimizer& optimizer, Communicator& world) {
  read_masters(source, optimizer, world);
  for (const auto& shard : optimizer.shards()) {
    shard.exp_avg.zero_();
    shard.exp_avg_sq.zero_();
  }
  optimizer.state_changed(0);
}

void restore_parameters(const ParameterSource& source, const std::vector<PlacedParameter>& parameters,
                        Communicator& world) {
  std::set<std::string> names;
  on_all_ranks(source, world, [&] {
    for (const auto& parameter : parameters) {
      for (const auto& piece : parameter.pieces) {
        names.insert(piece.name);
        check_parameter(source, piece.name, piece.shape);
      }
    }
  });
  refuse_left_over(source, names, world);
  on_all_ranks(source, world, [&] {
    const at::NoGradGuard no_grad;
    for (const auto& parameter : parameters) {
      auto flat = parameter.tensor.detach().view({-1});
      for (const auto& piece : parameter.pieces) {
        const auto values = read_stretch(source, piece.name, 0, c10::multiply_integers(piece.shape));
        // As in training.
        const bool rounded = flat.scalar_type() == at::kBFloat16;
        flat.narrow(0, piece.offset, values.numel()).copy_(rounded ? round_master(values) : values);
      }
    }
  });
}

}  // namespace granule
