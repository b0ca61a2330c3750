#include "comm/communicator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "comm/peer_transfers.h"

namespace granule {

namespace {

// Up to this size every rank gathers all contributions: one exchange instead of two.
constexpr int64_t kSmallBytes = 4096;
// Sums of large buffers go piece by piece, so that the received parts take this much memory whatever the
// buffer.
constexpr int64_t kScratchBytes = int64_t{8} << 20;
constexpr int64_t kPieceAlignment = 4096;

const std::byte* bytes_of(const at::Tensor& tensor) {
  return static_cast<const std::byte*>(tensor.const_data_ptr());
}
std::byte* bytes_of(at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.mutable_data_ptr());
}

int64_t num_bytes(const at::Tensor& tensor) {
  return static_cast<int64_t>(tensor.nbytes());
}

void check_plain(const at::Tensor& tensor, const char* verb) {
  CHECK(tensor.defined(), verb, ": undefined tensor");
  CHECK(tensor.is_contiguous(), verb, ": needs a contiguous tensor");
}

void check_reducible(const at::Tensor& tensor, const char* verb) {
  check_plain(tensor, verb);
  CHECK(is_reducible(tensor.scalar_type()), verb, ": dtype ", tensor.scalar_type());
}

void check_alike(const at::Tensor& a, const at::Tensor& b, const char* verb) {
  CHECK(a.scalar_type() == b.scalar_type(), verb, ": dtypes ", a.scalar_type(), " and ", b.scalar_type());
  CHECK(a.device() == b.device(), verb, ": tensors on ", a.device(), " and ", b.device());
}

// `whole` is `size` times as large as `part`.
void check_slices(const at::Tensor& part, const at::Tensor& whole, int size, const char* verb) {
  check_plain(part, verb);
  check_plain(whole, verb);
  check_alike(part, whole, verb);
  CHECK(whole.numel() == size * part.numel(), verb, ": ", whole.numel(), " elements for ", size, " ranks of ",
        part.numel());
}

void copy_unless_same(const at::Tensor& from, at::Tensor& to) {
  if (from.const_data_ptr() == to.const_data_ptr()) return;
  if (!from.is_cpu()) {
    to.view({-1}).copy_(from.view({-1}));
    return;
  }
  std::copy_n(bytes_of(from), num_bytes(from), bytes_of(to));
}

// "0, 2", "0, 4 ... 60": many ranks of even distance are told by the first two and the last.
std::string list_text(std::span<const int> ranks) {
  constexpr size_t kMany = 5;
  const auto uneven = [&](int a, int b) { return b - a != ranks[1] - ranks[0]; };
  if (ranks.size() >= kMany && std::adjacent_find(ranks.begin(), ranks.end(), uneven) == ranks.end()) {
    return join_text(ranks[0], ", ", ranks[1], " ... ", ranks.back());
  }
  std::string text;
  for (const int rank : ranks) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  return text;
}

// `counts` must cover the rows of `tensor`, one count a rank.
void check_counts(const at::Tensor& tensor, std::span<const int64_t> counts, int size, const char* what) {
  check_plain(tensor, "all_to_all_rows");
  CHECK(tensor.dim() >= 1 && static_cast<int>(counts.size()) == size, what, ": ", tensor.dim(),
        " dimensions, ", counts.size(), " counts for ", size, " ranks");
  CHECK(std::all_of(counts.begin(), counts.end(), [](int64_t count) { return count >= 0; }), what,
        ": negative count");
  const auto total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  CHECK(total == tensor.size(0), what, ": counts add up to ", total, ", the tensor has ", tensor.size(0),
        " rows");
}

}  // namespace

Communicator::Communicator(std::string name, int rank, int size, std::shared_ptr<CollectiveLog> log)
    : name_(std::move(name)), label_(name_), rank_(rank), size_(size), log_(std::move(log)) {
  CHECK(rank >= 0 && rank < size, "rank ", rank, " of ", size, " in group ", name_);
}

void Communicator::set_world_ranks(std::span<const int> ranks) {
  label_ = join_text(name_, " (ranks ", list_text(ranks), ")");
}

CollectiveLog::Entry Communicator::log_entry(const char* verb, int64_t bytes) {
  return log_->enter(verb, label_, ++sequence_, bytes);
}

bool Communicator::is_for_device(const at::Tensor& tensor, const char* verb) const {
  if (tensor.is_cpu()) return false;
  CHECK(transport_ != nullptr, verb, " in group ", name_, ": nothing carries tensors on ", tensor.device());
  return true;
}

std::byte* Communicator::scratch(int64_t bytes) {
  if (static_cast<int64_t>(scratch_.size()) < bytes) scratch_.resize(static_cast<size_t>(bytes));
  return scratch_.data();
}

