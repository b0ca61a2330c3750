#include "optim/flat_parameters.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace granule {

namespace {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t num_elements(const ParameterPiece& piece) {
  int64_t count = 1;
  for (const auto size : piece.shape) count *= size;
  return count;
}

void check_pieces_cover(const PlacedParameter& parameter) {
  int64_t end = 0;
  for (const auto& piece : parameter.pieces) {
    CHECK(piece.offset == end, piece.name, " begins at ", piece.offset, ", expected ", end);
    end += num_elements(piece);
  }
  CHECK(end == parameter.tensor.numel(), "pieces hold ", end, " elements, the tensor ",
        parameter.tensor.numel());
}

// A bucket is full with 32 MiB of gradients, which memory that activations were freed from can take in; over
// many ranks with more, because a collective's latency grows with them.
std::vector<std::vector<PlacedParameter>> split_into_buckets(const std::vector<PlacedParameter>& parameters,
                                                             int64_t num_ranks) {
  const int64_t full = std::max(int64_t{1} << 23, num_ranks << 20);
  std::vector<std::vector<PlacedParameter>> buckets;
  int64_t size = full;
  for (const auto& parameter : parameters) {
    if (size >= full) {
      buckets.emplace_back();
      size = 0;
    }
    buckets.back().push_back(parameter);
    size += parameter.tensor.numel();
  }
  return buckets;
}

// An operator reads every line before it writes it; memset of a long stretch does not.
void fill_with_zeros(const at::Tensor& values) {
  if (!values.is_cpu()) {
    values.zero_();
    return;
  }
  auto* bytes = static_cast<std::byte*>(values.mutable_data_ptr());
  at::parallel_for(0, static_cast<int64_t>(values.nbytes()), 1 << 16, [&](int64_t begin, int64_t end) {
    std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace

FlatBuffer::FlatBuffer(std::vector<PlacedParameter> parameters, Communicator& group)
    : parameters_(std::move(parameters)), group_(&group) {
  CHECK(!parameters_.empty(), "a flat buffer of nothing");
  const at::NoGradGuard no_grad;
  const auto& first = parameters_.front();
  int64_t end = 0;
  for (const auto& parameter : parameters_) {
    check_pieces_cover(parameter);
    CHECK(parameter.block == first.block && parameter.placement == first.placement &&
              parameter.tensor.scalar_type() == first.tensor.scalar_type(),
          "parameters of several kinds in one buffer");
    offset_.push_back(end);
    end = round_up(end + parameter.tensor.numel(), kAlignment);
  }
  const int64_t size = round_up(end, kAlignment * group.size());
  const auto options = first.tensor.options().requires_grad(false);
  parameter_ = at::zeros({size}, options);
  gradient_ = at::empty({size}, dtype() == at::kDouble ? options : options.dtype(at::kFloat));

  for (size_t i = 0; i < parameters_.size(); ++i) {
    auto& tensor = parameters_[i].tensor;
    const auto view_into = [&](const at::Tensor& flat) {
      return flat.narrow(0, offset_[i], tensor.numel()).view(tensor.sizes());
    };
    auto values = view_into(parameter_);
    values.copy_(tensor);
    tensor.set_data(values);
    if (tensor.requires_grad()) tensor.mutable_grad() = view_into(gradient_);
  }
  free_gradient();
}

void FlatBuffer::allocate_gradient() {
  if (has_gradient()) return;
  RECORD_USER_SCOPE("clearing gradients");
  auto& storage = *gradient_.storage().unsafeGetStorageImpl();
  const auto bytes = static_cast<size_t>(gradient_.numel()) * gradient_.element_size();
  storage.set_data_ptr_noswap(storage.allocator()->allocate(bytes));
  storage.set_nbytes(bytes);
  fill_with_zeros(gradient_);
}

void FlatBuffer::free_gradient() {
  auto& storage = *gradient_.storage().unsafeGetStorageImpl();
  storage.set_data_ptr_noswap(at::DataPtr(nullptr, storage.device()));
  storage.set_nbytes(0);
}

std::vector<FlatSegment> FlatBuffer::segments(int64_t begin, int64_t end) const {
  std::vector<FlatSegment> found;
  const auto first = std::upper_bound(offset_.begin(), offset_.end(), begin);
  for (size_t i = first == offset_.begin() ? 0 : static_cast<size_t>(first - offset_.begin()) - 1;
       i < parameters_.size() && offset_[i] < end; ++i) {
    for (const auto& piece : parameters_[i].pieces) {
      const int64_t piece_flat = offset_[i] + piece.offset;
      const int64_t from = std::max(begin, piece_flat);
      const int64_t to = std::min(end, piece_flat + num_elements(piece));
      if (from < to) found.push_back({&piece, from - piece_flat, from, to - from, parameters_[i].decays});
    }
  }
  return found;
}

void FlatBuffer::check_gradients_in_place() const {
  const auto* base = static_cast<const char*>(gradient_.const_data_ptr());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& tensor = parameters_[i].tensor;
    if (!tensor.requires_grad()) continue;
    const auto* expected = base + offset_[i] * static_cast<int64_t>(gradient_.element_size());
    CHECK(tensor.grad().defined() && tensor.grad().const_data_ptr() == expected, "the gradient of ",
          parameters_[i].pieces.front().name, " left its flat buffer");
  }
}

std::vector<FlatBuffer> flatten_parameters(const std::vector<PlacedParameter>& parameters,
                                           const ShardGroups& groups) {
  std::map<std::tuple<int64_t, Placement, at::ScalarType>, std::vector<PlacedParameter>> kinds;
  for (const auto& parameter : parameters) {
    kinds[{parameter.block, parameter.placement, parameter.tensor.scalar_type()}].push_back(parameter);
  }
  std::vector<FlatBuffer> buffers;
  for (const auto& [kind, members] : kinds) {
    auto& group = std::get<Placement>(kind) == Placement::kExpert ? groups.data : groups.replica;
    for (auto& bucket : split_into_buckets(members, group.size()))
      buffers.emplace_back(std::move(bucket), group);
  }
  return buffers;
}

}  // namespace granule
