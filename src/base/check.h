#pragma once
// The two kinds of failure, both thrown: CHECK is for our bugs; ConfigError and InputError for what a user can mend.
// Only `main` and the hang watchdog end a process; on the way up they are caught only to let all ranks know.

#include <array>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace granule {

/// How the process ends; documented in docs/operation.md.
enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,  ///< a CHECK failed, or something unforeseen
  kUsage = 2,     ///< command line or config is wrong
  kInput = 3,     ///< a file is missing, damaged or of another kind
  kNumeric = 17,  ///< too many steps in a row had a non-finite loss or gradient
  kHang = 18,     ///< a collective waited longer than parallel.timeout_seconds
  kStopped = 75,  ///< a signal asked to stop; a checkpoint was written, start again to go on
};

template <class... Parts>
std::string join_text(const Parts&... parts) {
  std::ostringstream text;
  text << std::boolalpha;
  ((text << parts), ...);
  return text.str();
}

/// What the user can mend; carries the exit code of its kind.
class UserError : public std::runtime_error {
 public:
  UserError(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// A value of the config that cannot be: `ConfigError("model.top_k", 9, "must not exceed ", 8)`.
/// The loader adds file:line:column of the key.
class ConfigError : public UserError {
 public:
  template <class Value, class... Parts>
  ConfigError(std::string key, const Value& value, const Parts&... requirement)
      : UserError(ExitCode::kUsage, join_text(key, " = ", value, " ", requirement...)),
        key_(std::move(key)) {}
  /// `message` is complete already.
  static ConfigError located(const std::string& message) { return ConfigError(message); }

  const std::string& key() const { return key_; }

 private:
  explicit ConfigError(const std::string& message) : UserError(ExitCode::kUsage, message) {}
  std::string key_;
};

/// A file that is missing, damaged or not what it should be: `InputError(path, "ends after ", n, " bytes")`.
class InputError : public UserError {
 public:
  template <class... Parts>
  explicit InputError(const std::string& path, const Parts&... parts)
      : UserError(ExitCode::kInput, join_text(path, ": ", parts...)) {}
};

/// The numbers of a run left the finite range and stayed there.
class NumericError : public UserError {
 public:
  template <class... Parts>
  explicit NumericError(const Parts&... parts) : UserError(ExitCode::kNumeric, join_text(parts...)) {}
};

namespace detail {
[[noreturn]] void fail_check(const char* file, int line, const char* condition, const std::string& text);
}  // namespace detail

/// The sizes of a tensor that must have N dimensions: `const auto [T, D] = get_shape<2>(x_TD);`.
template <size_t N, class Tensor>
std::array<int64_t, N> get_shape(const Tensor& tensor) {
  if (tensor.dim() != static_cast<int64_t>(N)) {
    detail::fail_check(__FILE__, __LINE__, "dim() == N",
                       join_text("tensor has ", tensor.dim(), " dimensions, expected ", N));
  }
  std::array<int64_t, N> shape;
  for (size_t dim = 0; dim < N; ++dim) shape[dim] = tensor.size(static_cast<int64_t>(dim));
  return shape;
}

}  // namespace granule

/// Our own bug if false: throws with place, condition and the values given behind it.
#undef CHECK
#define CHECK(condition, ...)                                                                           \
  do {                                                                                                  \
    if (!(condition)) {                                                                                 \
      ::granule::detail::fail_check(__FILE__, __LINE__, #condition, ::granule::join_text(__VA_ARGS__)); \
    }                                                                                                   \
  } while (false)