void Communicator::all_reduce_sum(at::Tensor& tensor) {
  all_reduce(tensor, Reduction::kSum, "all_reduce_sum");
}
void Communicator::all_reduce_max(at::Tensor& tensor) {
  all_reduce(tensor, Reduction::kMax, "all_reduce_max");
}
int64_t Communicator::all_reduce_sum(int64_t value) {
  return all_reduce(value, Reduction::kSum, "all_reduce_sum");
}
int64_t Communicator::all_reduce_max(int64_t value) {
  return all_reduce(value, Reduction::kMax, "all_reduce_max");
}

int64_t Communicator::all_reduce(int64_t value, Reduction reduction, const char* verb) {
  if (size_ == 1) return value;
  const auto entry = log_entry(verb, sizeof(value));
  reduce_small(reinterpret_cast<std::byte*>(&value), 1, at::kLong, reduction);
  return value;
}

void Communicator::all_reduce(at::Tensor& tensor, Reduction reduction, const char* verb) {
  check_reducible(tensor, verb);
  if (size_ == 1 || tensor.numel() == 0) return;
  if (is_for_device(tensor, verb)) return transport_->all_reduce(tensor, reduction);
  const auto entry = log_entry(verb, num_bytes(tensor));
  const auto dtype = tensor.scalar_type();
  auto* data = bytes_of(tensor);

  // The elements that do not divide by the number of ranks, and small tensors, take the direct way.
  const auto slice = num_bytes(tensor) <= kSmallBytes ? 0 : tensor.numel() / size_;
  const auto slice_bytes = slice * static_cast<int64_t>(tensor.element_size());
  if (slice > 0) {
    reduce_slices(data, slice, data + rank_ * slice_bytes, dtype, reduction);
    gather_equal_bytes(data + rank_ * slice_bytes, slice_bytes, data);
  }
  const auto rest = tensor.numel() - size_ * slice;
  if (rest > 0) reduce_small(data + size_ * slice_bytes, rest, dtype, reduction);
}

void Communicator::reduce_small(std::byte* data, int64_t count, at::ScalarType dtype, Reduction reduction) {
  const auto bytes = count * static_cast<int64_t>(c10::elementSize(dtype));
  auto* gathered = scratch(size_ * bytes);
  gather_equal_bytes(data, bytes, gathered);
  std::vector<const std::byte*> parts;
  for (int r = 0; r < size_; ++r) parts.push_back(gathered + r * bytes);
  reduce_in_order(reduction, dtype, parts, count, data);
}

// `mine` receives the reduction of all ranks' slices number `rank_`; a slice has `slice_count` elements.
void Communicator::reduce_slices(const std::byte* all, int64_t slice_count, std::byte* mine,
                                 at::ScalarType dtype, Reduction reduction) {
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  const auto slice = slice_count * element;
  const auto largest_piece =
      std::max(kPieceAlignment, kScratchBytes / size_ / kPieceAlignment * kPieceAlignment);
  const auto piece = std::min(slice, largest_piece);
  auto* received = scratch(size_ * piece);

  std::vector<Block> send(static_cast<size_t>(size_));
  std::vector<Block> receive(static_cast<size_t>(size_));
  std::vector<const std::byte*> parts(static_cast<size_t>(size_));
  for (int64_t begin = 0; begin < slice; begin += piece) {
    const auto bytes = std::min(piece, slice - begin);
    for (int r = 0; r < size_; ++r) {
      // Our own part is read where it lies.
      const auto travelling = r == rank_ ? 0 : bytes;
      send[r] = {r * slice + begin, travelling};
      receive[r] = {r * piece, travelling};
      parts[r] = r == rank_ ? all + r * slice + begin : received + r * piece;
    }
    exchange_blocks(all, send, received, receive);
    reduce_in_order(reduction, dtype, parts, bytes / element, mine + begin);
  }
}

void Communicator::all_gather(const at::Tensor& mine, at::Tensor& all) {
  check_slices(mine, all, size_, "all_gather");
  if (size_ == 1) return copy_unless_same(mine, all);
  if (mine.numel() == 0) return;
  if (is_for_device(mine, "all_gather")) return transport_->all_gather(mine, all);
  const auto entry = log_entry("all_gather", num_bytes(mine));
  gather_equal_bytes(bytes_of(mine), num_bytes(mine), bytes_of(all));
}

void Communicator::reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) {
  check_slices(mine, all, size_, "reduce_scatter_sum");
  check_reducible(all, "reduce_scatter_sum");
  if (size_ == 1) return copy_unless_same(all, mine);
  if (mine.numel() == 0) return;
  if (is_for_device(all, "reduce_scatter_sum")) return transport_->reduce_scatter_sum(all, mine);
  const auto entry = log_entry("reduce_scatter_sum", num_bytes(all));
  reduce_slices(bytes_of(all), mine.numel(), bytes_of(mine), all.scalar_type(), Reduction::kSum);
}

