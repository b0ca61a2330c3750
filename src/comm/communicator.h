#pragma once
// What ranks say to one another. One communicator = one fixed group of ranks with one ordered queue.
//
// The order law: all ranks of a group issue the same collectives in the same order, also with nothing to
// send. Sums are taken in rank order, so a result is the same in every run and on every rank. Every
// collective is entered in the CollectiveLog, where the hang watchdog reads who waits for what. Tensors in
// the memory of a device travel by the group's DeviceTransport, under the same law; the order of sums is
// then the transport's.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/collective_log.h"
#include "comm/device_transport.h"
#include "comm/reduction.h"

namespace granule {

class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Mesh axis or purpose, for messages: "world", "expert", "data" ...
  const std::string& name() const { return name_; }

  /// The ranks' numbers in the world, for messages: "expert (ranks 0, 2)".
  void set_world_ranks(std::span<const int> ranks);
  /// What carries tensors in device memory from now on. A group of one rank needs none.
  void set_device_transport(std::shared_ptr<DeviceTransport> transport) { transport_ = std::move(transport); }
  /// For backends: marks this group's next collective as in progress.
  CollectiveLog::Entry log_entry(const char* verb, int64_t bytes);

  /// Elementwise sum over ranks, in place; fp32, fp64 or int64, contiguous.
  void all_reduce_sum(at::Tensor& tensor);
  /// Elementwise maximum over ranks, in place; same dtypes. A NaN on any rank gives NaN.
  void all_reduce_max(at::Tensor& tensor);
  int64_t all_reduce_sum(int64_t value);
  int64_t all_reduce_max(int64_t value);

  /// `all` [size * n] receives every rank's `mine` [n], in rank order. `mine` may be the rank's slice of
  /// `all`.
  void all_gather(const at::Tensor& mine, at::Tensor& all);
  /// `mine` [n] receives the rank's slice of the sum over ranks of `all` [size * n]. `mine` may be that
  /// slice.
  void reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine);
  /// Row r of `received` [size, ...] comes from rank r's row `rank()` of `sent` [size, ...].
  void all_to_all(const at::Tensor& sent, at::Tensor& received);
  /// The first `send_rows[0]` rows of `sent` go to rank 0, the next `send_rows[1]` to rank 1 ...; `received`
  /// holds `receive_rows[r]` rows of rank r, in rank order. Any dtype; a row is `sent[i]`. Counts may be
  /// zero.
  void all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows, at::Tensor& received,
                       std::span<const int64_t> receive_rows);
  void broadcast(at::Tensor& tensor, int root);
  /// Every rank's bytes, in rank order; lengths may differ. For small host data.
  std::vector<std::string> all_gather_bytes(const std::string& mine);
  /// The same for rank `root` alone; the others get nothing.
  std::vector<std::string> gather_bytes(const std::string& mine, int root);
  /// Rank `root`'s bytes; what the others pass is not looked at.
  std::string broadcast_bytes(const std::string& mine, int root);
  void barrier();

 protected:
  Communicator(std::string name, int rank, int size, std::shared_ptr<CollectiveLog> log);

  /// A stretch of a buffer, in bytes.
  struct Block {
    int64_t offset;
    int64_t size;
  };

  // The backend's part: plain bytes of any length. Never called in a group of one rank.

  /// Block r of `send` goes to rank r; what rank r sends us lands in block r of `receive`, of the same
  /// length.
  virtual void exchange_blocks(const std::byte* sent, std::span<const Block> send, std::byte* received,
                               std::span<const Block> receive) = 0;
  /// `all` receives every rank's `count` bytes, in rank order; `mine` may lie at its place in `all` already.
  virtual void gather_equal_bytes(const std::byte* mine, int64_t count, std::byte* all) = 0;
  /// `bytes` of rank `root` go to all.
  virtual void spread_bytes(std::byte* bytes, int64_t count, int root) = 0;
  virtual void wait_for_all() = 0;

 private:
  bool is_for_device(const at::Tensor& tensor, const char* verb) const;
  void all_reduce(at::Tensor& tensor, Reduction reduction, const char* verb);
  int64_t all_reduce(int64_t value, Reduction reduction, const char* verb);
  void reduce_small(std::byte* data, int64_t count, at::ScalarType dtype, Reduction reduction);
  void reduce_slices(const std::byte* all, int64_t slice_count, std::byte* mine, at::ScalarType dtype,
                     Reduction reduction);
  std::vector<std::string> gather_strings(const std::string& mine, const char* verb, std::optional<int> root);
  std::byte* scratch(int64_t bytes);

  std::string name_;
  std::string label_;  // name and ranks
  int rank_;
  int size_;
  std::shared_ptr<CollectiveLog> log_;
  std::shared_ptr<DeviceTransport> transport_;
  int64_t sequence_ = 0;
  std::vector<std::byte> scratch_;  // received parts of sums, kept between calls
};

}  // namespace granule
