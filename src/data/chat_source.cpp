#include "data/chat_source.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "data/epoch_order.h"
#include "data/packing.h"
#include "data/validation_source.h"

namespace granule {

PackedChats::PackedChats(ChatExamples examples, int64_t seq_length, bool packing)
    : examples_(std::move(examples)),
      seq_length_(seq_length),
      rows_(packing ? pack_best_fit(examples_.lengths(), seq_length + 1) : pack_none(examples_.size())) {}

double PackedChats::fullness() const {
  int64_t num_tokens = 0;
  for (const auto length : examples_.lengths()) num_tokens += length;
  return static_cast<double>(num_tokens) / static_cast<double>(num_rows() * (seq_length_ + 1));
}

uint64_t PackedChats::fingerprint() const {
  Hasher hasher;
  const auto update = [&](int64_t count) { hasher.update(&count, sizeof(count)); };
  for (const auto& row : rows_) {
    update(std::ssize(row));
    for (const auto example : row) {
      const auto ids = examples_.ids(example);
      update(std::ssize(ids));
      hasher.update(ids.data(), ids.size_bytes());
    }
  }
  return hasher.digest();
}

void PackedChats::read(int64_t row, const SampleRow& sample) const {
  CHECK(0 <= row && row < num_rows(), "row ", row, " of ", num_rows());
  pad_row(seq_length_, sample);
  int64_t begin = 0;
  int64_t segment = 0;
  for (const auto example : rows_[static_cast<size_t>(row)]) {
    const auto ids = examples_.ids(example);
    const int64_t num_inputs = examples_.length(example) - 1;
    std::copy(ids.begin(), ids.end(), sample.token + begin);
    std::fill_n(sample.segment + begin, num_inputs, segment++);
    for (int64_t i = 0; i < num_inputs; ++i) sample.loss_mask[begin + i] = examples_.learned(example, i + 1);
    begin += num_inputs + 1;
  }
}

ChatTrainingSource::ChatTrainingSource(PackedChats chats, uint64_t seed, int64_t num_epochs)
    : chats_(std::move(chats)), seed_(seed), num_epochs_(num_epochs) {}

int64_t ChatTrainingSource::num_samples() const {
  return num_epochs_ > 0 ? num_epochs_ * chats_.num_rows() : kEndless;
}

void ChatTrainingSource::read(int64_t index, const SampleRow& row) {
  CHECK(0 <= index && index < num_samples(), "sample ", index, " of ", num_samples());
  const auto& order = orders_.at(index / chats_.num_rows(), [&](int64_t epoch) {
    return shuffled_order(seed_, join_text("chat/epoch/", epoch), chats_.num_rows());
  });
  chats_.read(order[static_cast<size_t>(index % chats_.num_rows())], row);
}

ChatValidationSource::ChatValidationSource(PackedChats chats, int64_t max_samples)
    : chats_(std::move(chats)), num_samples_(std::min(max_samples, chats_.num_rows())) {}

void ChatValidationSource::read(int64_t index, const SampleRow& row) {
  CHECK(0 <= index && index < num_samples_, "sample ", index, " of ", num_samples_);
  chats_.read(index * chats_.num_rows() / num_samples_, row);
}

}  // namespace granule