void Communicator::all_to_all(const at::Tensor& sent, at::Tensor& received) {
  check_plain(sent, "all_to_all");
  check_plain(received, "all_to_all");
  check_alike(sent, received, "all_to_all");
  CHECK(sent.sizes() == received.sizes() && sent.dim() >= 1 && sent.size(0) == size_, "all_to_all: sizes ",
        sent.sizes(), " and ", received.sizes(), " for ", size_, " ranks");
  if (size_ == 1) return copy_unless_same(sent, received);
  if (sent.numel() == 0) return;
  if (is_for_device(sent, "all_to_all")) {
    const std::vector<int64_t> one_row_each(static_cast<size_t>(size_), 1);
    return transport_->all_to_all_rows(sent, one_row_each, received, one_row_each);
  }
  const auto entry = log_entry("all_to_all", num_bytes(sent));
  std::vector<Block> blocks;
  const auto bytes = num_bytes(sent) / size_;
  for (int r = 0; r < size_; ++r) blocks.push_back({r * bytes, bytes});
  exchange_blocks(bytes_of(sent), blocks, bytes_of(received), blocks);
}

void Communicator::all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows,
                                   at::Tensor& received, std::span<const int64_t> receive_rows) {
  check_counts(sent, send_rows, size_, "rows sent");
  check_counts(received, receive_rows, size_, "rows received");
  check_alike(sent, received, "all_to_all_rows");
  const auto row = row_bytes(sent);
  CHECK(row == row_bytes(received), "all_to_all_rows: rows of ", row, " and ", row_bytes(received), " bytes");
  if (size_ == 1) {
    CHECK(send_rows[0] == receive_rows[0], "sends ", send_rows[0], " rows to itself, expects ",
          receive_rows[0]);
    return copy_unless_same(sent, received);
  }
  if (is_for_device(sent, "all_to_all_rows")) {
    return transport_->all_to_all_rows(sent, send_rows, received, receive_rows);
  }
  const auto entry = log_entry("all_to_all_rows", num_bytes(sent));
  const auto blocks_of = [&](std::span<const int64_t> rows) {
    std::vector<Block> blocks;
    int64_t offset = 0;
    for (const auto count : rows) {
      blocks.push_back({offset, count * row});
      offset += count * row;
    }
    return blocks;
  };
  exchange_blocks(bytes_of(sent), blocks_of(send_rows), bytes_of(received), blocks_of(receive_rows));
}

void Communicator::broadcast(at::Tensor& tensor, int root) {
  check_plain(tensor, "broadcast");
  CHECK(root >= 0 && root < size_, "broadcast from rank ", root, " of ", size_);
  if (size_ == 1 || tensor.numel() == 0) return;
  if (is_for_device(tensor, "broadcast")) return transport_->broadcast(tensor, root);
  const auto entry = log_entry("broadcast", num_bytes(tensor));
  spread_bytes(bytes_of(tensor), num_bytes(tensor), root);
}

std::vector<std::string> Communicator::all_gather_bytes(const std::string& mine) {
  return gather_strings(mine, "all_gather_bytes", std::nullopt);
}

std::vector<std::string> Communicator::gather_bytes(const std::string& mine, int root) {
  return gather_strings(mine, "gather_bytes", root);
}

// To every rank unless there is a root.
std::vector<std::string> Communicator::gather_strings(const std::string& mine, const char* verb,
                                                      std::optional<int> root) {
  if (size_ == 1) return {mine};
  const auto length = static_cast<int64_t>(mine.size());
  const auto entry = log_entry(verb, length);
  std::vector<int64_t> lengths(static_cast<size_t>(size_));
  gather_equal_bytes(reinterpret_cast<const std::byte*>(&length), sizeof(length),
                     reinterpret_cast<std::byte*>(lengths.data()));

  const bool is_receiver = root.value_or(rank_) == rank_;
  std::vector<Block> send, receive;
  int64_t total = 0;
  for (int r = 0; r < size_; ++r) {
    send.push_back({0, root.value_or(r) == r ? length : 0});
    receive.push_back({total, is_receiver ? lengths[static_cast<size_t>(r)] : 0});
    total += receive.back().size;
  }
  std::string gathered(static_cast<size_t>(total), '\0');
  exchange_blocks(reinterpret_cast<const std::byte*>(mine.data()), send,
                  reinterpret_cast<std::byte*>(gathered.data()), receive);
  std::vector<std::string> all;
  if (!is_receiver) return all;
  for (const auto& block : receive) all.push_back(gathered.substr(block.offset, block.size));
  return all;
}

std::string Communicator::broadcast_bytes(const std::string& mine, int root) {
  CHECK(root >= 0 && root < size_, "broadcast_bytes from rank ", root, " of ", size_);
  if (size_ == 1) return mine;
  const auto entry = log_entry("broadcast_bytes", static_cast<int64_t>(mine.size()));
  auto length = static_cast<int64_t>(mine.size());
  spread_bytes(reinterpret_cast<std::byte*>(&length), sizeof(length), root);
  std::string bytes = rank_ == root ? mine : std::string(static_cast<size_t>(length), '\0');
  if (length > 0) spread_bytes(reinterpret_cast<std::byte*>(bytes.data()), length, root);
  return bytes;
}

void Communicator::barrier() {
  if (size_ == 1) return;
  const auto entry = log_entry("barrier", 0);
  wait_for_all();
}

}  // namespace granule
