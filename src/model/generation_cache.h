#pragma once
// Keys and values of the tokens that rows of text have so far, so that each new token is computed alone. The
// memory is laid out once; rows have lengths of their own.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "model/forward_context.h"
#include "model/model_config.h"

namespace granule {

/// One layer's part, [rows, capacity, key heads, head_dim].
struct KeyValueCache {
  at::Tensor key_RPGd;
  at::Tensor value_RPGd;
};

/// Where the tokens of one pass stand: row b's first `count_B[b]` of S go behind those it has.
struct CacheStep {
  SequenceLayout layout;  ///< positions, and which tokens are none
  at::Tensor token_N;     ///< number of each token that is one, among B*S
  at::Tensor row_N;       ///< its row
  at::Tensor position_N;  ///< its place in the row
  at::Tensor sees_B1SP;   ///< bool: which of the row's P tokens each of the S sees
  at::Tensor last_B;      ///< number of each row's last token, among B*S
};

class GenerationCache {
 public:
  /// Rows of at most `capacity` tokens, in the dtype and on the device of `options`.
  GenerationCache(const ModelConfig& config, int64_t num_rows, int64_t capacity, at::TensorOptions options);

  int64_t num_rows() const { return static_cast<int64_t>(length_R_.size()); }
  int64_t capacity() const { return capacity_; }
  /// Tokens of a row so far.
  int64_t length(int64_t row) const { return length_R_[static_cast<size_t>(row)]; }

  /// Makes room for `count_B[b]` more tokens of each row (one at least), of `num_columns` columns of ids.
  CacheStep extend(std::span<const int64_t> count_B, int64_t num_columns);
  /// Puts a layer's new keys and values [B, S, G, d] in their places and returns those of all tokens that the
  /// step's rows have, [B, P, G, d].
  KeyValueCache append(int64_t layer, const CacheStep& step, const at::Tensor& key_BSGd,
                       const at::Tensor& value_BSGd);

  /// Forgets a row's tokens from `length` on.
  void shorten(int64_t row, int64_t length);
  /// Drops a row; the last one takes its place.
  void remove(int64_t row);

 private:
  int64_t capacity_;
  std::vector<int64_t> length_R_;
  std::vector<KeyValueCache> layers_;
};

}  // namespace granule
