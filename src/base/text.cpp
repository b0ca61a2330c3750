#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace granule {

namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), pattern, args...);
  return buffer;
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  size_t fewest = std::max<size_t>(1, word.size() / 2) + 1;
  for (const auto& candidate : candidates) {
    size_t distance = edit_distance(word, candidate);
    // Half a word typed is the other likely slip.
    if (word.size() >= 4 && candidate.find(word) != std::string::npos)
      distance = std::min(distance, size_t{1});
    if (distance < fewest) {
      fewest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const auto nearest = nearest_word(word, candidates);
  return nearest.empty() ? "" : " (did you mean \"" + nearest + "\"?)";
}

std::string short_count(double count) {
  static constexpr struct {
    double unit;
    const char* letter;
  } kUnits[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}};
  // Rounded first: 999,999 is 1.00M, not 1000k.
  for (const auto& [unit, letter] : kUnits) {
    const double size = std::abs(count) / unit;
    if (size >= 0.9995)
      return format(size < 9.995 ? "%.2f%s" : size < 99.95 ? "%.1f%s" : "%.0f%s", count / unit, letter);
  }
  return format("%.0f", count);
}

std::string short_duration(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  const auto total = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (total < 60) return format("%lld s", total);
  if (total < 3600) return format("%lld m %02lld s", total / 60, total % 60);
  if (total < 86400) return format("%lld h %02lld m", total / 3600, total / 60 % 60);
  return format("%lld d %lld h", total / 86400, total / 3600 % 24);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const auto size : shape) sizes.push_back(std::to_string(size));
  return std::string("[").append(join(sizes, ",")).append("]");
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i];
  }
  return joined;
}

}  // namespace granule
