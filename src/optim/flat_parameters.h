#pragma once
// Parameters and gradients as flat buffers of a few tensors of one block, placement and dtype, so that
// reductions, updates and checkpoints see stretches of memory and need not know tensors. A rank owns an even
// slice of each buffer over the ranks that replicate it, whatever the parameter borders. A buffer's gradients
// have memory only while there are any: in a step of one micro-batch they take the place of the activations
// that backward frees.

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/communicator.h"
#include "comm/placement.h"

namespace granule {

/// A stretch of one piece, as it lies in a flat buffer.
struct FlatSegment {
  const ParameterPiece* piece;  ///< lives as long as the buffer
  int64_t piece_begin;          ///< first element within the piece
  int64_t flat_begin;           ///< first element within the buffer
  int64_t count;
  bool decays;
};

class FlatBuffer {
 public:
  /// Tensors of one block, placement and dtype, replicated over `group`, which must outlive the buffer. Each
  /// becomes a view into the buffer, its value kept, and gets a view into the gradients as its `.grad`,
  /// without memory at first.
  FlatBuffer(std::vector<PlacedParameter> parameters, Communicator& group);

  int64_t block() const { return parameters_.front().block; }
  Placement placement() const { return parameters_.front().placement; }
  at::ScalarType dtype() const { return parameter_.scalar_type(); }
  Communicator& group() const { return *group_; }

  /// All elements: tensors at multiples of kAlignment, zeros between them and at the end.
  const at::Tensor& parameter() const { return parameter_; }
  /// Of the same length; fp32, but fp64 for fp64 parameters. To be read only while it has memory.
  const at::Tensor& gradient() const { return gradient_; }
  bool has_gradient() const { return gradient_.storage().nbytes() > 0; }
  /// Gives the gradients memory, zeros, unless they have it.
  void allocate_gradient();
  void free_gradient();

  /// The rank's own slice is [slice_begin, slice_begin + slice_size).
  int64_t slice_size() const { return parameter_.numel() / group_->size(); }
  int64_t slice_begin() const { return group_->rank() * slice_size(); }
  at::Tensor own_slice(const at::Tensor& flat) const { return flat.narrow(0, slice_begin(), slice_size()); }

  /// The stretches of pieces within the rank's own slice, in order.
  std::vector<FlatSegment> own_segments() const {
    return segments(slice_begin(), slice_begin() + slice_size());
  }
  /// Those within [begin, end).
  std::vector<FlatSegment> segments(int64_t begin, int64_t end) const;

  /// Fails if a tensor's `.grad` no longer is our view: its gradient would be lost silently.
  void check_gradients_in_place() const;

  /// Tensors begin on cache lines, also in bf16.
  static constexpr int64_t kAlignment = 32;

 private:
  std::vector<PlacedParameter> parameters_;
  std::vector<int64_t> offset_;  // of each tensor
  Communicator* group_;
  at::Tensor parameter_;
  at::Tensor gradient_;
};

/// The groups over which state is sharded.
struct ShardGroups {
  Communicator& world;
  Communicator& replica;  ///< ranks that hold the same non-expert parameters
  Communicator& data;     ///< ranks that hold the same experts
};

/// The buffers of all `parameters`, in an order that is the same on all ranks.
std::vector<FlatBuffer> flatten_parameters(const std::vector<PlacedParameter>& parameters,
                                           const ShardGroups& groups);

}  // namespace granule
